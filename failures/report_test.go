package failures_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestReportedLines(t *testing.T) {
	r := newRoom(t)
	r.artifacts["t1 public/logs/live.log"] = "building\nthe oven is 12 degrees too cold\ndone\n"
	r.end(t, "g1", "t1", "build-linux", "failed")
	r.end(t, "g1", "lost", "build-linux", "claim-expired")
	r.readAll(t)
	ctx := t.Context()
	lines := func() []string {
		t.Helper()
		list, reading, err := r.OfRun(ctx, "t1", 0)
		if err != nil || reading {
			t.Fatal(reading, err)
		}
		out := []string{}
		for _, l := range list {
			out = append(out, l.Message+"|"+l.By)
		}
		return out
	}
	nothing := []string{"failed without an error in the log|"}
	if diff := cmp.Diff(nothing, lines()); diff != "" {
		t.Fatal(diff)
	}
	said := failures.Reported{TaskID: "t1", Log: "public/logs/live.log", Line: 2, Message: "the oven is 12 degrees too cold", Excerpt: "building\nthe oven is 12 degrees too cold"}
	first, err := r.Report(ctx, "ada", said)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a reported line stands for that nothing was found", func(t *testing.T) {
		if diff := cmp.Diff([]string{"the oven is 12 degrees too cold|ada"}, lines()); diff != "" {
			t.Error(diff)
		}
		h, err := r.Health(ctx, "r", 1, failures.Base{}, nothingSaid)
		if err != nil {
			t.Fatal(err)
		}
		var messages []string
		for _, g := range h.Groups {
			messages = append(messages, g.Message+"|"+g.Excerpt)
		}
		want := []string{"the oven is 12 degrees too cold|building\nthe oven is 12 degrees too cold", "the worker vanished while it ran (claim-expired)|"}
		if diff := cmp.Diff(want, messages); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("one like it is known already, and one of a run that did not fail is none", func(t *testing.T) {
		like := said
		like.Message = "the oven is 99 degrees too cold"
		for name, c := range map[string]failures.Reported{
			"like it": like, "of no run": {TaskID: "t9", Line: 1, Message: "x"}, "of a lost run": {TaskID: "lost", Line: 1, Message: "x"},
		} {
			if _, err := r.Report(ctx, "ada", c); !errors.Is(err, fault.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.Report(ctx, "ada", failures.Reported{TaskID: "t1", Line: 3, Message: "  "}); !errors.Is(err, fault.Invalid) {
			t.Errorf("an empty line: %v", err)
		}
	})
	t.Run("a later one comes before it", func(t *testing.T) {
		second := said
		second.Line, second.Message = 1, "building"
		if _, err := r.Report(ctx, "grace", second); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"building|grace", "the oven is 12 degrees too cold|ada"}, lines()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("taken back, the run is what it was, and who did what is kept", func(t *testing.T) {
		list, err := r.Reports(ctx, "t1", 0)
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		for _, one := range list {
			if err := r.TakeBack(ctx, "eve", "t1", one.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.TakeBack(ctx, "eve", "t1", first.ID); !errors.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		r.readAll(t)
		if diff := cmp.Diff(nothing, lines()); diff != "" {
			t.Error(diff)
		}
		list, err = r.Reports(ctx, "t1", 0)
		if err != nil || len(list) != 2 || list[0].By != "grace" || *list[0].UndoneBy != "eve" || list[1].By != "ada" || list[1].Line != 2 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
