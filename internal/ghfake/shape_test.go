package ghfake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/npmtest"
)

// shape is which kinds of values stand at each path of some documents.
type shape map[string]map[string]bool

func (s shape) add(at string, v any) {
	kind := "null"
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		for key, inner := range v {
			s.add(at+"."+key, inner)
		}
	case []any:
		kind = "array"
		for _, inner := range v {
			s.add(at+"[]", inner)
		}
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case float64:
		kind = "number"
	}
	if s[at] == nil {
		s[at] = map[string]bool{}
	}
	s[at][kind] = true
}

// known are ends of paths that GitHub sends although no example has them, each with why.
var known = map[string]string{
	"merge_group.reason":             "the examples have no merge_group.destroyed",
	"pull_request.changes":           "the examples have no pull_request.edited",
	"changes.title":                  "the examples have no pull_request.edited",
	"title.from":                     "the examples have no pull_request.edited",
	"issue.pull_request":             "no example is on a pull request",
	"pull_request.diff_url":          "no example is on a pull request",
	"changes.default_branch":         "no example changes it",
	"default_branch.from":            "no example changes it",
	"permissions.merge_queues":       "newer than the examples",
	"check_suite.rerequestable":      "newer than the examples",
	"check_suite.runs_rerequestable": "newer than the examples",
	"modified[]":                     "no example modifies a file",
	"removed[]":                      "no example removes a file",
	"member.organization":            "the examples are of a person's repository",
	"release.organization":           "the examples are of a person's repository",
}

// ends returns the last two names of a path: objects of one name are alike in all events.
func ends(at string) string {
	parts := strings.Split(at, ".")
	if last := parts[len(parts)-1]; strings.HasSuffix(last, "ed[]") {
		return last // lists of files
	}
	return strings.Join(parts[max(0, len(parts)-2):], ".")
}

// TestPayloadsHaveTheFormOfGitHubs holds every field that the double sends against GitHub's own examples: it may leave
// some out, and adds none.
func TestPayloadsHaveTheFormOfGitHubs(t *testing.T) {
	modules, err := npmtest.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]shape{}
	for _, where := range []string{"api.github.com", "ghes-35"} {
		text, err := os.ReadFile(filepath.Join(modules, "@octokit", "webhooks-examples", where, "index.json"))
		if err != nil {
			t.Fatal(err)
		}
		var examples []struct {
			Name     string
			Examples []any
		}
		if err := json.Unmarshal(text, &examples); err != nil {
			t.Fatal(err)
		}
		for _, e := range examples {
			if shapes[e.Name] == nil {
				shapes[e.Name] = shape{}
			}
			for _, one := range e.Examples {
				shapes[e.Name].add(e.Name, one)
			}
		}
	}
	alike := shape{}
	for _, one := range shapes {
		for at, kinds := range one {
			for kind := range kinds {
				if alike[ends(at)] == nil {
					alike[ends(at)] = map[string]bool{}
				}
				alike[ends(at)][kind] = true
			}
		}
	}
	problems := map[string]bool{}
	h := newHook(t)
	everything(t, h)
	seen := map[string]bool{}
	for _, d := range h.deliveries(t) {
		seen[d.event] = true
		var body any
		if err := json.Unmarshal(d.body, &body); err != nil {
			t.Fatal(err)
		}
		mine := shape{}
		mine.add(d.event, body)
		for at, kinds := range mine {
			theirs := shapes[d.event][at]
			if theirs == nil {
				theirs = alike[ends(at)]
			}
			for kind := range kinds {
				switch {
				case theirs == nil && known[ends(at)] == "":
					problems[d.event+": GitHub's examples have no "+at] = true
				case theirs != nil && !theirs[kind] && !theirs["null"] && kind != "null":
					problems[fmt.Sprintf("%s: %s is %s, in GitHub's examples %v", d.event, at, kind, slices.Collect(maps.Keys(theirs)))] = true
				}
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(problems)) {
		t.Error(p)
	}
	for _, event := range append(ghfake.DefaultEvents(), "installation", "installation_repositories") {
		if !seen[event] {
			t.Errorf("the double never sent %s", event)
		}
	}
}

// everything lets people do all that they can do.
func everything(t *testing.T, h *hook) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r, s := h.repo, h.server
	r.Grant("ada", "write")
	_, err := r.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "1", "dir/b": "2"}, Message: "first"})
	must(err)
	_, err = r.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "2"}, Remove: []string{"dir/b"}})
	must(err)
	must(r.Tag("ada", "v1", "main"))
	_, err = r.Release("ada", "v2", "main")
	must(err)
	_, err = r.ForcePush("ada", "topic", "main", ghfake.Change{Files: map[string]string{"c": "3"}})
	must(err)
	fork, err := r.Fork("stranger")
	must(err)
	_, err = fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"d": "4"}})
	must(err)
	p, err := r.OpenPull("stranger", fork, "patch", "main", "a patch")
	must(err)
	_, err = fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"d": "5"}})
	must(err)
	p.Label("ada", "good")
	p.Retitle("stranger", "a good patch")
	p.SetDraft("stranger", true)
	p.SetDraft("stranger", false)
	p.Close("ada")
	p.Reopen("ada")
	m := r.Comment("ada", p.Number, "fine")
	must(r.EditComment("ada", m.ID, "very fine"))
	g, err := p.Enqueue("ada")
	must(err)
	must(g.Finish("ada", true))
	must(r.DeleteBranch("ada", "topic"))
	run := h.createRun(t, r.Head("main"))
	must(s.ClickAction("ada", run, "rerun"))
	must(s.Rerequest("ada", run))
	must(r.RerequestSuite("ada", h.app, r.Head("main")))
	must(r.SetDefaultBranch("main"))
	other, err := s.AddRepository("acme/other", false)
	must(err)
	h.installation.AddRepositories(other)
	h.installation.RemoveRepositories(other)
	r.Rename("renamed")
	r.Archive()
	h.installation.Suspend()
	h.installation.Unsuspend()
	h.installation.Delete()
}
