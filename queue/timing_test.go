package queue_test

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/queue/timing"
	"github.com/treeline-ci/treeline/task"
)

func TestTiming(t *testing.T) {
	e := queuetest.New(t)
	group, other := slug.New(), slug.New()
	far := e.Task(t, task.Completed, queuetest.In(other), func(d *task.Definition) { d.Metadata.Name = "far" })
	one := e.Task(t, task.Failed, queuetest.In(group), func(d *task.Definition) { d.Metadata.Name, d.Tags = "one é", map[string]string{"kind": "build"} })
	two := e.Task(t, task.Unscheduled, queuetest.In(group), queuetest.After(one, far))
	if _, err := e.Queue.Rerun(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Pool.Exec(t.Context(), `INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ('test-provisioner/test-worker', 'g', 'w') ON CONFLICT DO NOTHING`); err != nil {
		t.Fatal(err)
	}
	g, err := e.Queue.Timing(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]timing.Task{}
	for _, x := range g.Tasks {
		byID[x.ID] = x
	}
	a, b := byID[one], byID[two]
	if len(g.Tasks) != 2 || a.Name != "one é" || a.Kind != "build" || a.Priority == 0 || len(a.Runs) != 2 || len(b.Runs) != 0 || len(b.Needs) != 2 || b.State != task.Unscheduled {
		t.Fatalf("got %+v", g.Tasks)
	}
	first, again := a.Runs[0], a.Runs[1]
	if first.State != task.Failed || first.Reason != task.ReasonFailed || first.WorkerID == "" || first.Started.Before(first.Scheduled) || first.Resolved.Before(first.Started) {
		t.Errorf("the first run is %+v", first)
	}
	if again.Created != task.CreatedRerun || !again.Started.IsZero() || !again.Resolved.IsZero() || again.Scheduled.Before(first.Resolved) {
		t.Errorf("the second run is %+v", again)
	}
	if len(g.Outside) != 1 || g.Outside[0].ID != far || g.Outside[0].Name != "far" || g.Outside[0].Resolved.IsZero() {
		t.Errorf("outside are %+v", g.Outside)
	}
	if len(g.Workers) == 0 || g.Workers[0].FirstClaim.IsZero() || g.Created.IsZero() || g.Now.Sub(g.Created) > time.Minute {
		t.Errorf("got %+v", g)
	}
	if g, err = e.Queue.Timing(t.Context(), other); err != nil || len(g.Others) != 0 {
		t.Errorf("what ran behind is told: %+v, %v", g.Others, err)
	}
	late := e.Task(t, task.Completed, queuetest.In(other))
	if g, err = e.Queue.Timing(t.Context(), other); err != nil || len(g.Others) != 1 || g.Others[0].Started.IsZero() || g.Others[0].Queue != a.Queue {
		t.Errorf("while %s and %s waited there were %+v, %v", far, late, g.Others, err)
	}
	if g, err = e.Queue.Timing(t.Context(), slug.New()); err != nil || len(g.Tasks) != 0 || !g.Created.IsZero() {
		t.Errorf("a group that is not there: %+v, %v", g, err)
	}
}

// BenchmarkTiming reads one of ten groups.
func BenchmarkTiming(b *testing.B) {
	for name, tasks := range map[string]int{"1000": 1000, "10000": 10_000} {
		b.Run(name, func(b *testing.B) {
			e := queuetest.New(b)
			groups := e.Groups(b, 10, tasks)
			for b.Loop() {
				if g, err := e.Queue.Timing(b.Context(), groups[0]); err != nil || len(g.Tasks) != tasks {
					b.Fatal(err)
				}
			}
		})
	}
}
