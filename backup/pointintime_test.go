package backup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

// story is what becomes of some tasks before and after the point to which the database is put back.
type story struct {
	*site
	root *client.Client
	load *load

	early, late, same, again, second client.Claim // before the point; the others after it
	ids                              map[string]string
	started                          int    // how often the real worker's command was, before the disaster
	marks                            string // the file in which a real worker's task counts its starts
	positions                        int64  // of the feed, before the disaster
	numbers                          map[string]int64
	done                             map[string]bool // tasks of the load that were done at the point
}

const loadQueue = "test/load"

// TestADatabaseThatIsPutBackToAPointInTime archives a database under load, loses it, puts it back to a point before some
// claims and reports, and goes on: no claim from after the point counts, every task is done, once, and numbers that were
// given after the point are not given again.
func TestADatabaseThatIsPutBackToAPointInTime(t *testing.T) {
	s := &story{site: newSite(t), ids: map[string]string{}, done: map[string]bool{}}
	s.start("first")
	long, short := s.front(), s.front() // servers that let workers be silent for long, and for a moment
	stopLong := s.serve(long, 10*time.Minute)
	stopShort := s.serve(short, 5*time.Second)
	s.Cleanup(stopLong)
	s.Cleanup(stopShort)
	s.root = s.client(long)
	s.marks = filepath.Join(t.TempDir(), "marks")
	s.load = &load{T: t, client: s.client(short), queue: loadQueue, phase: "before", accepted: map[string]map[string]int{}, refused: map[string]int{}}
	stopLoad := s.load.start(4)
	defer stopLoad()

	s.beforeThePoint()
	base := filepath.Join(s.dir, "base")
	s.baseBackup(base)
	s.createMany(20)
	s.more("before", 10)
	s.load.gate.Lock() // whoever has a claim keeps it for now
	s.createMany(200)
	s.point()
	stopWorker := s.realWorker(s.client(short))
	defer stopWorker()
	s.afterThePoint()
	s.load.gate.Unlock()
	s.more("before", 10)
	s.load.gate.Lock()
	s.until("workers hold claims from after the point", func() bool { return s.load.holding() == 4 })
	s.remember()
	s.archived()
	s.end(time.Nanosecond) // a disaster
	stopLong()
	stopShort()
	s.started = starts(s.marks)
	s.must(os.WriteFile(s.marks+".go", nil, 0o600)) // from now on the command ends at once, when it is started anew

	began := time.Now()
	s.restore(base, "second", "the_point")
	s.forgotten()
	if _, err := app.Restored(t.Context(), s.pool, "the operator", false); err != nil {
		t.Fatal(err)
	}
	stopThird := s.serve(long, 10*time.Minute)
	s.Cleanup(stopThird)
	short.behind.Store(long.behind.Load())
	t.Logf("from the restore to a server that answers: %v", time.Since(began).Round(time.Millisecond))
	s.load.enter("after")
	s.load.gate.Unlock()

	t.Run("a claim from before the point goes on", s.claimsGoOn)
	t.Run("a run that was claimed after the point belongs to who claims it now", s.lostClaim)
	t.Run("also when the same worker claims it again", s.sameWorker)
	t.Run("a run that was made after the point, and is made again", s.secondRun)
	t.Run("a report from after the point is forgotten, and the task done anew", s.lostReport)
	t.Run("a worker drops what it claimed after the point, and does it again", s.realWorkerDrops)
	t.Run("under load every task is done once", s.everyTaskOnce)
	t.Run("numbers are not given again", s.numbersGoOn)
}

func (s *story) beforeThePoint() {
	for _, name := range []string{"early", "late", "same", "again", "reported"} {
		s.ids[name] = s.create(s.root, "test/"+name, nil)
	}
	s.ids["real"] = s.create(s.root, "test/real", map[string]any{"maxRunTime": 600, "command": [][]string{
		{"sh", "-c", fmt.Sprintf("echo start >>%s; test -e %s.go || sleep 500", s.marks, s.marks)}}})
	s.early, s.again = s.claim(s.root, "test/early", "early"), s.claim(s.root, "test/again", "again")
	s.createMany(100)
}

