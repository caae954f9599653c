package explain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

func TestMissingLabels(t *testing.T) {
	at := func(kind, entry string, line int, cell ...explain.Dimension) explain.Provenance {
		p := explain.Provenance{Kind: kind, File: "ci/kinds/" + kind + "/kind.yml", Line: line, Entry: entry}
		if cell != nil {
			p = p.With(explain.Step{Transform: "matrix", Cell: cell})
		}
		return p
	}
	cell := func(os, arch string) []explain.Dimension { return []explain.Dimension{{"os", os}, {"arch", arch}} }
	tasks := map[string]explain.Provenance{
		"build-app-linux-x64": at("build", "app", 4, cell("linux", "x64")...),
		"build-app-linux-arm": at("build", "app", 4, cell("linux", "arm")...),
		"build-app-mac-arm":   at("build", "app", 4, cell("mac", "arm")...),
		"test-part-1":         at("test", "part-{this_chunk}", 9),
		"test-part-2":         at("test", "part-{this_chunk}", 9),
	}
	log := &explain.Log{}
	log.Dropped([]explain.Drop{
		{Label: "build-app-mac-x64", Kind: "build", File: "ci/kinds/build/kind.yml", Line: 4, Entry: "app", By: "matrix", Reason: `excluded by {"os": "mac"}`},
		{Label: "docs-site", Kind: "docs", File: "ci/kinds/docs/kind.yml", Line: 2, Entry: "site", By: explain.IfCondition, Reason: "level >= 3"},
	})
	for label, want := range map[string]string{
		"build-app-bsd-x64": `build-app-bsd-x64: no kind makes it
  ci/kinds/build/kind.yml:4 entry "app" makes a task of each cell of its matrix; "bsd" is no value of os there (linux, mac)
  is build-app-linux-x64 meant?
  kind build makes 3 tasks
`,
		"build-app-mac-x64": `build-app-mac-x64: no kind makes it
  ci/kinds/build/kind.yml:4 entry "app": matrix made no task build-app-mac-x64: excluded by {"os": "mac"}
  ci/kinds/build/kind.yml:4 entry "app" makes build-app-linux-arm, build-app-linux-x64, build-app-mac-arm
  is build-app-mac-arm or build-app-linux-x64 meant?
  kind build makes 3 tasks
`,
		"docs-site": `docs-site: no kind makes it
  ci/kinds/docs/kind.yml:2 entry "site" was left out: its condition does not hold: level >= 3
  kind docs makes 0 tasks
`,
		"test-part-7": `test-part-7: no kind makes it
  ci/kinds/test/kind.yml:9 entry "part-{this_chunk}" makes test-part-1, test-part-2
  is test-part-1 or test-part-2 meant?
  kind test makes 2 tasks
`,
		"zzz": "zzz: no kind makes it\n  no kind's name begins it\n",
	} {
		t.Run(label, func(t *testing.T) {
			var out strings.Builder
			if err := log.Missing(label, tasks, []string{"build", "docs", "test"}).WriteText(&out); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
