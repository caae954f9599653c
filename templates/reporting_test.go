package templates_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/templates"
)

func TestHowAForgeIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		source           string
		checks, statuses bool
		want             templates.Reporting
	}{
		"the peer's usual":      {"version: 1\n", false, true, templates.Reporting{}},
		"the peer's check runs": {"version: 1\nreporting: checks-v1\n", true, false, templates.Reporting{}},
		"both": {"version: 1\ntreeline: {reporting: {by: [checks, statuses], name: Everything, tasks: group}}\n", true, true,
			templates.Reporting{Named: true, By: []string{"checks", "statuses"}, Name: "Everything", Tasks: "group"}},
		"none":                {"version: 1\nreporting: checks-v1\ntreeline: {reporting: {by: []}}\n", false, false, templates.Reporting{Named: true}},
		"a name and no means": {"version: 1\nreporting: checks-v1\ntreeline: {reporting: {name: All}}\n", true, false, templates.Reporting{Name: "All"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := templates.Parse([]byte(tt.source), ".taskcluster.yml")
			if err != nil {
				t.Fatal(err)
			}
			if f.Checks() != tt.checks || f.Statuses() != tt.statuses {
				t.Errorf("checks %v, statuses %v", f.Checks(), f.Statuses())
			}
			if diff := cmp.Diff(tt.want, f.Extras.Reporting); diff != "" {
				t.Error(diff)
			}
			// The same can be read of a file that is wrong elsewhere.
			wrong := templates.ReportingOf([]byte(tt.source + "tusks: 1\n"))
			if wrong.Checks() != tt.checks || wrong.Statuses() != tt.statuses || wrong.Extras.Reporting.Name != tt.want.Name {
				t.Errorf("of the wrong file: %+v", wrong)
			}
		})
	}
	if f := templates.ReportingOf([]byte("version: 1\nreporting: checks-v1\ntasks: [\n")); !f.Checks() {
		t.Error("a file that is no YAML is not told by checks")
	}
}

func TestMistakesInReportingSayWhere(t *testing.T) {
	for name, tt := range map[string]struct{ reporting, want string }{
		"no mapping":        {"checks", "must be a mapping"},
		"an unknown key":    {"{names: x}", "known are by, name, tasks"},
		"by is no list":     {"{by: checks}", "must be a list"},
		"by what":           {"{by: [mail]}", "checks and statuses"},
		"an empty name":     {"{name: ''}", "1 to 60 characters"},
		"a name too long":   {"{name: " + strings.Repeat("x", 61) + "}", "1 to 60 characters"},
		"tasks of no kind":  {"{tasks: all}", "auto, task, group or none"},
		"a name of no text": {"{name: [1]}", "1 to 60 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := templates.Parse([]byte("version: 1\ntreeline:\n  reporting: "+tt.reporting+"\n"), ".taskcluster.yml")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), ".taskcluster.yml:") {
				t.Errorf("%v", err)
			}
		})
	}
}
