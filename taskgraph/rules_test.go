package taskgraph_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// ruleCase is one small tree of testdata/rules. Its header is "== name | parameters | reason":
// the reason says why Treeline differs from the field's own generator, where it does.
type ruleCase struct {
	name  string
	sets  []string
	files map[string]string
}

// ruleCases reads a file of cases. A file of a case is named by its path or by its kind; "config+"
// is put behind config.yml.
func ruleCases(t *testing.T, name string) []*ruleCase {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []*ruleCase
	file := ""
	for line := range strings.Lines(string(b)) {
		if header, ok := strings.CutPrefix(line, "== "); ok {
			fields := strings.Split(strings.TrimSpace(header), "|")
			c := &ruleCase{name: strings.TrimSpace(fields[0]), sets: []string{"push"}, files: map[string]string{}}
			if len(fields) > 1 {
				c.sets = strings.Fields(fields[1])
			}
			out, file = append(out, c), "k"
			continue
		}
		if path, ok := strings.CutPrefix(line, "-- "); ok {
			file = strings.TrimSpace(path)
			continue
		}
		out[len(out)-1].files[file] += line
	}
	return out
}

// tree is the case's files over those that every case has.
func (c *ruleCase) tree(t *testing.T) fstest.MapFS {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "rules", "base.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	for name, text := range c.files {
		switch {
		case strings.TrimSpace(text) == "":
			continue
		case name == "config+":
			files["taskcluster/config.yml"] += text
			continue
		case !strings.Contains(name, "/"):
			name = "taskcluster/kinds/" + name + "/kind.yml"
		}
		files[name] = strings.TrimSuffix(text, "\n")
		if strings.TrimSpace(text) == "DELETE" {
			delete(files, name)
		}
	}
	out := fstest.MapFS{}
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		out[name] = &fstest.MapFile{Data: []byte(text), Mode: mode}
	}
	return out
}

// ruleWant is what must come out: the graph, which the field's own generator (24.2.0) made from
// the same files, or the errors where that one fails too. With a reason to differ it is what
// Treeline makes.
type ruleWant struct {
	Full     json.RawMessage
	Error    []string
	Warnings []string
	Differs  string
}

func ruleWants(t *testing.T) map[string]ruleWant {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "rules", "want.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]ruleWant
	if err := json.NewDecoder(z).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEachRuleOfTheModelIsAsInTheField(t *testing.T) {
	wants := ruleWants(t)
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no rules")
	}
	seen := 0
	for _, file := range files {
		for _, c := range ruleCases(t, file) {
			files := c.tree(t)
			for _, set := range c.sets {
				name := strings.TrimSuffix(filepath.Base(file), ".txt") + "/" + c.name + "/" + set
				seen++
				t.Run(name, func(t *testing.T) {
					want, ok := wants[name]
					if !ok {
						t.Fatal("nothing says what must come out")
					}
					p, err := params.Load(set, files["params/"+set+".yml"].Data, true)
					if err != nil {
						t.Fatal(err)
					}
					want.check(t, files, p)
				})
			}
		}
	}
	if seen != len(wants) {
		t.Errorf("%d cases, %d results", seen, len(wants))
	}
}

func (want ruleWant) check(t *testing.T, files fstest.MapFS, p *params.Parameters) {
	t.Helper()
	res, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: p, Scripts: scripts(), RootURL: "http://127.0.0.1:18080"}, taskgraph.Full)
	if want.Error != nil {
		if err == nil {
			t.Fatalf("no error; want %s", strings.Join(want.Error, "\n"))
		}
		for _, line := range want.Error {
			if !strings.Contains(err.Error(), line) {
				t.Errorf("got  %v\nwant %s", err, line)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	full, err := graph.Parse(bytes.NewReader(want.Full))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldentest.Loose(t, full), goldentest.Loose(t, res.Full)); diff != "" {
		t.Error(diff)
	}
	var warnings []string
	for _, w := range res.Warnings {
		warnings = append(warnings, w.Error())
	}
	if diff := cmp.Diff(want.Warnings, warnings); diff != "" {
		t.Error(diff)
	}
}
