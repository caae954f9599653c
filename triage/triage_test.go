package triage_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/triage"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), triage.Statements()...)
}

func TestWhatAClassAsksFor(t *testing.T) {
	for _, c := range []struct {
		name string
		say  triage.Say
		try  bool
		ok   bool
	}{
		{"an intermittent with a bug", triage.Say{Class: triage.Intermittent, Bug: "1234"}, false, true},
		{"an intermittent with a comment", triage.Say{Class: triage.Intermittent, Note: "x"}, false, true},
		{"an intermittent with nothing", triage.Say{Class: triage.Intermittent}, false, false},
		{"an intermittent with nothing on try", triage.Say{Class: triage.Intermittent}, true, true},
		{"fixed by something short", triage.Say{Class: triage.FixedByCommit, Note: "1234567"}, false, false},
		{"fixed by a commit", triage.Say{Class: triage.FixedByCommit, Note: "12345678"}, false, true},
		{"infra needs nothing", triage.Say{Class: triage.Infra}, false, true},
		{"not classified is not said", triage.Say{Class: triage.NotClassified}, false, false},
		{"an unknown class", triage.Say{Class: 9}, true, false},
		{"a note that is not text", triage.Say{Class: triage.Infra, Note: "a\x00b"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.say.Check(c.try)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, want := range map[string]bool{"try": true, "my-try": true, "org/try": true, "country": false, "main": false} {
		if triage.IsTry(name) != want {
			t.Errorf("IsTry(%q) is not %v", name, want)
		}
	}
}

func TestBook(t *testing.T) {
	pool := pgtest.DB(t)
	woken := 0
	b := triage.New(pool, func() { woken++ })
	target := func(id string) triage.Target {
		return triage.Target{Repository: "sample", TaskGroupID: "group", TaskID: id}
	}
	all := func(string) error { return nil }
	classes := func() map[string]triage.Class {
		t.Helper()
		of, err := b.Of(t.Context(), []string{"a", "b", "c"})
		if err != nil {
			t.Fatal(err)
		}
		in, err := b.InGroups(t.Context(), []string{"group"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(of, in); diff != "" {
			t.Error(diff)
		}
		out := map[string]triage.Class{}
		for id, c := range of {
			out[id] = c.Class
		}
		return out
	}

	first, err := b.Classify(t.Context(), "ada", []triage.Target{target("b"), target("a")}, triage.Say{Class: triage.Intermittent, Bug: " 17 "})
	if err != nil || len(first) != 2 || first[0].TaskID != "b" || first[0].Bug != "17" {
		t.Fatalf("got %+v, %v", first, err)
	}
	second, err := b.Classify(t.Context(), "grace", []triage.Target{target("a")}, triage.Say{Class: triage.Infra})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]triage.Class{"a": triage.Infra, "b": triage.Intermittent}, classes()); diff != "" {
		t.Error(diff)
	}

	t.Run("who may not cannot take back", func(t *testing.T) {
		_, err := b.Undo(t.Context(), "eve", []int64{second[0].ID}, func(string) error { return fault.New(fault.Forbidden, "no") })
		if !errors.Is(err, fault.Forbidden) || classes()["a"] != triage.Infra {
			t.Errorf("got %v, %v", err, classes())
		}
	})
	t.Run("what was said before counts again, then nothing", func(t *testing.T) {
		now, err := b.Undo(t.Context(), "ada", []int64{second[0].ID}, all)
		if err != nil || len(now) != 1 || now[0].Class != triage.Intermittent {
			t.Errorf("got %+v, %v", now, err)
		}
		now, err = b.Undo(t.Context(), "ada", []int64{first[0].ID, first[1].ID, second[0].ID}, all)
		if err != nil || len(now) != 2 || now[0].Class != triage.NotClassified {
			t.Errorf("got %+v, %v", now, err)
		}
		if diff := cmp.Diff(map[string]triage.Class{}, classes()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the history has it all", func(t *testing.T) {
		list, err := b.History(t.Context(), "a")
		if err != nil || len(list) != 2 || list[0].By != "grace" || *list[0].UndoneBy != "ada" {
			t.Errorf("got %+v, %v", list, err)
		}
	})
	t.Run("each change is in the feed", func(t *testing.T) {
		feed := event.NewFeed(pool, slog.New(slog.DiscardHandler))
		feed.Start(t.Context())
		defer feed.Stop()
		after := int64(0)
		var got []string
		for e, err := range feed.Subscribe(t.Context(), event.Filter{After: &after}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, e.Kind+" "+e.TaskID+" "+e.Topic+" "+e.TaskGroupID); len(got) == 6 {
				break
			}
		}
		want := []string{"b", "a", "a", "a", "b", "a"}
		for i := range want {
			want[i] = "task-classified " + want[i] + " sample group"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if woken != 4 {
			t.Errorf("woken %d times", woken)
		}
	})
	t.Run("too many at once", func(t *testing.T) {
		if _, err := b.Classify(t.Context(), "ada", make([]triage.Target, triage.MaxTargets+1), triage.Say{Class: triage.Infra}); !errors.Is(err, fault.Invalid) {
			t.Errorf("got %v", err)
		}
	})
}
