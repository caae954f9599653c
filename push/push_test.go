package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/push"
)

func newLog(t *testing.T) *push.Log {
	t.Helper()
	l := push.New(pgtest.DB(t), func() {}, slog.New(slog.DiscardHandler))
	if err := l.Register(t.Context(), push.Repository{Name: "sample", Kind: "git-local", URL: "http://localhost/git/sample", Level: 3, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	return l
}

func aPush() push.Push {
	return push.Push{
		Repository: "sample", Revision: "bbbb", Base: "aaaa", Branch: "main", Author: "Ada", Email: "ada@example.com", Message: "one\x00two",
		Commits: []push.Commit{{Revision: "bbbb", Message: "one"}}, FilesChanged: []string{"a", "b"},
	}
}

func TestPushIsRecordedOnce(t *testing.T) {
	l := newLog(t)
	var fresh atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, isNew, err := l.Record(t.Context(), aPush(), "")
			if err != nil {
				t.Error(err)
			}
			if isNew {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 1 {
		t.Fatalf("recorded %d times", fresh.Load())
	}
	got, err := l.Get(t.Context(), "sample", 1)
	if err != nil {
		t.Fatal(err)
	}
	want := aPush()
	want.ID, want.State, want.Message = 1, push.Received, "one\uFFFDtwo"
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(push.Push{}, "Time")); diff != "" {
		t.Error(diff)
	}
}

func TestTextsThatCannotBeKeptDoNotKeepAPushAway(t *testing.T) {
	l := newLog(t)
	p := aPush()
	p.FilesChanged = []string{"caf\xe9.txt", "plain"}
	if _, fresh, err := l.Record(t.Context(), p, ""); err != nil || !fresh {
		t.Fatalf("a push with a file name in Latin-1: %v, %v", fresh, err)
	}
	why := push.Error{Code: "bad-config", Message: "unknown \x00 in \xff", File: "a\x00b", Detail: "\x00"}
	if err := l.SetOutcome(t.Context(), "sample", 1, push.Outcome{State: push.Failed, Error: &why}); err != nil {
		t.Fatalf("an outcome with a zero byte: %v", err)
	}
	got, err := l.Get(t.Context(), "sample", 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"caf\uFFFD.txt", "plain"}, got.FilesChanged); diff != "" {
		t.Error(diff)
	}
	want := &push.Error{Code: "bad-config", Message: "unknown \uFFFD in \uFFFD", File: "a\uFFFDb", Detail: "\uFFFD"}
	if diff := cmp.Diff(want, got.Error); diff != "" {
		t.Error(diff)
	}
}

func TestStepsFollowTheRecordedHead(t *testing.T) {
	l := newLog(t)
	step := func(known, revision string) bool {
		t.Helper()
		p := aPush()
		p.Revision = revision
		_, fresh, err := l.Record(t.Context(), p, known)
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	if err := l.SetHead(t.Context(), "sample", "main", "a1"); err != nil {
		t.Fatal(err)
	}
	if step("", "b2") {
		t.Error("a step from an unknown head was taken though the head is known")
	}
	if !step("a1", "b2") || step("a1", "b2") || step("a1", "c3") || !step("b2", "c3") {
		t.Error("steps must follow the recorded head, each once")
	}
	list, err := l.List(t.Context(), "sample", 0, 10)
	if err != nil || len(list) != 2 || list[0].Revision != "c3" || list[0].ID != 2 {
		t.Errorf("%v %+v", err, list)
	}
	if older, err := l.List(t.Context(), "sample", 2, 10); err != nil || len(older) != 1 || older[0].ID != 1 {
		t.Errorf("%v %+v", err, older)
	}
	if p, err := l.ByRevision(t.Context(), "sample", "c"); err != nil || p.ID != 2 {
		t.Errorf("%v %+v", err, p)
	}
	if err := l.DropHead(t.Context(), "sample", "main"); err != nil {
		t.Fatal(err)
	}
	if heads, err := l.Heads(t.Context(), "sample"); err != nil || len(heads) != 0 {
		t.Errorf("%v %v", err, heads)
	}
}

func TestUndecidedPushesAreLeasedAndResolved(t *testing.T) {
	l := newLog(t)
	if _, _, err := l.Record(t.Context(), aPush(), ""); err != nil {
		t.Fatal(err)
	}
	first, err := l.Undecided(t.Context(), time.Hour, 10)
	if err != nil || len(first) != 1 {
		t.Fatalf("%v %+v", err, first)
	}
	if again, err := l.Undecided(t.Context(), time.Hour, 10); err != nil || len(again) != 0 {
		t.Errorf("the lease does not hold: %v %+v", err, again)
	}

	outcome := func(o push.Outcome) push.Push {
		t.Helper()
		if err := l.SetOutcome(t.Context(), "sample", 1, o); err != nil {
			t.Fatal(err)
		}
		p, err := l.Get(t.Context(), "sample", 1)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := outcome(push.Outcome{State: push.Received, TaskGroupID: "other"}); p.TaskGroupID != "other" {
		t.Errorf("%+v", p)
	}
	if p := outcome(push.Outcome{State: push.Received, NoGroup: true}); p.TaskGroupID != "" {
		t.Errorf("%+v", p)
	}
	if p := outcome(push.Outcome{State: push.Received, TaskGroupID: "group"}); p.State != push.Received || p.TaskGroupID != "group" {
		t.Errorf("%+v", p)
	}
	if p := outcome(push.Outcome{State: push.Received, NoGroup: true}); p.State != push.Received || p.TaskGroupID != "" {
		t.Errorf("%+v", p)
	}
	if p := outcome(push.Outcome{State: push.Deciding, TaskGroupID: "group"}); p.State != push.Deciding || p.DecisionMillis != 0 {
		t.Errorf("%+v", p)
	}
	why := &push.Error{Code: "yaml-syntax", Message: "bad", File: ".taskcluster.yml", Line: 3}
	p := outcome(push.Outcome{State: push.Failed, Error: why})
	if p.State != push.Failed || p.TaskGroupID != "group" || p.DecisionMillis <= 0 || *p.Error != *why {
		t.Errorf("%+v", p)
	}
	if p := outcome(push.Outcome{State: push.Deciding}); p.State != push.Failed {
		t.Error("a late report took the outcome back")
	}
	if p := outcome(push.Outcome{State: push.Received, TaskGroupID: "other"}); p.State != push.Failed || p.TaskGroupID != "group" {
		t.Error("a late taker took the outcome back")
	}
	if p, err := l.ByTaskGroup(t.Context(), "group"); err != nil || p.ID != 1 {
		t.Errorf("%v %+v", err, p)
	}
	if left, err := l.Undecided(t.Context(), 0, 10); err != nil || len(left) != 0 {
		t.Errorf("%v %+v", err, left)
	}
}

func TestUnknownThingsAreNotFound(t *testing.T) {
	l := newLog(t)
	if _, err := l.Get(t.Context(), "sample", 9); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := l.Repository(t.Context(), "none"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := l.ByTaskGroup(t.Context(), ""); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	for _, name := range []string{"", "../x", "a b", "a/b"} {
		if err := l.Register(t.Context(), push.Repository{Name: name, Level: 1}); !errors.Is(err, fault.Invalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestEventsOfAPushSayWhatIsWrongAndOthersStandRightBehind(t *testing.T) {
	pool := pgtest.DB(t)
	l := push.New(pool, func() {}, slog.New(slog.DiscardHandler), push.Telling(func(r push.Repository, p push.Push) ([]event.Event, error) {
		return []event.Event{{Kind: "mine", Topic: r.URL + " " + p.Revision}}, nil
	}))
	if err := l.Register(t.Context(), push.Repository{Name: "sample", Kind: "git-local", URL: "u", Level: 3, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	if _, fresh, err := l.Record(t.Context(), aPush(), ""); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	why := &push.Error{Code: "bad-try", Message: "try: what", File: "commit message", Line: 3, Detail: "long"}
	if err := l.SetOutcome(t.Context(), "sample", 1, push.Outcome{State: push.Failed, Error: why}); err != nil {
		t.Fatal(err)
	}
	feed := event.NewFeed(pool, slog.New(slog.DiscardHandler))
	feed.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(feed.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	err := feed.Consume(ctx, "test", event.Interest{}, func(_ context.Context, _ pgx.Tx, events []event.Event) error {
		for _, e := range events {
			var body struct{ Error *push.Error }
			if err := json.Unmarshal(e.Payload, &body); err != nil && e.Kind != "mine" {
				return err
			}
			got = append(got, e.Kind+" "+e.Topic)
			if body.Error != nil {
				got = append(got, body.Error.File+": "+body.Error.Message+body.Error.Detail)
			}
		}
		if len(got) >= 4 {
			cancel()
		}
		return nil
	})
	if diff := cmp.Diff([]string{"push-created sample", "mine u bbbb", "push-changed sample", "commit message: try: what"}, got); diff != "" {
		t.Errorf("%v: %s", err, diff)
	}
}

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), push.Statements()...)
}