// createMany makes tasks for the load.
func (s *story) createMany(n int) {
	s.Helper()
	group, list := slug.New(), make([]client.NewTask, n)
	for i := range list {
		list[i] = client.NewTask{TaskID: slug.New(), Task: definition(group, loadQueue, nil)}
	}
	_, err := s.root.CreateTasks(s.Context(), list)
	s.must(err)
}

// more waits until the load did so many more.
func (s *story) more(phase string, n int) {
	s.Helper()
	was := s.load.count(phase)
	s.until("the load goes on", func() bool { return s.load.count(phase) >= was+n })
}

// point marks the point, and notes what was done by then.
func (s *story) point() {
	s.Helper()
	_, err := s.pool.Exec(s.Context(), "SELECT pg_create_restore_point('the_point')")
	s.must(err)
}

func (s *story) afterThePoint() {
	s.late, s.same = s.claim(s.root, "test/late", "late"), s.claim(s.root, "test/same", "same")
	_, err := s.as(s.again).ReportException(s.Context(), s.ids["again"], 0, task.ReasonWorkerShutdown)
	s.must(err)
	s.second = s.claim(s.root, "test/again", "second")
	reported := s.claim(s.root, "test/reported", "reporter")
	_, err = s.as(reported).ReportCompleted(s.Context(), s.ids["reported"], 0)
	s.must(err)
	s.until("the real worker works", func() bool { return starts(s.marks) > 0 })
	s.createMany(20) // of which nothing will be known
}

// remember notes what the database gave before the disaster.
func (s *story) remember() {
	s.Helper()
	s.must(s.pool.QueryRow(s.Context(), "SELECT max(position) FROM event_order").Scan(&s.positions))
	s.numbers = s.sequences()
}

func (s *story) as(k client.Claim) *client.Client {
	return s.root.WithCredentials(k.Credentials.Hawk())
}

// forgotten looks before it is said that the database was put back: the doctor sees it.
func (s *story) forgotten() {
	s.Helper()
	s.movedIsFound()
	rows, err := s.pool.Query(s.Context(), "SELECT task_id FROM tasks WHERE task_queue_id = $1 AND state = 'completed'", loadQueue)
	s.must(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	for _, id := range ids {
		s.done[id] = true
	}
}

// realWorker starts the program's own worker, which knows nothing of any restore.
func (s *story) realWorker(c *client.Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	ended := make(chan error, 1)
	dir := s.T.TempDir()
	go func() {
		ended <- workers.Run(ctx, workers.Config{Client: c, TaskQueueID: "test/real", WorkerGroup: "g", WorkerID: "real", Dir: dir, Grace: time.Millisecond, KillGrace: time.Second, Log: slog.New(slog.DiscardHandler)})
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			s.Error(err)
		}
	}
}

