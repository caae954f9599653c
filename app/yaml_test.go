package app_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/admin/tree"
	source "github.com/treeline-ci/treeline/importer/actions/source"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/cron"
	kinds "github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/ui/editor"
)

// laughs is ten to the power of n words, each list of which is ten aliases of the one before.
func laughs(indent string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sl0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n", indent)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "%sl%d: &l%d [%s*l%d]\n", indent, i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), i-1)
	}
	return b.String()
}

// merges is the same with mappings that are merged: each has the keys of the one before, and ten aliases of it.
func merges(indent string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sm0: &m0 {a: x}\n", indent)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "%sm%d: &m%d {<<: *m%d", indent, i, i, i-1)
		for k := range 10 {
			fmt.Fprintf(&b, ", k%d: *m%d", k, i-1)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// grown is why what grows is refused.
var grown = regexp.MustCompile(`alias|levels deep|deeper than|max depth|contains itself|has \d+ bytes`)

// TestYAMLThatGrowsWithoutEnd gives whoever reads YAML of strangers what would be billions of values or deep without end. It
// must be refused, or be read as little as it is.
func TestYAMLThatGrowsWithoutEnd(t *testing.T) {
	readers := map[string]struct {
		frame string // around the text, which is indented by four
		read  func(text string) error
	}{
		".taskcluster.yml": {"version: 1\ntasks:\n  - extra:\n", func(text string) error {
			_, err := templates.Parse([]byte(text), ".taskcluster.yml")
			return err
		}},
		"its template for actions": {"version: 1\ntasks:\n  - extra:\n", func(text string) error {
			_, err := action.Tasks([]byte(text))
			return err
		}},
		"kind.yml": {"tasks:\n  one:\n", func(text string) error {
			_, err := kinds.Parse("kind.yml", []byte(text))
			return err
		}},
		".cron.yml": {"jobs:\n  - name: n\n    job:\n", func(text string) error {
			_, err := cron.Parse(".cron.yml", []byte(text))
			return err
		}},
		"a workflow of GitHub Actions": {"on: push\njobs:\n  one:\n", func(text string) error {
			_, err := source.Parse("w.yml", []byte(text))
			return err
		}},
		"the directory of treeline admin": {"managed: [\"hook:*\"]\nhooks:\n  a/b:\n    owner: o@example.com\n    task:\n", func(text string) error {
			_, err := tree.Read(fstest.MapFS{"admin.yml": {Data: []byte(text)}})
			return err
		}},
		"an editor's page": {"a:\n  b:\n", func(text string) error {
			if _, problems := editor.Parse(text); len(problems) > 0 {
				return fmt.Errorf("%v", problems)
			}
			return nil
		}},
	}
	deepMapping := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.Repeat(" ", 6+i) + "a:\n")
		}
		return b.String()
	}
	for name, r := range readers {
		for what, text := range map[string]string{
			"aliases of aliases":       laughs("      ", 10),
			"merged mappings":          merges("      ", 10),
			"an alias within itself":   "      a: &a [*a]\n",
			"two that hold each other": "      a: &a {b: &b [*a, *b]}\n",
			"a million brackets":       "      a: " + strings.Repeat("[", 1_000_000) + "\n",
			"lists 9,000 deep":         "      a: " + levels(9000) + "\n",
			"mappings 2,000 deep":      deepMapping(2000),
			"a merge of itself":        "      a: &a {<<: *a}\n",
			"an anchor 20,000 times":   "      a: &a x\n      b: [" + strings.Repeat("*a, ", 20_000) + "*a]\n",
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := r.read(r.frame + text)
				runtime.ReadMemStats(&after)
				if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 200 {
					t.Errorf("%d MB were taken", n)
				}
				if harmless := what == "an anchor 20,000 times"; !harmless && (err == nil || !grown.MatchString(err.Error())) {
					t.Errorf("%v", err)
				}
				if err != nil && len(err.Error()) > 10_000 {
					t.Errorf("the error has %d bytes: %.300s…", len(err.Error()), err)
				}
			})
		}
	}
}

// levels is a list in a list, and so on.
func levels(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
