package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// TestWhatOthersGotWrong has a test for each trouble that Taskcluster's users met and that the queue must
// not have; the number is that of Taskcluster's issue. Some go into more depth elsewhere.
func TestWhatOthersGotWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"#8525 a pending task always has its place in line", pendingHasItsRow},
		{"#7472 the tasks of a worker that is gone are tried again at once", workerGone},
		{"#8863 a claim that the worker never saw, because it was about to reboot, does not hold its task", claimUnseen},
		{"#8863 a worker that comes back after a reboot gives back what it had claimed, and is not heard about it any more", claimBeforeReboot},
		{"#7829 a dependent that cannot go on does not hold up the next", TestEveryDependentIsJudgedForItself},
		{"#3363 the last two dependencies resolved at once release their dependent", TestTheLastTwoDependenciesAtOnce},
		{"#3363 a task created while its dependency is resolved is released", TestCreationAgainstResolution},
		{"#3363 a failed dependency that is rerun to green releases its dependents", TestARerunToGreenReleases},
		{"#7562 artifacts that expire with their task are there as long as the task", expireTogether},
		{"#7562 an artifact whose expiry is put off keeps its content", expiryPutOff},
		{"an upload that never ends does not hold its task for ever", uploadNeverEnds},
	} {
		t.Run(c.name, c.test)
	}
}

// pendingHasItsRow takes a task through everything that makes it pending. Check compares each state
// with the line.
func pendingHasItsRow(t *testing.T) {
	e := queuetest.New(t)
	root := e.Task(t, task.Running)
	id := e.Task(t, task.Unscheduled, queuetest.After(root))
	held := e.Task(t, task.Unscheduled, queuetest.After(root))
	step := func(what string, s task.Status, err error) {
		t.Helper()
		if err != nil || s.State != task.Pending {
			t.Fatalf("%s: %s, %v", what, s.State, err)
		}
		e.Check(t)
	}
	s, err := e.Queue.Schedule(t.Context(), held)
	step("scheduled by hand", s, err)
	must(t)(e.Queue.ReportCompleted(t.Context(), root, 0))
	step("released", e.Status(t, id), nil)
	s, err = e.Queue.ReportException(t.Context(), id, e.Run(t, id), task.ReasonWorkerShutdown)
	step("given back", s, err)
	e.Run(t, id)
	e.EndClaims(t, id)
	step("claim expired", e.Status(t, id), nil)
	must(t)(e.Queue.Cancel(t.Context(), id))
	s, err = e.Queue.Rerun(t.Context(), id)
	step("run again", s, err)
}

