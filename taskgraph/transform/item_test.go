package transform_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// item makes an item of a task's YAML over defaults, as the loader does.
func item(t *testing.T, text string) *transform.Item {
	t.Helper()
	f, err := source.Parse("kind.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	return transform.NewItem(m, &transform.Origin{Provenance: explain.Provenance{Kind: "k", File: "kind.yml", Line: 1, Entry: "a"}, Layers: []source.Node{f.Root()}})
}

func TestWhatIsSharedIsNotChanged(t *testing.T) {
	it := item(t, "worker: {env: {A: b}, list: [x]}\nextra: {n: 1}\n")
	worker := it.Map("worker")
	twin := it.Split()
	twin.Own("worker", "env")["A"] = "changed"
	twin.Own("worker")["new"] = true
	it.Own("worker", "env")["C"] = "d"
	if diff := cmp.Diff(map[string]any{"env": map[string]any{"A": "b"}, "list": []any{"x"}}, worker); diff != "" {
		t.Errorf("the values of the file were changed: %s", diff)
	}
	if diff := cmp.Diff(map[string]any{"env": map[string]any{"A": "b", "C": "d"}, "list": []any{"x"}}, it.Map("worker")); diff != "" {
		t.Errorf("the first: %s", diff)
	}
	if diff := cmp.Diff(map[string]any{"env": map[string]any{"A": "changed"}, "list": []any{"x"}, "new": true}, twin.Map("worker")); diff != "" {
		t.Errorf("its twin: %s", diff)
	}
	if first := it.Own("worker", "env"); !value.Same(first, it.Own("worker", "env")) {
		t.Error("what is owned was copied again")
	}
}

// TestWhatBecameATaskLeavesNothingToTheNext splits an entry into tasks that are made of each other's remains.
func TestWhatBecameATaskLeavesNothingToTheNext(t *testing.T) {
	apart := transform.New("apart", func(_ *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
		for _, label := range []string{"first", "second", "third"} {
			part := it.Split()
			part.Set("label", label)
			part.Note(label)
			emit(part)
		}
		return nil
	})
	finish := transform.New("finish", func(_ *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
		label := it.String("label")
		it.Set("only-"+label, true)
		it.Own("attributes")[label] = true
		it.Set("task", map[string]any{"keys": int64(len(it.Values()))})
		emit(it)
		return nil
	})
	c := &transform.Config{Shared: &transform.Shared{}, Kind: "k"}
	tasks, err := transform.Tasks(t.Context(), c, []transform.Transform{apart, finish}, []*transform.Item{item(t, "name: a\ndescription: d\nattributes: {kind: k}\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range tasks {
		want := map[string]any{"kind": "k", made.Label: true}
		if diff := cmp.Diff(want, made.Attributes); diff != "" {
			t.Errorf("attributes of %s (-want +got):\n%s", made.Label, diff)
		}
		if got := made.Definition["keys"]; got != int64(5) {
			t.Errorf("%s was made of %v keys, not of name, description, attributes, label and its own", made.Label, got)
		}
		steps := made.Provenance.Steps
		if len(steps) != 2 || steps[0].Note != made.Label {
			t.Errorf("history of %s: %+v", made.Label, steps)
		}
	}
	if len(tasks) != 3 {
		t.Errorf("%d tasks", len(tasks))
	}
}

func TestErrorsPointAtTheNearestPlace(t *testing.T) {
	it := item(t, "name: a\nworker:\n  env:\n    A: b\n")
	for path, want := range map[string]string{
		"worker.env.A": "kind.yml:4: task k-a: worker.env.A: is odd", "worker.env.B": "kind.yml:4: task k-a: worker.env.B: is odd",
		"nothing": "kind.yml:1: task k-a: nothing: is odd", "": "kind.yml:1: task k-a: is odd",
	} {
		if got := it.Errorf(path, "is odd").Error(); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

func TestAMappingIsNotMadeOverSomethingElse(t *testing.T) {
	it := item(t, "worker: text\n")
	it.Own("worker", "env")["A"] = "b"
	var e *graph.Error
	if err := it.Err(); !errors.As(err, &e) || !strings.Contains(err.Error(), "worker: must be a mapping, not a string") {
		t.Errorf("got %v", err)
	}
	if it.Get("worker") != "text" {
		t.Error("the value was written over")
	}
}

func TestKeysKeepTheOrderOfTheFile(t *testing.T) {
	it := item(t, "m: {z: 1, a: 2, q: 3}\n")
	it.Own("m")["b"] = 4
	it.Own("m")["a2"] = 5
	if diff := cmp.Diff([]string{"z", "a", "q", "a2", "b"}, it.Keys("m")); diff != "" {
		t.Error(diff)
	}
}

func TestTransformsMakeNoMoreThanTheLimit(t *testing.T) {
	var s transform.Shared
	it := item(t, "name: a\n")
	if err := s.Reserve(it, transform.MaxMade); err != nil {
		t.Fatal(err)
	}
	if err := s.Reserve(it, 1); err == nil || !strings.Contains(err.Error(), "kind.yml:1: task k-a: would be split into 1 tasks") {
		t.Errorf("got %v", err)
	}
}

func TestAFaultOfTreelineIsAnErrorOfTheTask(t *testing.T) {
	broken := transform.New("broken", func(*transform.Config, *transform.Item, func(*transform.Item)) error {
		panic("broken")
	})
	_, err := transform.Run(t.Context(), &transform.Config{Shared: &transform.Shared{}}, []transform.Transform{broken}, []*transform.Item{item(t, "name: a\n")})
	if err == nil || !strings.Contains(err.Error(), "kind.yml:1: task k-a: a fault in Treeline, please report it") {
		t.Errorf("got %v", err)
	}
}
