package soaktest

import (
	"context"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// claimTask claims the first run of one task, wherever it stands.
func (c *client) claimTask(ctx context.Context) {
	id := c.any()
	c.call(ctx, Call{Verb: ClaimTask, Tasks: []string{id}, Worker: c.name}, func(ctx context.Context, k *Call) error {
		got, err := c.at.queue.ClaimTask(ctx, id, 0, queue.ClaimRequest{WorkerGroup: "soak", WorkerID: c.name})
		if k.see(got.Status, err); err == nil {
			k.Claimed = []Claimed{{Task: id, Run: got.RunID, Until: got.TakenUntil, Scopes: scopesOf(got.Credentials.Certificate)}}
			c.mine = append(c.mine, held{id, got.RunID})
		}
		return err
	})
}

func (c *client) somePriority() task.Priority {
	all := task.Priorities()
	return all[c.r.IntN(len(all))]
}

func (c *client) priority(ctx context.Context) {
	id, to := c.any(), c.somePriority()
	c.call(ctx, Call{Verb: Priority, Tasks: []string{id}, Name: string(to)}, func(ctx context.Context, k *Call) error {
		s, err := c.at.queue.ChangePriority(ctx, id, to)
		k.see(s, err)
		return err
	})
}

func (c *client) groupPriority(ctx context.Context) {
	group, ok := c.someGroup()
	if !ok {
		return
	}
	to := c.somePriority()
	c.call(ctx, Call{Verb: GroupPriority, Name: group}, func(ctx context.Context, k *Call) error {
		out, err := c.at.queue.ChangeGroupPriority(ctx, group, to)
		k.Tasks = out.TaskIDs
		return err
	})
}

func (c *client) weight(ctx context.Context) {
	group, ok := c.someGroup()
	if !ok {
		return
	}
	weight := 1 + c.r.IntN(10)
	c.call(ctx, Call{Verb: Weight, Name: group}, func(ctx context.Context, _ *Call) error {
		_, err := c.at.queue.WeighGroup(ctx, group, weight)
		return err
	})
}

// workerGone tells of this client's worker that it is no more; the client goes on believing in its
// claims, as a machine does that was cut off.
func (c *client) workerGone(ctx context.Context) {
	c.call(ctx, Call{Verb: WorkerGone, Worker: c.name}, func(ctx context.Context, k *Call) (err error) {
		k.Tasks, err = c.at.queue.WorkerGone(ctx, "", "soak", c.name)
		return err
	})
}
