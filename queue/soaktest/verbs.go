package soaktest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// define makes up a task.
func (c *client) define(group string) task.Definition {
	now := time.Now()
	priorities := task.Priorities()
	return task.Definition{
		TaskQueueID: c.line(), SchedulerID: "-", ProjectID: "none", TaskGroupID: group,
		Requires: []task.Requires{task.AllCompleted, task.AllResolved}[c.r.IntN(2)], Priority: priorities[c.r.IntN(len(priorities))], Retries: c.r.IntN(4),
		Created: task.At(now), Deadline: task.At(now.Add(time.Hour)), Expires: task.At(now.Add(24*time.Hour + time.Duration(c.r.IntN(300))*time.Minute)),
		Dependencies: []string{}, Routes: []string{}, Tags: map[string]string{}, Extra: json.RawMessage(`{}`),
		Scopes:   []string{fmt.Sprint("soak:secret:", c.r.IntN(1000))},
		Payload:  json.RawMessage(fmt.Sprintf(`{"number": %d}`, c.r.IntN(1<<30))),
		Metadata: task.Metadata{Name: "soak", Description: "A task of a test.", Owner: "soak@example.com", Source: "https://example.com/source"},
	}
}

// create creates one task or a small graph, and repeats itself until it is told the outcome.
func (c *client) create(ctx context.Context) {
	size := 1
	if c.r.IntN(3) == 0 {
		size = 2 + c.r.IntN(6)
	}
	group := c.group()
	if group == "" {
		group = c.newID()
	}
	batch := make([]queue.NewTask, size)
	for i := range batch {
		batch[i].ID = c.newID()
	}
	for i := range batch {
		d := c.define(group)
		deps := map[string]bool{}
		for range c.r.IntN(3) {
			switch {
			case size > 1 && c.r.IntN(2) == 0:
				deps[batch[c.r.IntN(i+1)].ID] = true // itself, sometimes: that waits to be scheduled
			default:
				deps[c.any()] = true
			}
		}
		for id := range deps {
			d.Dependencies = append(d.Dependencies, id)
		}
		slices.Sort(d.Dependencies)
		batch[i].Definition = d
	}
	c.offer(ctx, batch)
}

// offer creates a batch, again and again until the outcome is known.
func (c *client) offer(ctx context.Context, batch []queue.NewTask) {
	k := Call{Verb: Create}
	for _, t := range batch {
		k.Tasks, k.Bodies = append(k.Tasks, t.ID), append(k.Bodies, c.known.body(t.ID, t.Definition))
	}
	for range 20 {
		switch c.createCall(ctx, k, batch) {
		case OK:
			c.known.acknowledged(batch)
			return
		case Unknown:
			continue
		}
		return
	}
}

func (c *client) createCall(ctx context.Context, k Call, batch []queue.NewTask) Outcome {
	return c.call(ctx, k, func(ctx context.Context, k *Call) (err error) {
		k.Seen, err = c.at.door.CreateBatch(ctx, batch)
		return err
	})
}

// createAgain creates once more what somebody created before.
func (c *client) createAgain(ctx context.Context) {
	c.known.mu.RLock()
	defer c.known.mu.RUnlock() // nothing of it may expire meanwhile
	batch, ok := pick(c.r, c.known.batches)
	if !ok {
		return
	}
	k := Call{Verb: Create}
	for _, t := range batch {
		if c.known.expired[t.ID] {
			return
		}
		k.Tasks, k.Bodies = append(k.Tasks, t.ID), append(k.Bodies, 0)
	}
	c.createCall(ctx, k, batch)
}

// createOther offers another definition for a task that exists.
func (c *client) createOther(ctx context.Context) {
	c.known.mu.RLock()
	batch, ok := pick(c.r, c.known.batches)
	ok = ok && !c.known.expired[batch[0].ID]
	c.known.mu.RUnlock()
	if !ok {
		return
	}
	other := batch[0]
	other.Definition.Payload = json.RawMessage(fmt.Sprintf(`{"other": %d}`, c.r.IntN(1<<30)))
	k := Call{Verb: Create, Tasks: []string{other.ID}, Bodies: []int{c.known.body(other.ID, other.Definition)}}
	c.known.mu.RLock()
	defer c.known.mu.RUnlock()
	if !c.known.expired[other.ID] {
		c.createCall(ctx, k, []queue.NewTask{other})
	}
}

func (c *client) claim(ctx context.Context) {
	most := []int{1, 1, 1, 2, 4, 32}[c.r.IntN(6)]
	req := queue.ClaimRequest{TaskQueueID: c.claimable(), WorkerGroup: "soak", WorkerID: c.name, Tasks: most}
	if c.r.IntN(3) == 0 {
		req.Wait = time.Duration(c.r.IntN(5)) * time.Millisecond
	}
	c.claimFrom(ctx, req)
}