func workerGone(t *testing.T) {
	e := queuetest.New(t)
	const many = 250 // more than one transaction takes
	for range many {
		e.Task(t, task.Pending)
	}
	dependents := map[string]bool{}
	for len(dependents) < many {
		claims := claim(t, e.Queue, ask("lost", queue.MaxClaim, 0))
		for _, k := range claims {
			dependents[k.Status.TaskID] = true
		}
	}
	kept := e.Task(t, task.Running)
	late := e.Task(t, task.Pending)
	claim(t, e.Queue, ask("lost", 1, 0))
	e.PassDeadlines(t, late)
	began := time.Now()
	ids, err := e.Queue.WorkerGone(t.Context(), "", "g", "lost")
	if err != nil || len(ids) != many {
		t.Fatalf("%d tasks were given back: %v", len(ids), err)
	}
	t.Logf("%d tasks were given back in %v", many, time.Since(began))
	for _, id := range ids {
		s := e.Status(t, id)
		if !dependents[id] || s.State != task.Pending || len(s.Runs) != 2 || s.Runs[0].ReasonResolved != task.ReasonWorkerShutdown || s.Runs[1].ReasonCreated != task.CreatedRetry {
			t.Fatalf("task %s: %+v", id, s)
		}
	}
	if got := e.Status(t, kept).State; got != task.Running {
		t.Errorf("the task of another worker is %s", got)
	}
	if again, err := e.Queue.WorkerGone(t.Context(), "", "g", "lost"); err != nil || len(again) != 0 {
		t.Errorf("told twice: %v, %v", again, err)
	}
	if got := claim(t, e.Queue, ask("next", 1, 0)); len(got) != 1 {
		t.Error("another worker gets nothing")
	}
	if err := e.Queue.EnforceDeadlines(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.Status(t, late).State; got != task.Exception {
		t.Errorf("the task past its deadline is %s", got)
	}
	e.Check(t)
}

// claimUnseen: whoever waits for work and leaves, gets none; the work goes to the next.
func claimUnseen(t *testing.T) {
	e := queuetest.New(t)
	ctx, reboot := context.WithCancel(t.Context())
	answer := make(chan []queue.Claim, 1)
	go func() {
		claims, err := e.Queue.Claim(ctx, ask("reboots", 1, queue.MaxWait))
		if err != nil {
			t.Error(err)
		}
		answer <- claims
	}()
	reboot()
	if got := <-answer; len(got) != 0 {
		t.Fatalf("it has left, and got %v", got)
	}
	id := e.Task(t, task.Pending)
	if got := claim(t, e.Queue, ask("works", 1, 0)); len(got) != 1 || got[0].Status.TaskID != id {
		t.Errorf("the next worker got %v", got)
	}
	e.Check(t)
}

func claimBeforeReboot(t *testing.T) {
	e := queuetest.New(t)
	id := e.Task(t, task.Pending)
	claim(t, e.Queue, ask("reboots", 1, 0))
	if ids, err := e.Queue.WorkerGone(t.Context(), queuetest.TaskQueueID, "g", "reboots"); err != nil || len(ids) != 1 || ids[0] != id {
		t.Fatalf("given back: %v, %v", ids, err)
	}
	again := claim(t, e.Queue, ask("reboots", 1, 0))
	if len(again) != 1 || again[0].RunID != 1 {
		t.Fatalf("it claims %v", again)
	}
	// What still runs from before the reboot must not speak for the task.
	for what, verb := range map[string]func(context.Context, string, int) (task.Status, error){
		"completed": e.Queue.ReportCompleted, "failed": e.Queue.ReportFailed,
	} {
		if _, err := verb(t.Context(), id, 0); !errors.Is(err, fault.Conflict) {
			t.Errorf("run 0 is reported as %s: %v", what, err)
		}
	}
	if _, err := e.Queue.Reclaim(t.Context(), id, 0); !errors.Is(err, fault.Conflict) {
		t.Errorf("run 0 is reclaimed: %v", err)
	}
	e.Check(t)
}

// shelf is an object store that has what it is told.
type shelf struct {
	queue.Uploads
	has      map[string]queue.Content
	extended map[string]time.Time
}

func (s *shelf) Content(_ context.Context, name string) (queue.Content, error) {
	c, ok := s.has[name]
	if !ok {
		return c, fault.New(fault.NotFound, "no object %s", name)
	}
	return c, nil
}

func (s *shelf) Extend(_ context.Context, name string, expires time.Time) error {
	s.extended[name] = expires
	return nil
}

func withShelf(t *testing.T) (*queuetest.Env, *shelf) {
	s := &shelf{has: map[string]queue.Content{}, extended: map[string]time.Time{}}
	return queuetest.New(t, func(d *queue.Deps) { d.Uploads = s }), s
}

func expireTogether(t *testing.T) {
	e := queuetest.New(t)
	id := e.Task(t, task.Running)
	expires := e.Status(t, id).Expires
	for name, at := range map[string]task.Time{"with": expires, "before": task.At(expires.Add(-time.Hour))} {
		if _, err := e.Queue.CreateArtifact(t.Context(), id, 0, name, queue.NewArtifact{StorageType: queue.StorageReference, URL: "https://example.com/", ContentType: "text/plain", Expires: at}); err != nil {
			t.Fatal(err)
		}
	}
	after := queue.NewArtifact{StorageType: queue.StorageReference, URL: "https://example.com/", Expires: task.At(expires.Add(time.Second))}
	if _, err := e.Queue.CreateArtifact(t.Context(), id, 0, "after", after); !errors.Is(err, fault.Invalid) {
		t.Errorf("an artifact that outlives its task: %v", err)
	}
	must(t)(e.Queue.ReportCompleted(t.Context(), id, 0))
	seen := func() (taskThere bool, artifact error) {
		t.Helper()
		if _, err := e.Queue.RemoveExpired(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, artifact = e.Queue.Artifact(t.Context(), id, 0, "with")
		_, status := e.Queue.Status(t.Context(), id)
		_, item := e.Queue.Item(t.Context(), id)
		page, err := e.Queue.ListGroup(t.Context(), id, 0, "")
		if listed := err == nil && len(page.Tasks) == 1; (status == nil) != listed || (item == nil) != listed {
			t.Errorf("status: %v, definition: %v, listed: %v", status, item, listed)
		}
		return status == nil, artifact
	}
	if there, err := seen(); !there || err != nil {
		t.Errorf("before the expiry the task is there: %v; its artifact: %v", there, err)
	}
	// All times move on, together.
	move := func(by string) {
		t.Helper()
		for _, sql := range []string{
			`UPDATE tasks SET expires = expires - $2::interval, deadline = deadline - $2::interval WHERE task_id = $1`,
			`UPDATE artifacts SET expires = expires - $2::interval WHERE task_id = $1`,
		} {
			if _, err := e.Pool.Exec(t.Context(), sql, id, by); err != nil {
				t.Fatal(err)
			}
		}
	}
	move("23 hours 59 minutes")
	if there, err := seen(); !there || err != nil {
		t.Errorf("a minute before the expiry the task is there: %v; its artifact: %v", there, err)
	}
	if _, err := e.Queue.Artifact(t.Context(), id, 0, "before"); !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Gone) {
		t.Errorf("the artifact that expires before its task: %v", err)
	}
	move("2 minutes")
	if there, err := seen(); there || !errors.Is(err, fault.Gone) {
		t.Errorf("at the expiry the task is there: %v; its artifact: %v", there, err)
	}
	move("1 hour")
	if there, err := seen(); there || !errors.Is(err, fault.NotFound) {
		t.Errorf("an hour later the task is there: %v; its artifact: %v", there, err)
	}
}

func expiryPutOff(t *testing.T) {
	e, s := withShelf(t)
	id := e.Task(t, task.Running)
	expires := e.Status(t, id).Expires
	n := queue.NewArtifact{StorageType: queue.StorageObject, ContentType: "text/plain", Expires: task.At(expires.Add(-time.Hour))}
	first, err := e.Queue.CreateArtifact(t.Context(), id, 0, "log", n)
	if err != nil {
		t.Fatal(err)
	}
	n.Expires = expires
	second, err := e.Queue.CreateArtifact(t.Context(), id, 0, "log", n)
	if err != nil || second.UploadID != first.UploadID {
		t.Fatalf("the upload is %s, was %s: %v", second.UploadID, first.UploadID, err)
	}
	if got := s.extended[queue.ObjectName(id, 0, "log")]; !got.Equal(expires.Time) {
		t.Errorf("the object expires at %v, its artifact at %v", got, expires)
	}
}

func uploadNeverEnds(t *testing.T) {
	e, s := withShelf(t)
	begin := func(name string) (id string) {
		t.Helper()
		id = e.Task(t, task.Running)
		n := queue.NewArtifact{StorageType: queue.StorageObject, ContentType: "text/plain", Expires: e.Status(t, id).Expires}
		up, err := e.Queue.CreateArtifact(t.Context(), id, 0, name, n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Queue.ReportCompleted(t.Context(), id, 0); !errors.Is(err, fault.Conflict) {
			t.Fatalf("completed before the upload: %v", err)
		}
		if e.Status(t, id).State != task.Running {
			t.Fatal("the refusal changed the task")
		}
		if name == "finished" {
			s.has[queue.ObjectName(id, 0, name)] = queue.Content{Size: 1}
			if err := e.Queue.FinishArtifact(t.Context(), id, 0, name, up.UploadID); err != nil {
				t.Fatal(err)
			}
		}
		return id
	}
	for what, end := range map[string]func(id string) (task.Status, error){
		"finished": func(id string) (task.Status, error) { return e.Queue.ReportCompleted(t.Context(), id, 0) },
		"failed":   func(id string) (task.Status, error) { return e.Queue.ReportFailed(t.Context(), id, 0) },
		"exception": func(id string) (task.Status, error) {
			return e.Queue.ReportException(t.Context(), id, 0, task.ReasonInternalError)
		},
		"canceled": func(id string) (task.Status, error) { return e.Queue.Cancel(t.Context(), id) },
		"deadline": func(id string) (task.Status, error) {
			e.PassDeadlines(t, id)
			return e.Status(t, id), e.Queue.EnforceDeadlines(t.Context())
		},
	} {
		id := begin(what)
		if _, err := end(id); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if s := e.Status(t, id); !s.State.Resolved() {
			t.Errorf("%s: the task is %s", what, s.State)
		}
	}
	id := begin("crashed")
	e.EndClaims(t, id)
	if _, err := e.Queue.ReportCompleted(t.Context(), id, e.Run(t, id)); err != nil {
		t.Errorf("the next run has no such upload, and still: %v", err)
	}
	e.Check(t)
}
