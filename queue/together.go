package queue

import (
	"context"
	"runtime"
	"time"

	"github.com/treeline-ci/treeline/queue/combine"
	"github.com/treeline-ci/treeline/task"
)

// together has the verbs whose concurrent calls share a transaction, so that a busy process pays for fewer
// round trips, fewer statements and fewer commits. A call that comes alone has a transaction of its
// own. No call's outcome depends on the others of its transaction.
type together struct {
	creates *combine.Combiner[[]NewTask, []task.Status]
	claims  *combine.Combiner[ClaimRequest, offer]
	reports *combine.Combiner[report, task.Status]
	looks   *combine.Combiner[string, task.Status]
}

// maxTogether is how many bytes of definitions are created in one transaction, unless one call has more.
const maxTogether = 4 << 20

// maxPicked is how many tasks are claimed in one transaction.
const maxPicked = 256

// gateWait is how long a batch that writes waits at most until others have ended, while the processors are busy.
const gateWait = 10 * time.Millisecond

func newTogether(q *Queue) together {
	gate := combine.NewGate(max(2, runtime.GOMAXPROCS(0)), gateWait)
	return together{
		creates: combine.New(combine.Options[[]NewTask, []task.Status]{Run: q.createTogether, Size: sizeOf, MaxSize: maxTogether, Gate: gate}),
		claims: combine.New(combine.Options[ClaimRequest, offer]{
			Run: q.claimTogether, Key: func(r ClaimRequest) string { return r.TaskQueueID },
			Size: func(r ClaimRequest) int { return r.Tasks }, MaxSize: maxPicked, Lost: q.takeBack, Gate: gate,
		}),
		reports: combine.New(combine.Options[report, task.Status]{Run: q.reportTogether, Gate: gate}),
		looks:   combine.New(combine.Options[string, task.Status]{Run: q.lookTogether, Running: 2}),
	}
}

// sizeOf is about how many bytes the definitions have.
func sizeOf(tasks []NewTask) int {
	size := 0
	for i := range tasks {
		d := &tasks[i].Definition
		size += 500 + len(d.Payload) + len(d.Extra) + len(d.Metadata.Description) + 25*len(d.Dependencies) + 100*(len(d.Routes)+len(d.Scopes)+len(d.Tags))
	}
	return size
}

// lookTogether reads how the tasks of several calls stand.
func (q *Queue) lookTogether(ctx context.Context, calls []combine.Call[string]) ([]combine.Answer[task.Status], error) {
	ids := make([]string, len(calls))
	for i, c := range calls {
		ids[i] = c.Item
	}
	statuses, err := q.Statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*task.Status, len(statuses))
	for i := range statuses {
		byID[statuses[i].TaskID] = &statuses[i]
	}
	answers := make([]combine.Answer[task.Status], len(calls))
	for i, id := range ids {
		if s := byID[id]; s != nil {
			answers[i].Value = *s
		} else {
			answers[i].Err = noTask(id)
		}
	}
	return answers, nil
}