// claimFrom claims and returns how many tasks it got.
func (c *client) claimFrom(ctx context.Context, req queue.ClaimRequest) int {
	got := 0
	c.call(ctx, Call{Verb: Claim, Worker: req.WorkerID}, func(ctx context.Context, k *Call) error {
		claims, err := c.at.door.Claim(ctx, req)
		for _, one := range claims {
			k.Seen = append(k.Seen, one.Status)
			k.Claimed = append(k.Claimed, Claimed{Task: one.Status.TaskID, Run: one.RunID, Until: one.TakenUntil, Scopes: scopesOf(one.Credentials.Certificate)})
			c.mine = append(c.mine, held{one.Status.TaskID, one.RunID})
		}
		got = len(claims)
		return err
	})
	c.forget()
	return got
}

// scopesOf returns what a certificate allows.
func scopesOf(certificate string) []string {
	var cert hawk.Certificate
	if err := json.Unmarshal([]byte(certificate), &cert); err != nil {
		return []string{"the certificate cannot be read: " + err.Error()}
	}
	return cert.Scopes
}

// one takes one of the worker's claims, an old one sometimes; it forgets it, but not always.
func (c *client) one(keep bool) (held, bool) {
	if len(c.mine) == 0 {
		return held{}, false
	}
	i := c.r.IntN(len(c.mine))
	h := c.mine[i]
	if !keep {
		c.mine = slices.Delete(c.mine, i, i+1)
	}
	return h, true
}

func (c *client) report(ctx context.Context) {
	h, ok := c.one(c.r.IntN(8) == 0)
	if !ok {
		c.claim(ctx)
		return
	}
	reason := task.ReasonCompleted
	switch n := c.r.IntN(10); {
	case n == 0:
		reason = task.ReasonFailed
	case n < 3:
		reason = []task.ReasonResolved{
			task.ReasonWorkerShutdown, task.ReasonIntermittentTask, task.ReasonMalformedPayload, task.ReasonResourceUnavailable, task.ReasonInternalError,
		}[c.r.IntN(5)]
	}
	for range 5 { // as a worker does that was not answered
		if c.reportCall(ctx, h, reason) != Unknown {
			return
		}
	}
}

func (c *client) reportCall(ctx context.Context, h held, reason task.ReasonResolved) Outcome {
	k := Call{Verb: Report, Tasks: []string{h.id}, Run: h.run, Reason: reason}
	return c.call(ctx, k, func(ctx context.Context, k *Call) (err error) {
		var s task.Status
		switch reason {
		case task.ReasonCompleted:
			s, err = c.at.door.ReportCompleted(ctx, h.id, h.run)
		case task.ReasonFailed:
			s, err = c.at.door.ReportFailed(ctx, h.id, h.run)
		default:
			s, err = c.at.door.ReportException(ctx, h.id, h.run, reason)
		}
		k.see(s, err)
		return err
	})
}

func (c *client) reclaim(ctx context.Context) {
	h, ok := c.one(true)
	if !ok {
		return
	}
	c.call(ctx, Call{Verb: Reclaim, Tasks: []string{h.id}, Run: h.run}, func(ctx context.Context, k *Call) error {
		got, err := c.at.door.Reclaim(ctx, h.id, h.run)
		if k.see(got.Status, err); err == nil {
			k.Claimed = []Claimed{{Task: h.id, Run: got.RunID, Until: got.TakenUntil, Scopes: scopesOf(got.Credentials.Certificate)}}
		}
		return err
	})
}

// see notes the status in an answer.
func (k *Call) see(s task.Status, err error) {
	if err == nil {
		k.Seen = []task.Status{s}
	}
}

func (c *client) schedule(ctx context.Context) { c.steer(ctx, Schedule, c.at.door.Schedule) }
func (c *client) rerun(ctx context.Context)    { c.steer(ctx, Rerun, c.at.door.Rerun) }
func (c *client) cancel(ctx context.Context)   { c.steer(ctx, Cancel, c.at.door.Cancel) }
func (c *client) status(ctx context.Context)   { c.steer(ctx, Status, c.at.door.Status) }

func (c *client) steer(ctx context.Context, v Verb, do func(context.Context, string) (task.Status, error)) {
	id := c.any()
	c.call(ctx, Call{Verb: v, Tasks: []string{id}}, func(ctx context.Context, k *Call) error {
		s, err := do(ctx, id)
		k.see(s, err)
		return err
	})
}

