package command_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/docs/command"
)

const page = `# T

<!-- not run: it needs a cloud -->
~~~sh
treeline serve
~~~

Write this into ~a/b.yml~:

~~~yaml
x: 1
~~~

~~~yaml
y: 2
~~~

1. Do it:

   <!-- here: ID is treeline group list | head -n 1 -->
   <!-- here: b is echo c -->
   <!-- with: database mail -->
   <!-- answers differ: ids are -->
   <!-- meanwhile: treeline x -->
   <!-- stays: up -->
   ~~~console
   $ one
   two

   $ three \
       four
   five
   ~~~

<!-- run by: make test-deploy TestInstall -->
~~~sh
install it
~~~
`

func TestBlocks(t *testing.T) {
	text := strings.NewReplacer("~~~", "```", "~", "`").Replace(page)
	got := command.Blocks("p.md", text)
	want := []command.Block{
		{Page: "p.md", Line: 4, Language: "sh", Lines: []string{"treeline serve"}, NotRun: "it needs a cloud"},
		{Page: "p.md", Line: 10, Language: "yaml", Lines: []string{"x: 1"}, File: "a/b.yml"},
		{Page: "p.md", Line: 26, Language: "console", Lines: []string{"$ one", "two", "", `$ three \`, "    four", "five"}, Differs: "ids are",
			Here: []command.Meaning{{Word: "ID", Script: "treeline group list | head -n 1"}, {Word: "b", Script: "echo c"}},
			With: []string{"database", "mail"}, Stays: "up", Meanwhile: "treeline x"},
		{Page: "p.md", Line: 36, Language: "sh", Lines: []string{"install it"}, RunBy: command.Test{Target: "test-deploy", Name: "TestInstall"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for i, elsewhere := range []bool{true, false, false, true} {
		if got[i].Elsewhere() != elsewhere {
			t.Errorf("block %d: %v", i, !elsewhere)
		}
	}
	steps := []command.Step{{Line: 27, Command: "one", Answer: []string{"two"}}, {Line: 30, Command: "three \\\n    four", Answer: []string{"five"}}}
	if diff := cmp.Diff(steps, got[2].Steps()); diff != "" {
		t.Error(diff)
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		answer, printed string
		want            bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a|b", false},
		{"a|…", "a|b|c", true},
		{"a|…|c", "a|b|b|c", true},
		{"…|c", "c", true},
		{"a|…|c", "a|b", false},
		{"took …s.", "took 12s.", true},
		{"took …s.", "took 12m", false},
		{"(a+…)", "(a+b)", true},
		{"a  …", "a  ", true},
	} {
		if got := command.Fits(strings.Split(c.answer, "|"), strings.Split(c.printed, "|")); got != c.want {
			t.Errorf("%q, %q: got %v", c.answer, c.printed, got)
		}
	}
}
