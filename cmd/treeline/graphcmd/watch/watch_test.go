package watch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/watch"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// start watches the tree in dir and gives a channel of what changed.
func start(t *testing.T, o watch.Options) <-chan []string {
	t.Helper()
	changes, ready, ended := make(chan []string), make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	o.Settle = 20 * time.Millisecond
	o.Changed = func(ctx context.Context, names []string) error {
		select {
		case changes <- names:
		case <-ctx.Done():
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- watch.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return changes
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// saw waits until a change of name is told of; others may come before.
func saw(t *testing.T, changes <-chan []string, name string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case names := <-changes:
			for _, n := range names {
				if n == name {
					return
				}
			}
		case <-deadline:
			t.Fatalf("nobody told of %s", name)
		}
	}
}

func TestChangesAreToldOf(t *testing.T) {
	dir := t.TempDir()
	kind, elsewhere, ignored, parameters := filepath.Join(dir, "tc/kinds/k/kind.yml"), filepath.Join(dir, "src/a"), filepath.Join(dir, "tc/out.json"), filepath.Join(dir, "p.yml")
	for _, f := range []string{kind, elsewhere, parameters} {
		write(t, f, "1")
	}
	changes := start(t, watch.Options{
		Look:   func() (dirs, files []string) { return []string{filepath.Join(dir, "tc")}, []string{parameters} },
		Ignore: []string{ignored},
	})
	write(t, elsewhere, "2")
	write(t, ignored, "2")
	write(t, filepath.Join(dir, "tc/kinds/k/kind.yml~"), "2")
	write(t, kind, "2")
	if got := <-changes; !cmp.Equal(got, []string{kind}) {
		t.Errorf("%v", got)
	}
	// An editor that puts a new file in the place of the old one.
	write(t, filepath.Join(dir, "new"), "3")
	if err := os.Rename(filepath.Join(dir, "new"), parameters); err != nil {
		t.Fatal(err)
	}
	saw(t, changes, parameters)
	// A directory that was not there is watched from its first file on.
	later := filepath.Join(dir, "tc/kinds/later")
	if err := os.Mkdir(later, 0o755); err != nil {
		t.Fatal(err)
	}
	saw(t, changes, later)
	write(t, filepath.Join(later, "kind.yml"), "1")
	saw(t, changes, filepath.Join(later, "kind.yml"))
	// Of its end the directory tells itself; what was in it may be gone before it is looked at again.
	if err := os.RemoveAll(later); err != nil {
		t.Fatal(err)
	}
	saw(t, changes, later)
}

func TestAnErrorEndsIt(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- watch.Run(t.Context(), watch.Options{
			Look:    func() (dirs, files []string) { return []string{dir, filepath.Join(dir, "gone")}, nil },
			Ready:   func() { close(ready) },
			Changed: func(context.Context, []string) error { return broken },
		})
	}()
	<-ready
	write(t, filepath.Join(dir, "a"), "1")
	if err := <-ended; !errors.Is(err, broken) {
		t.Error(err)
	}
}

func task(label string, payload map[string]any) *graph.Task {
	return &graph.Task{Label: label, Kind: "k", Attributes: map[string]any{"kind": "k"}, Definition: map[string]any{"payload": payload, "scopes": []any{"a"}}}
}

func TestCompare(t *testing.T) {
	before, err := graph.FromTasks([]*graph.Task{task("gone", nil), task("same", map[string]any{"a": int64(1)}), task("other", map[string]any{"env": map[string]any{"A": "1", "B": "2"}, "image": "x"})})
	if err != nil {
		t.Fatal(err)
	}
	after, err := graph.FromTasks([]*graph.Task{task("new", nil), task("same", map[string]any{"a": int64(1)}), task("other", map[string]any{"env": map[string]any{"A": "1", "C": "2"}, "image": "y"})})
	if err != nil {
		t.Fatal(err)
	}
	want := watch.Changes{
		Added: []string{"new"}, Removed: []string{"gone"},
		Changed: []watch.Change{{Label: "other", Keys: []string{"task.payload.env.B", "task.payload.env.C", "task.payload.image"}}},
	}
	if diff := cmp.Diff(want, watch.Compare(before, after)); diff != "" {
		t.Error(diff)
	}
	if !watch.Compare(after, after).Empty() || len(watch.Compare(nil, after).Added) != 3 || len(watch.Compare(after, nil).Removed) != 3 {
		t.Error("the same graph differs from itself, or none has tasks")
	}
}
