package templates_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/templates"
)

func TestWhatIsComparedOfGraphs(t *testing.T) {
	for text, want := range map[string]templates.GraphDiff{
		"{}":                 {},
		"{graphDiff: true}":  {},
		"{graphDiff: false}": {Off: true},
		"{graphDiff: {stage: full, parameters: ['taskcluster/params/*.yml', github-push]}}": {Stage: "full", Parameters: []string{"taskcluster/params/*.yml", "github-push"}},
	} {
		f, err := templates.Parse([]byte("version: 1\ntreeline: "+text+"\n"), "f")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, f.Extras.GraphDiff); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	f, err := templates.Parse([]byte("version: 1\ntreeline: {approveNewScopes: admin}\n"), "f")
	if err != nil || f.Extras.ApproveNewScopes != "admin" {
		t.Errorf("%v %v", f, err)
	}
	for text, want := range map[string]string{
		"approveNewScopes: write":         "maintain or admin",
		"approveNewScopes: true":          "maintain or admin",
		"graphDiff: 1":                    "false, or a mapping",
		"graphDiff: {params: []}":         "no key \"params\"",
		"graphDiff: {stage: morphed}":     "one of full",
		"graphDiff: {parameters: []}":     "a list of files",
		"graphDiff: {parameters: [/a]}":   "a pattern of files",
		"graphDiff: {parameters: ['[']}":  "a pattern of files",
		"graphDiff: {parameters: [../a]}": "a pattern of files",
	} {
		_, err := templates.Parse([]byte("version: 1\ntreeline:\n  "+text+"\n"), "f")
		if e := (*templates.Error)(nil); !errors.As(err, &e) || e.Line == 0 || !strings.Contains(e.Message, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