func (c *client) items(ctx context.Context) {
	ids := []string{c.any(), c.any(), c.any()}
	c.call(ctx, Call{Verb: Items, Tasks: ids}, func(ctx context.Context, k *Call) error {
		items, err := c.at.door.Items(ctx, ids)
		for _, i := range items {
			k.Seen = append(k.Seen, i.Status)
		}
		return err
	})
}

func (c *client) someGroup() (string, bool) {
	c.known.mu.RLock()
	defer c.known.mu.RUnlock()
	return pick(c.r, c.known.groups)
}

func (c *client) list(ctx context.Context) {
	group, ok := c.someGroup()
	if !ok {
		return
	}
	c.call(ctx, Call{Verb: List, Name: group}, func(ctx context.Context, k *Call) error {
		page, err := c.at.door.ListGroup(ctx, group, 20, "")
		for _, t := range page.Tasks {
			k.Seen = append(k.Seen, t.Status)
		}
		return err
	})
}

func (c *client) seal(ctx context.Context) {
	group, ok := c.someGroup()
	if !ok {
		return
	}
	c.sealed = group
	c.call(ctx, Call{Verb: SealGroup, Name: group}, func(ctx context.Context, _ *Call) error {
		_, err := c.at.door.SealGroup(ctx, group)
		return err
	})
}

func (c *client) cancelGroup(ctx context.Context) {
	group, ok := c.someGroup()
	if c.sealed != "" && c.r.IntN(4) > 0 {
		group = c.sealed
	}
	if !ok {
		return
	}
	c.call(ctx, Call{Verb: CancelGroup, Name: group}, func(ctx context.Context, k *Call) error {
		out, err := c.at.door.CancelGroup(ctx, group)
		k.Tasks = out.TaskIDs
		return err
	})
}

func (c *client) artifact(ctx context.Context) {
	h, ok := c.one(true)
	if !ok {
		return
	}
	name := fmt.Sprint("public/", c.r.IntN(3))
	a := queue.NewArtifact{StorageType: queue.StorageReference, ContentType: "text/plain", Expires: task.At(c.begin.Add(20 * time.Hour)), URL: "https://example.com/" + name}
	c.call(ctx, Call{Verb: Artifact, Tasks: []string{h.id}, Run: h.run, Name: name}, func(ctx context.Context, _ *Call) error {
		_, err := c.at.door.CreateArtifact(ctx, h.id, h.run, name, a)
		return err
	})
}

func (c *client) expireClaims(ctx context.Context) {
	c.loop(ctx, ExpireClaims, c.at.queue.ExpireClaims)
}
func (c *client) enforceDeadlines(ctx context.Context) {
	c.loop(ctx, EnforceDeadlines, c.at.queue.EnforceDeadlines)
}
func (c *client) removeExpired(ctx context.Context) {
	c.loop(ctx, RemoveExpired, func(ctx context.Context) error { _, err := c.at.queue.RemoveExpired(ctx); return err })
}

func (c *client) loop(ctx context.Context, v Verb, round func(context.Context) error) {
	c.call(ctx, Call{Verb: v}, func(ctx context.Context, _ *Call) error { return round(ctx) })
}

// endClaims lets the claims of some tasks end; their workers do not notice.
func (c *client) endClaims(ctx context.Context) {
	ids := []string{c.any(), c.any()}
	if h, ok := c.one(true); ok {
		ids = append(ids, h.id)
	}
	c.call(ctx, Call{Verb: ClaimsEnd, Tasks: ids}, func(ctx context.Context, _ *Call) error {
		return lapse(ctx, c.clean, claimsEndSQL, ids)
	})
}

func (c *client) passDeadlines(ctx context.Context) {
	ids := []string{c.any()}
	c.call(ctx, Call{Verb: DeadlinesPass, Tasks: ids}, func(ctx context.Context, _ *Call) error {
		return lapse(ctx, c.clean, deadlinesPassSQL, ids)
	})
}

// expireTasks lets tasks expire that are not of the latest.
func (c *client) expireTasks(ctx context.Context) {
	c.known.mu.Lock()
	var ids []string
	if n := len(c.known.ids) - 100; n > 0 {
		ids = []string{c.known.ids[c.r.IntN(n)], c.known.ids[c.r.IntN(n)]}
		for _, id := range ids {
			c.known.expired[id] = true
		}
	}
	c.known.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	c.call(ctx, Call{Verb: TasksExpire, Tasks: ids}, func(ctx context.Context, _ *Call) error {
		return lapse(ctx, c.clean, tasksExpireSQL, ids)
	})
}
