package notifyapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/task"
)

type handler func(ctx context.Context, r *web.Request) (any, error)

func (d *door) email(ctx context.Context, r *web.Request) (any, error) {
	var m notify.Email
	if err := r.Decode(&m); err != nil {
		return nil, err
	}
	return d.send(ctx, r, m, map[string]any{"address": m.Address})
}

func (d *door) pulse(ctx context.Context, r *web.Request) (any, error) {
	var m notify.Pulse
	if err := r.Decode(&m); err != nil {
		return nil, err
	}
	return d.send(ctx, r, m, map[string]any{"routingKey": m.RoutingKey})
}

func (d *door) matrix(ctx context.Context, r *web.Request) (any, error) {
	var m notify.Matrix
	if err := r.Decode(&m); err != nil {
		return nil, err
	}
	return d.send(ctx, r, m, map[string]any{"roomId": m.RoomID})
}

func (d *door) slack(ctx context.Context, r *web.Request) (any, error) {
	var m notify.Slack
	if err := r.Decode(&m); err != nil {
		return nil, err
	}
	return d.send(ctx, r, m, map[string]any{"channelId": m.ChannelID})
}

// send answers 200 for what was sent or will be, 204 for what is left out (taskcluster-map 9).
func (d *door) send(ctx context.Context, r *web.Request, m message.Message, params map[string]any) (any, error) {
	if err := r.Authorize(ctx, params); err != nil {
		return nil, err
	}
	outcome, err := d.notify.Send(ctx, m)
	switch {
	case err != nil:
		return nil, told(m, err)
	case outcome == notify.Duplicate || outcome == notify.Limited:
		return nil, nil
	}
	return struct{}{}, nil
}

// told is an error as the caller sees it.
func told(m message.Message, err error) error {
	if errors.Is(err, notify.ErrDenied) {
		return &web.CodedError{
			Code: "DenylistedAddress", Status: http.StatusBadRequest,
			Message: "Nothing is sent to the " + m.Channel() + " address " + m.To() + ": it is on the denylist.",
		}
	}
	if f, ok := errors.AsType[*message.Failure](err); ok {
		return fault.Wrap(fault.Invalid, err, "%s", f.Error())
	}
	return err
}

func address(r *web.Request) (a notify.Address, err error) {
	err = r.Decode(&a)
	return a, err
}

func (d *door) deny(ctx context.Context, r *web.Request) (any, error) {
	a, err := address(r)
	if err != nil {
		return nil, err
	}
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return struct{}{}, d.notify.Deny(ctx, actor.ClientID, a)
}

func (d *door) allow(ctx context.Context, r *web.Request) (any, error) {
	a, err := address(r)
	if err != nil {
		return nil, err
	}
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return struct{}{}, d.notify.Allow(ctx, actor.ClientID, a)
}

func (d *door) denied(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var after notify.Address
	web.ReadToken(token, &after)
	list, err := d.notify.Denied(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := struct {
		Addresses         []notify.Address `json:"addresses"`
		ContinuationToken string           `json:"continuationToken,omitempty"`
	}{Addresses: append([]notify.Address{}, list[:min(limit, len(list))]...)}
	if len(list) > limit {
		out.ContinuationToken, err = web.Token(list[limit-1])
	}
	return out, err
}

func (d *door) test(ctx context.Context, r *web.Request) (any, error) {
	a, err := address(r)
	if err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"notificationType": a.Type, "notificationAddress": a.Address}); err != nil {
		return nil, err
	}
	key := slug.New()
	var m message.Message
	switch a.Type {
	case message.ChannelEmail:
		m = notify.Email{
			Address: a.Address, Subject: "Test of Treeline's mail", State: "completed",
			Content: "## It works\n\nThis server can send mail to `" + a.Address + "`. Somebody asked for this test; nothing is to be done.\n",
			Why:     "You get this because somebody sent a test.",
		}
	case message.ChannelSlack:
		m = notify.Slack{ChannelID: a.Address, Text: ":white_check_mark: Treeline can post to this channel. This is a test."}
	case message.ChannelMatrix:
		m = notify.Matrix{RoomID: a.Address, Body: "Treeline can speak in this room. This is a test."}
	default:
		m = notify.Pulse{RoutingKey: a.Address, Message: json.RawMessage(`{"test": true}`)}
	}
	outcome, err := d.notify.SendTest(ctx, m, key)
	answer := struct {
		Sent    bool   `json:"sent"`
		Problem string `json:"problem,omitempty"`
	}{Sent: err == nil && outcome == notify.Sent}
	if outcome == notify.Limited {
		answer.Problem = notify.ErrLimited.Error()
	}
	if f, ok := errors.AsType[*message.Failure](err); ok {
		answer.Problem = f.Error()
		return answer, nil
	}
	if err != nil {
		return nil, told(m, err)
	}
	return answer, nil
}

// notification is a row of listNotifications.
type notification struct {
	Type     string       `json:"notificationType"`
	Address  string       `json:"notificationAddress"`
	State    notify.State `json:"state"`
	TaskID   string       `json:"taskId,omitempty"`
	Tries    int          `json:"tries"`
	Error    string       `json:"error,omitempty"`
	Created  task.Time    `json:"created"`
	NextTry  *task.Time   `json:"nextTry,omitempty"`
	Finished *task.Time   `json:"finished,omitempty"`
}

func (d *door) list(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var before int64
	web.ReadToken(token, &before)
	states := []notify.State{notify.StateWaiting, notify.StateFailed, notify.StateLimited, notify.StateDenied}
	if text := r.Query("state"); text != "" {
		states = nil
		for _, s := range strings.Split(text, ",") {
			states = append(states, notify.State(s))
		}
	}
	list, err := d.notify.List(ctx, states, before, limit+1)
	if err != nil {
		return nil, err
	}
	out := struct {
		Notifications     []notification `json:"notifications"`
		ContinuationToken string         `json:"continuationToken,omitempty"`
	}{Notifications: []notification{}}
	if len(list) > limit {
		list = list[:limit]
		if out.ContinuationToken, err = web.Token(list[limit-1].ID); err != nil {
			return nil, err
		}
	}
	for _, n := range list {
		out.Notifications = append(out.Notifications, shown(n))
	}
	return out, nil
}

func shown(n notify.Notification) notification {
	out := notification{Type: n.Channel, Address: n.Address, State: n.State, TaskID: n.TaskID, Tries: n.Tries, Error: n.Error, Created: task.At(n.Created)}
	if n.State == notify.StateWaiting {
		next := task.At(n.NextTry)
		out.NextTry = &next
	}
	if n.Finished != nil {
		at := task.At(*n.Finished)
		out.Finished = &at
	}
	return out
}
