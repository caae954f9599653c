package intake

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestASecondRunOfADecisionKnowsWhetherTheGraphIsThere(t *testing.T) {
	e := queuetest.New(t)
	id := slug.Nice()
	e.Create(t, id, queuetest.Define(queuetest.In(id), queuetest.OnQueue(decisionQueue)))
	graph := []queue.NewTask{
		{ID: slug.New(), Definition: queuetest.Define(queuetest.In(id), queuetest.After(id))},
		{ID: slug.New(), Definition: queuetest.Define(queuetest.In(id), queuetest.After(id))},
	}
	run := func(n int) bool {
		t.Helper()
		d := &nativeDecision{Intake: New(Deps{Queue: e.Queue}), claim: queue.Claim{Status: e.Status(t, id), RunID: n}}
		done, err := d.submittedBefore(t.Context(), graph)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	// The file of the push may ask for more than the decision, even for what waits for it.
	e.Task(t, task.Pending, queuetest.In(id))
	e.Task(t, task.Unscheduled, queuetest.In(id), queuetest.After(id))
	if run(1) {
		t.Error("other tasks of the group are taken for the graph, which would never be made")
	}
	if _, err := e.Queue.CreateBatch(t.Context(), graph); err != nil {
		t.Fatal(err)
	}
	if !run(1) {
		t.Error("the graph is there, and is not seen")
	}
}

func TestADecisionThatExpiredDoesNotHoldUpTheReports(t *testing.T) {
	e := queuetest.New(t)
	log := push.New(e.Pool, func() {}, slog.New(slog.DiscardHandler))
	in := New(Deps{Queue: e.Queue, Push: log, Log: slog.New(slog.DiscardHandler)})
	if err := log.Register(t.Context(), push.Repository{Name: "mine", Kind: "git-local", Level: 3}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := log.Record(t.Context(), push.Push{Repository: "mine", Revision: "aaaa", Branch: "main"}, ""); err != nil {
		t.Fatal(err)
	}
	gone := slug.Nice()
	if err := log.SetOutcome(t.Context(), "mine", 1, push.Outcome{State: push.Deciding, TaskGroupID: gone}); err != nil {
		t.Fatal(err)
	}
	if err := in.reportEvent(t.Context(), event.Event{Kind: "task-completed", TaskID: gone, TaskGroupID: gone, Time: time.Now()}); err != nil {
		t.Errorf("the consumer would see this event for ever: %v", err)
	}
}

func TestAPushThatCanNeverBeTakenIsRefusedWithTheReason(t *testing.T) {
	w := watch(t)
	w.in.Open = func(context.Context, push.Repository) (Forge, error) { return LocalForge(w.repo), nil }
	w.commit("a")
	large, err := os.Create(filepath.Join(w.dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(17<<20), large.Close()); err != nil {
		t.Fatal(err)
	}
	w.git("add", "-A")
	w.git("commit", "-q", "-m", "too much")
	w.look()
	for _, c := range []struct {
		revision, code, text string
	}{
		{w.git("rev-parse", "HEAD"), "bad-config", "too large"},
		{strings.Repeat("5", 40), "no-revision", "Push again"},
	} {
		_, _, err := w.in.render(t.Context(), push.Push{Repository: "mine", ID: 1, Revision: c.revision, Branch: "main"})
		wrong, ok := errors.AsType[*mistakeError](err)
		if !ok || wrong.what.Code != c.code || !strings.Contains(wrong.what.Message, c.text) {
			t.Errorf("%s: %v", c.code, err)
		}
	}
}
