package taskgraph_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// With Fast cached tasks have no digest, nor what follows from it, and no file of an image or of a
// toolchain is read; everything else is as ever.
func TestFastLeavesOutDigestsAlone(t *testing.T) {
	in := input(t, goldentest.Set{Repo: "features", Name: "push"})
	whole, err := taskgraph.Generate(t.Context(), in, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	in.Fast = true
	fast, err := taskgraph.Generate(t.Context(), in, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if fast.InputDigest == whole.InputDigest {
		t.Error("the digest of the inputs is the same")
	}
	if i := slices.IndexFunc(fast.Files, func(f string) bool {
		return strings.HasPrefix(f, "taskcluster/docker/") && !strings.HasSuffix(f, "/Dockerfile")
	}); i >= 0 {
		t.Errorf("%s was read", fast.Files[i])
	}
	cached := 0
	for label, was := range whole.Full.All() {
		now, want := fast.Full.Task(label), was.JSON()
		got := now.JSON()
		if was.Attributes["cached_task"] != nil {
			cached++
			attributes := maps.Clone(was.Attributes)
			delete(attributes, "cached_task")
			want["attributes"], want["optimization"] = attributes, nil
			definition := maps.Clone(was.Definition)
			definition["routes"] = slices.DeleteFunc(slices.Clone(value.List(definition, "routes")), func(r any) bool { return strings.Contains(r.(string), ".cache.level-3.") })
			want["task"] = definition
			if hash := value.String(value.Map(value.Map(now.Definition, "payload"), "env"), "HASH"); now.Kind == "docker-image" && hash != strings.Repeat("0", 40) {
				t.Errorf("%s has the hash %q", label, hash)
			}
		}
		for _, m := range []map[string]any{got, want} { // the hash of an image
			definition := maps.Clone(m["task"].(map[string]any))
			payload := maps.Clone(value.Map(definition, "payload"))
			env := maps.Clone(value.Map(payload, "env"))
			delete(env, "HASH")
			payload["env"], definition["payload"], m["task"] = env, payload, definition
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", label, diff)
		}
	}
	if cached != 10 {
		t.Errorf("%d cached tasks", cached)
	}
}
