package soaktest

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// lines are the task queues of a round.
var lines = [...]string{"soak/first", "soak/second"}

// line is the task queue of a new task. What waits in one line may stand in any order where groups
// take turns, so in lockstep each task has a line of its own.
func (c *client) line() string {
	if c.Lockstep {
		return fmt.Sprint("soak/of-", c.r.IntN(1<<40))
	}
	return lines[c.r.IntN(len(lines))]
}

// claimable is a line to claim from.
func (c *client) claimable() string {
	if !c.Lockstep {
		return c.line()
	}
	id := c.any()
	c.known.mu.RLock()
	defer c.known.mu.RUnlock()
	if bodies := c.known.bodies[id]; len(bodies) > 0 {
		return bodies[0].TaskQueueID
	}
	return lines[0]
}

// allLines are the lines of all tasks.
func (k *known) allLines() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	set := map[string]bool{}
	for _, bodies := range k.bodies {
		set[bodies[0].TaskQueueID] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// client does random operations on one replica. It is a creator, a worker and somebody who steers.
type client struct {
	*round
	n      int
	r      *rand.Rand
	at     *replica
	name   string // of the worker; the last client is a clone of the one before it
	mine   []held
	sealed string // the group that it sealed last
	calls  []Call
}

// held is a claim that the worker believes to have, or forgot to give back.
type held struct {
	id  string
	run int
}

func newClient(r *round, n int) *client {
	name := fmt.Sprint("worker-", n)
	if n > 0 && n == r.Clients-1 {
		name = fmt.Sprint("worker-", n-1)
	}
	return &client{round: r, n: n, r: rand.New(rand.NewPCG(r.Seed, uint64(n))), at: r.replicas[n%2], name: name}
}

// known is what all clients know: the tasks that were acknowledged, with every body that was offered
// for them.
type known struct {
	mu      sync.RWMutex
	ids     []string
	groups  []string
	batches [][]queue.NewTask
	bodies  map[string][]*task.Definition
	expired map[string]bool // tasks that were let expire: they must not be created again
}

func newKnown() *known {
	return &known{bodies: map[string][]*task.Definition{}, expired: map[string]bool{}}
}

// pick returns one of a list, mostly of its latest.
func pick[T any](r *rand.Rand, list []T) (one T, ok bool) {
	n := len(list)
	switch {
	case n == 0:
		return one, false
	case n > 40 && r.IntN(4) > 0:
		return list[n-1-r.IntN(40)], true
	}
	return list[r.IntN(n)], true
}

// any returns a known task, or one that does not exist.
func (c *client) any() string {
	c.known.mu.RLock()
	defer c.known.mu.RUnlock()
	if id, ok := pick(c.r, c.known.ids); ok && c.r.IntN(200) > 0 {
		return id
	}
	return c.newID()
}

func (c *client) group() string {
	c.known.mu.RLock()
	defer c.known.mu.RUnlock()
	if id, ok := pick(c.r, c.known.groups); ok && c.r.IntN(3) == 0 {
		return id
	}
	return ""
}

func (c *client) newID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], c.r.Uint64())
	binary.LittleEndian.PutUint64(b[8:], c.r.Uint64())
	return slug.FromBytes(b)
}

// body notes a definition that is offered for a task, and returns its number.
func (k *known) body(id string, d task.Definition) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bodies[id] = append(k.bodies[id], &d)
	return len(k.bodies[id]) - 1
}

func (k *known) acknowledged(batch []queue.NewTask) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range batch {
		k.ids = append(k.ids, t.ID)
	}
	if g := batch[0].Definition.TaskGroupID; len(k.groups) == 0 || k.groups[len(k.groups)-1] != g {
		k.groups = append(k.groups, g)
	}
	k.batches = append(k.batches, batch)
}

// step does one operation.
func (c *client) step(ctx context.Context) {
	for _, choice := range choices {
		if choice.of <= 0 {
			panic("soak: a choice has no weight")
		}
	}
	n := c.r.IntN(weights)
	for _, choice := range choices {
		if n -= choice.of; n < 0 {
			choice.do(c, ctx)
			return
		}
	}
}

// choices are the operations with their weights.
var choices = []struct {
	of int
	do func(*client, context.Context)
}{
	{160, (*client).create},
	{25, (*client).createAgain},
	{10, (*client).createOther},
	{200, (*client).claim},
	{280, (*client).report},
	{30, (*client).reclaim},
	{20, (*client).schedule},
	{30, (*client).rerun},
	{30, (*client).cancel},
	{6, (*client).seal},
	{6, (*client).cancelGroup},
	{20, (*client).claimTask},
	{20, (*client).priority},
	{4, (*client).groupPriority},
	{4, (*client).weight},
	{4, (*client).workerGone},
	{40, (*client).artifact},
	{80, (*client).status},
	{20, (*client).items},
	{10, (*client).list},
	{8, (*client).expireClaims},
	{8, (*client).enforceDeadlines},
	{4, (*client).removeExpired},
	{20, (*client).endClaims},
	{8, (*client).passDeadlines},
	{5, (*client).expireTasks},
}

var weights = func() (sum int) {
	for _, c := range choices {
		sum += c.of
	}
	return sum
}()

// call does one call and writes down what came of it. Now and then the caller has no patience.
func (c *client) call(ctx context.Context, k Call, do func(ctx context.Context, k *Call) error) Outcome {
	if c.n >= 0 && !c.Faultless && !c.Lockstep && c.r.IntN(150) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.r.IntN(8000))*time.Microsecond)
		defer cancel()
		c.tally.fault("caller gave up")
	}
	k.Client, k.Start = c.n, c.clock()
	err := do(ctx, &k)
	k.End, k.Outcome = c.clock(), judge(err)
	if err != nil {
		k.Error = err.Error()
	}
	if c.Lockstep {
		// What a process remembers of the lines goes by its age: a new one remembers nothing.
		c.at.queue = newQueue(c.at.pool)
		c.at.door = c.at.queue
	}
	c.calls = append(c.calls, k)
	c.tally.call(&k)
	return k.Outcome
}

// forget drops claims when the worker believes in too many.
func (c *client) forget() {
	const most = 60
	if len(c.mine) > most {
		c.mine = append([]held(nil), c.mine[len(c.mine)-most/2:]...)
	}
}
