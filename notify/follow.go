package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/notify/message"
	stories "github.com/treeline-ci/treeline/notify/news"
	"github.com/treeline-ci/treeline/task"
)

// Consumer is the name under which the room follows the feed.
const Consumer = "notify"

// interest is the tasks with routes to follow. Others are left out by the database. Who starts to use
// notifications is not told of what happened before.
func interest() event.Interest {
	return event.Interest{Kinds: stories.Kinds(), Route: stories.Prefix, Fresh: true}
}

// Start follows the feed and sends what waits, until Stop or the end of ctx. Any number
// of replicas may do so.
func (n *Notify) Start(ctx context.Context, feed *event.Feed) {
	ctx, n.cancel = context.WithCancel(ctx)
	feed.Register(ctx, Consumer, interest()) // before anybody can make a task
	n.loops.Go(func() {
		if err := feed.Consume(ctx, Consumer, interest(), n.Follow); err != nil && ctx.Err() == nil {
			n.Log.ErrorContext(ctx, "tasks' notifications are no longer sent", "err", err)
		}
	})
	for _, channel := range message.Channels() {
		if n.on(channel) {
			n.loops.Go(func() { n.sends(ctx, channel) })
		}
	}
}

// Stop ends what Start began and waits for it.
func (n *Notify) Stop() {
	if n.cancel != nil {
		n.cancel()
	}
	n.loops.Wait()
}

// Follow puts the notifications that events call for into the outbox, in the transaction that notes that the
// events were seen.
func (n *Notify) Follow(ctx context.Context, tx pgx.Tx, events []event.Event) error {
	var parcels []parcel
	var addresses []string
	for i := range events {
		for _, p := range n.calls(ctx, &events[i]) {
			if !n.on(p.channel) {
				if _, told := n.off.LoadOrStore(p.channel, true); !told {
					n.Log.WarnContext(ctx, "tasks have routes for notifications that this server cannot send; they are left out", "channel", p.channel, "taskId", p.taskID, "err", errOff(p.channel))
				}
				continue
			}
			parcels = append(parcels, p)
			if p.channel == message.ChannelEmail {
				addresses = append(addresses, p.address)
			}
		}
		if err := n.waste(ctx, tx, &events[i]); err != nil {
			return failed("note a useless route", err)
		}
	}
	// All at once, and in order, so that two transactions do not wait for each other.
	if err := lock(ctx, tx, addresses...); err != nil {
		return failed("lock addresses", err)
	}
	for _, p := range parcels {
		state, _, err := enqueue(ctx, tx, p)
		if err != nil {
			return failed("enqueue for task "+p.taskID, err)
		}
		if err := state.refusal(); err != nil {
			n.Log.InfoContext(ctx, "a task's notification is left out", "channel", p.channel, "address", p.address, "taskId", p.taskID, "err", err)
		}
	}
	if len(parcels) > 0 {
		// The transaction is about to end; were it slower, the next poll would find them.
		time.AfterFunc(30*time.Millisecond, func() {
			for _, channel := range message.Channels() {
				n.wakeUp(channel)
			}
		})
	}
	return nil
}

// calls are the notifications that an event calls for, one for each address however many routes name it.
func (n *Notify) calls(ctx context.Context, e *event.Event) []parcel {
	var payload struct {
		Status json.RawMessage `json:"status"`
		RunID  *int            `json:"runId"`
	}
	var status struct {
		State task.State `json:"state"`
		Runs  []task.Run `json:"runs"`
	}
	name := stories.Event(e.Kind)
	if name == "" {
		return nil
	}
	err := json.Unmarshal(e.Payload, &payload)
	if err == nil {
		err = json.Unmarshal(payload.Status, &status)
	}
	if err != nil {
		n.Log.ErrorContext(ctx, "an event of a task cannot be read; nobody is notified", "kind", e.Kind, "taskId", e.TaskID, "err", err)
		return nil
	}
	run := "-"
	if e.RunID != nil {
		run = fmt.Sprint(*e.RunID)
		if *e.RunID >= 0 && *e.RunID < len(status.Runs) && stories.Silent(name, &status.Runs[*e.RunID]) {
			return nil
		}
	}
	var list []parcel
	told := map[string]bool{}
	for _, text := range e.Routes {
		r, ok, _ := stories.ParseRoute(text) // see waste
		to := r.Channel + "/" + r.Address
		if !ok || told[to] || !r.Wants(name, status.State) {
			continue
		}
		told[to] = true
		list = append(list, parcel{
			identity: identity{key: "task/" + e.TaskID + "/" + run + "/" + name + "/" + to},
			channel:  r.Channel, address: r.Address, taskID: e.TaskID, keep: true,
			body: body{News: &news{Event: name, TaskID: e.TaskID, RunID: e.RunID, Status: payload.Status, Route: text}},
		})
	}
	return list
}

// waste notes, when a task is created, those of its routes that would never tell anybody anything, so that
// they are seen among the notifications that failed.
func (n *Notify) waste(ctx context.Context, tx pgx.Tx, e *event.Event) error {
	if e.Kind != "task-defined" {
		return nil
	}
	for _, text := range e.Routes {
		if _, _, err := stories.ParseRoute(text); err != nil {
			if _, err := tx.Exec(ctx, wasteSQL.Text, "waste/"+e.TaskID+"/"+text, text, e.TaskID, shown(err)); err != nil {
				return err
			}
		}
	}
	return nil
}

var wasteSQL = pg.Statement{Name: "notify.waste", Text: `
	INSERT INTO notify_outbox (key, ident, channel, address, state, task_id, error, next_try, finished)
	VALUES ($1, '', '', $2, 'failed', $3, $4, clock_timestamp(), clock_timestamp()) ON CONFLICT (key) DO NOTHING`}
