// Package goldentest holds what the field's own generator (24.2.0) printed for two synthetic
// repositories and many parameter sets, for tests of the stages to compare with. The files of a
// set are parameters.yml, full.json, target.labels, target-graph.labels, optimized.json,
// morphed.json and actions.json (JSON stands compressed); found.json of a repository is what its
// index answered. Task ids were counted up in the order of sorted labels: G0000001QAC…
//
// Where that generator's own output changes from run to run, comparison is loose: the order of
// soft_dependencies, and attributes.primary-dependency-label (Loose).
package goldentest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

//go:embed testdata
var files embed.FS

// TaskclusterYML gives the .taskcluster.yml that all repositories have.
func TaskclusterYML(t testing.TB) []byte {
	t.Helper()
	b, err := files.ReadFile("testdata/taskcluster.yml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Set is one parameter set of one repository.
type Set struct{ Repo, Name string }

// Sets are all sets, sorted by repository and name.
func Sets(t testing.TB) []Set {
	t.Helper()
	found, err := fs.Glob(files, "testdata/*/*/parameters.yml")
	if err != nil || len(found) == 0 {
		t.Fatalf("no golden sets: %v", err)
	}
	out := make([]Set, len(found))
	for i, f := range found {
		parts := strings.Split(f, "/")
		out[i] = Set{Repo: parts[1], Name: parts[2]}
	}
	return out
}

// Each runs f once per set, as a subtest.
func Each(t *testing.T, f func(t *testing.T, s Set)) {
	t.Helper()
	for _, s := range Sets(t) {
		t.Run(s.Repo+"/"+s.Name, func(t *testing.T) { f(t, s) })
	}
}

// Bytes gives a file of the set, decompressed.
func (s Set) Bytes(t testing.TB, name string) []byte {
	t.Helper()
	dir := path.Join("testdata", s.Repo, s.Name)
	if b, err := files.ReadFile(path.Join(dir, name)); err == nil {
		return b
	}
	b, err := files.ReadFile(path.Join(dir, name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Params gives the set's parameters, strict.
func (s Set) Params(t testing.TB) *params.Parameters {
	t.Helper()
	p, err := params.Load("parameters.yml", s.Bytes(t, "parameters.yml"), true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Graph reads a graph of the set, such as "full.json".
func (s Set) Graph(t testing.TB, name string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(bytes.NewReader(s.Bytes(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Labels reads a list of labels of the set, such as "target.labels".
func (s Set) Labels(t testing.TB, name string) []string {
	t.Helper()
	return strings.Fields(string(s.Bytes(t, name)))
}

// Found gives the raw found.json of the set's repository, "{}" without one.
func (s Set) Found(t testing.TB) []byte {
	t.Helper()
	b, err := files.ReadFile(path.Join("testdata", s.Repo, "found.json"))
	if err != nil {
		return []byte("{}")
	}
	return b
}

// RootURL is what TASKCLUSTER_ROOT_URL was.
func (s Set) RootURL() string {
	if s.Repo == "optimize" {
		return "http://127.0.0.1:18081"
	}
	return "http://127.0.0.1:18080"
}

// Counter gives the ids that the goldens have: each call the next.
func Counter() func(label string) string {
	n := 0
	return func(string) string {
		n++
		return fmt.Sprintf("G%07dQAC0000000000A", n)
	}
}

// Loose is a graph in the form of its JSON, as plain values, without what changes from run to run.
func Loose(t testing.TB, g *graph.Graph) map[string]any {
	t.Helper()
	b, err := g.MarshalIndent()
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for _, v := range out {
		task := v.(map[string]any)
		if soft, ok := task["soft_dependencies"].([]any); ok {
			slices.SortFunc(soft, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
		if a, ok := task["attributes"].(map[string]any); ok {
			delete(a, "primary-dependency-label")
		}
	}
	return out
}