func (s *story) claimsGoOn(t *testing.T) {
	k, err := s.as(s.early).Reclaim(t.Context(), s.ids["early"], 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.as(k).ReportCompleted(t.Context(), s.ids["early"], 0); err != nil {
		t.Error(err)
	}
}

// refused has an old claim do all that claims are for; all of it must be refused as a conflict. says is in the reason.
func (s *story) refused(t *testing.T, k client.Claim, id, says string) {
	t.Helper()
	old := s.as(k)
	_, reclaim := old.Reclaim(t.Context(), id, k.RunID)
	_, completed := old.ReportCompleted(t.Context(), id, k.RunID)
	_, failed := old.ReportFailed(t.Context(), id, k.RunID)
	_, exception := old.ReportException(t.Context(), id, k.RunID, task.ReasonWorkerShutdown)
	_, finish := old.FinishRun(t.Context(), id, k.RunID, task.ReasonCompleted, []client.WholeArtifact{})
	made := old.ErrorArtifact(t.Context(), id, k.RunID, "public/x", client.FileMissing, "m", task.At(time.Now().Add(time.Hour)))
	for what, err := range map[string]error{"reclaim": reclaim, "completed": completed, "failed": failed, "exception": exception, "finish": finish, "artifact": made} {
		if !errors.Is(err, fault.Conflict) && (says != "" || !errors.Is(err, fault.NotFound)) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// finish does a task as a new worker, while an old claim tries to get between.
func (s *story) finish(t *testing.T, name, worker string, old client.Claim) {
	t.Helper()
	id := s.ids[name]
	k := s.claim(s.root, "test/"+name, worker)
	if k.RunID != old.RunID {
		t.Errorf("run %d is claimed now, and %d was before", k.RunID, old.RunID)
	}
	s.refused(t, old, id, "is not yours any more")
	if got := s.state(s.root, id); got != fmt.Sprintf("running/%d", k.RunID) {
		t.Errorf("the task is %s", got)
	}
	if _, err := s.as(k).ReportCompleted(t.Context(), id, k.RunID); err != nil {
		t.Error(err)
	}
	s.refused(t, old, id, "is not yours any more")
}

func (s *story) lostClaim(t *testing.T) {
	s.refused(t, s.late, s.ids["late"], "") // while nobody has claimed it
	s.finish(t, "late", "new", s.late)
}

func (s *story) sameWorker(t *testing.T) { s.finish(t, "same", "same", s.same) }

func (s *story) secondRun(t *testing.T) {
	if _, err := s.as(s.again).ReportException(t.Context(), s.ids["again"], 0, task.ReasonWorkerShutdown); err != nil {
		t.Fatal(err)
	}
	s.finish(t, "again", "third", s.second)
}

func (s *story) lostReport(t *testing.T) {
	if got := s.state(s.root, s.ids["reported"]); got != "pending/0" {
		t.Errorf("the task is %s", got)
	}
	k := s.claim(s.root, "test/reported", "other")
	if _, err := s.as(k).ReportCompleted(t.Context(), s.ids["reported"], 0); err != nil {
		t.Error(err)
	}
}

func (s *story) realWorkerDrops(t *testing.T) {
	s.until("the real worker's task is done", func() bool { return s.state(s.root, s.ids["real"]) == "completed/0" })
	if n := starts(s.marks); n != s.started+1 {
		t.Errorf("its command was started %d times, %d of them before", n, s.started)
	}
}

func (s *story) everyTaskOnce(t *testing.T) {
	states := map[string]task.State{}
	s.until("all tasks of the load are done", func() bool {
		rows, err := s.pool.Query(s.Context(), "SELECT task_id, state FROM tasks WHERE task_queue_id = $1", loadQueue)
		s.must(err)
		var id, state string
		open := 0
		_, err = pgx.ForEachRow(rows, []any{&id, &state}, func() error {
			if states[id] = task.State(state); state != "completed" {
				open++
			}
			return nil
		})
		s.must(err)
		return open == 0
	})
	// The last of them may have their answer still on the way.
	s.until("the workers know it", func() bool { return s.load.count("after") >= len(states)-len(s.done) })
	s.load.check("after", s.done, states)
	if len(states) != 320 {
		t.Errorf("there are %d tasks, not those from before the point", len(states))
	}
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	t.Logf("load: %d reports before, %d of them done at the point; after: %d taken, %d refused, %d of tasks that are no more",
		len(s.load.accepted["before"]), len(s.done), len(s.load.accepted["after"]), s.load.refused["after"], s.load.missing)
	if s.load.refused["after"]+s.load.missing == 0 {
		t.Error("no worker came with a claim from after the point")
	}
}

func (s *story) numbersGoOn(t *testing.T) {
	for name, last := range s.sequences() {
		if last > 0 && last <= s.numbers[name] {
			t.Errorf("the sequence %s is at %d, and was at %d before the disaster", name, last, s.numbers[name])
		}
	}
	feed := event.NewFeed(s.pool, slog.New(slog.DiscardHandler))
	for _, err := range feed.Subscribe(t.Context(), event.Filter{After: &s.positions}) {
		if !errors.Is(err, event.ErrTooFarBehind) {
			t.Errorf("who was at position %d before goes on: %v", s.positions, err)
		}
		break
	}
	if l, err := backup.Look(t.Context(), s.pool); err != nil || l.Moved() || l.How != "restored" || l.Is.Timeline < 2 {
		t.Errorf("%+v %v", l, err)
	}
}
