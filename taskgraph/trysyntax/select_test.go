package trysyntax_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
)

// one makes a task of "kind label attribute=value…"; on=all is run_on_projects, tier that of Treeherder,
// needs the build.
func one(line string) *graph.Task {
	words := strings.Fields(line)
	t := &graph.Task{Kind: words[0], Label: words[1], Attributes: map[string]any{"kind": words[0]}, Dependencies: map[string]string{}}
	names := map[string]string{
		"b": "build_type", "p": "build_platform", "tp": "test_platform", "u": "unittest_try_name", "t": "talos_try_name", "r": "raptor_try_name",
		"j": "job_try_name", "chunk": "test_chunk",
	}
	for _, w := range words[2:] {
		key, v, _ := strings.Cut(w, "=")
		switch key {
		case "on":
			t.Attributes["run_on_projects"] = []any{v}
		case "tier":
			t.Definition = map[string]any{"extra": map[string]any{"treeherder": map[string]any{"tier": int64(v[0] - '0')}}}
		case "needs":
			t.Dependencies["build"] = v
		default:
			t.Attributes[names[key]] = v
		}
	}
	return t
}

// tree is what the cases below select from.
func tree(t testing.TB) *graph.Graph {
	t.Helper()
	var tasks []*graph.Task
	for _, line := range strings.Split(strings.TrimSpace(`
		build bl b=opt p=linux64 on=all
		build bld b=debug p=linux64 on=all
		build bm b=opt p=macosx64 on=none
		build bms b=opt p=macosx64-shippable on=all
		build bw b=opt p=windows10-64 on=central
		build ba b=opt p=linux64-asan on=all tier=2
		build bt b=opt p=linux32 on=try
		valgrind v b=opt p=linux64-valgrind on=all
		test m1 b=opt p=linux64 tp=linux64/opt u=mochitest chunk=1 on=all needs=bl
		test m2 b=opt p=linux64 tp=linux64/opt u=mochitest chunk=2 on=all needs=bl
		test m3 b=opt p=linux64 tp=linux64/opt u=mochitest chunk=3 on=all needs=bl
		test md1 b=debug p=linux64 tp=linux64/debug u=mochitest chunk=1 on=all needs=bld
		test ma1 b=opt p=linux64-asan tp=linux64-asan/opt u=mochitest chunk=1 on=all needs=ba tier=2
		test mw1 b=opt p=windows10-64 tp=windows10-64/opt u=mochitest chunk=1 on=all needs=bw tier=2
		test bc b=opt p=linux64 tp=linux64/opt u=mochitest-browser-chrome on=all needs=bl
		test x b=opt p=linux64 tp=linux64/opt u=xpcshell on=all needs=bl
		test xm b=opt p=macosx64-shippable tp=macosx1015-64/opt u=xpcshell on=none needs=bms
		test rf b=opt p=linux64 tp=linux64/opt u=plain-reftest on=all needs=bl
		test w2 b=opt p=linux64 tp=linux64/opt u=web-platform-tests on=all needs=bl tier=2
		test g1 b=opt p=linux64 tp=linux64/opt t=g1 on=all needs=bl
		test g2 b=opt p=linux64 tp=linux64/opt t=g2 on=all needs=bl
		test tp6 b=opt p=linux64 tp=linux64/opt r=tp6 on=all needs=bl
		lint js j=js on=all
		lint py j=py on=none
		lint dl j=doc p=linux64 on=all
		docker-image img on=all
	`), "\n") {
		tasks = append(tasks, one(line))
	}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var context = trysyntax.Context{Project: "try", RidealongBuilds: map[string][]string{"windows10-64": {"linux32"}}}

// selections are syntaxes with the tasks that they select, sorted by label.
var selections = []struct{ syntax, want string }{
	{"", ""},
	{"-b o", "ba bc bl bms bt m1 m2 m3 ma1 rf v w2 x"},
	{"-b o -u none", "ba bl bms bt v"},
	{"-b d -u none", "bld"},
	{"-b do -u none", "ba bl bld bms bt v"},
	{"-b d", "bld md1"},
	{"-b o -p linux64", "bc bl m1 m2 m3 rf w2 x"},
	{"-b o -p linux64 -u none", "bl"},
	{"-b o -p linux64,linux64-asan -u none", "ba bl"},
	{"-b o -p macosx64 -u none", "bm"},
	{"-b o -p macosx64 -u all", "bms"},
	{"-b o -p macosx64 -u none -t g1", "bms"},
	{"-b o -p windows10-64 -u none", "bt bw"},
	{"-b o -p linux64-valgrind -u none", "v"},
	{"-b o -p none,linux64 -u none", "!"},
	{"-p linux64", ""},
	{"-b o -p linux64 -u mochitest", "bc bl m1 m2 m3"},
	{"-b o -p linux64 -u mochitests", "bc bl m1 m2 m3"},
	{"-b o -p linux64 -u mochitest-1", "bl m1"},
	{"-b o -p linux64 -u mochitest-1,mochitest-3", "bl m1 m3"},
	{"-b o -p linux64 -u mochitest-1,mochitest-1", "bl m1"},
	{"-b o -p linux64 -u mochitest-9", "bl"},
	{"-b o -p linux64 -u mochitest-1,mochitest", "bc bl m1 m2 m3"},
	{"-b o -p linux64 -u mochitest-bc", "bc bl"},
	{"-b o -p linux64 -u mochitest-browser-chrome", "bc bl"},
	{"-b o -p linux64 -u reftest", "bl rf"},
	{"-b o -p linux64 -u plain-reftest", "bl rf"},
	{"-b o -p linux64 -u web-platform-test", "bl w2"},
	{"-b o -p linux64 -u xpcshell,reftest", "bl rf x"},
	{"-b o -p linux64 -u ,xpcshell,", "bl x"},
	{"-b o -p linux64 -u xpcshell[linux64]", "bl x"},
	{"-b o -p linux64 -u xpcshell[x64]", "bl x"},
	{"-b o -p linux64 -u xpcshell[Ubuntu]", "bl x"},
	{"-b o -p linux64 -u xpcshell[-linux64]", "bl"},
	{"-b o -p linux64 -u xpcshell[-x64]", "bl"},
	{"-b o -p linux64 -u xpcshell[-windows10-64]", "bl x"},
	{"-b o -p linux64 -u xpcshell[linux64,-linux64]", "bl"},
	{"-b o -p linux64 -u xpcshell[-linux64,linux64]", "bl x"},
	{"-b o -p linux64 -u xpcshell[all]", "bl x"},
	{"-b o -p linux64 -u xpcshell[Windows 10]", "bl"},
	{"-b o -u all[linux64] -p linux64,linux64-asan", "ba bc bl m1 m2 m3 rf w2 x"},
	{"-b o -u all[-linux64] -p linux64,linux64-asan", "ba bl ma1"},
	{"-b o -u mochitest[linux64-asan] -p linux64,linux64-asan", "ba bl ma1"},
	{"-b o -u mochitest-1[linux64] -p linux64,linux64-asan", "ba bl m1"},
	{"-b o -u mochitest-1[linux64],mochitest-2 -p linux64", "bl m1 m2"},
	{"-b o -p windows10-64 -u mochitest", "bt bw"},
	{"-b o -p windows10-64 -u mochitest[windows10-64]", "bt bw mw1"},
	{"-b o -p windows10-64 -u mochitest[Windows 10]", "bt bw mw1"},
	{"-b o -p linux64-asan -u mochitest", "ba ma1"},
	{"-b o -p macosx64 -u xpcshell", "bms"},
	{"-b o -p macosx64 -u xpcshell[macosx1015-64]", "bms xm"},
	{"-b o -p linux64 -u none -t", "bl g1 g2"},
	{"-b o -p linux64 -u none -t all", "bl g1 g2"},
	{"-b o -p linux64 -u none -t g1", "bl g1"},
	{"-b o -p linux64 -u none -t g1[linux64-asan]", "bl"},
	{"-b o -p linux64 -u none -r", "bl tp6"},
	{"-b o -p linux64 -u xpcshell -t g2 -r tp6", "bl g2 tp6 x"},
	{"-b o -p linux64 -u none,xpcshell", "bl x"},
	{"-b o -p linux64 -u xpcshell,all", "bc bl m1 m2 m3 rf w2 x"},
	{"-j js", "js"},
	{"-j js,py", "js py"},
	{"-j js -j py", "js py"},
	{"-j all", "dl js"},
	{"-j all -p linux64", "dl"},
	{"-j all -p linux64-asan", ""},
	{"-j none", ""},
	{"-j doc -b o -p linux64 -u none", "bl dl"},
	{"-b o -p linux65", "!-p: no task of the graph is for platform linux65|is \"linux64\" meant?"},
	{"-b o -u xpcshell[", "!the bracket behind \"xpcshell\" is not closed"},
	{"-b o -u xpcshell[]", "!a platform is missing in the brackets"},
	{"-b o -u xpcshell[a,]", "!a platform is missing"},
	{"-b o -u xpcshell[-]", "!a platform is missing"},
	{"-b o -u [linux64]", "!brackets need the name of a test"},
	{"-b o -u xpcshell]", "!a bracket closes behind \"xpcshell\""},
	{"-b o -u x[a]y", "!a comma is missing behind \"x[a]\""},
	{"-b o -u x[a[b]]", "!there is a bracket in the brackets"},
	{"-b o -t x[", "!-t x[: the bracket"},
}

func TestSelections(t *testing.T) {
	full := tree(t)
	for _, c := range selections {
		t.Run(c.syntax, func(t *testing.T) {
			o, _, err := trysyntax.Parse("try: " + c.syntax)
			if err != nil {
				t.Fatal(err)
			}
			s, err := trysyntax.NewSelector(o, full, context)
			if want, wrong := strings.CutPrefix(c.want, "!"); wrong {
				for _, part := range strings.Split(want, "|") {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("got %v, want %q in it", err, part)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for label, task := range full.All() {
				a := s.Answer(task)
				if a.Selected {
					got = append(got, label)
				}
				if a.Rule == "" || a.Part == "" {
					t.Errorf("%s: the answer does not say why: %+v", label, a)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestThereAreManyCases(t *testing.T) {
	if n := len(syntaxes) + len(selections); n < 150 {
		t.Errorf("%d cases", n)
	}
}

func TestABuildTypeThatNoTaskHasIsRefused(t *testing.T) {
	g, err := graph.FromTasks([]*graph.Task{one("build b b=opt p=linux64")})
	if err != nil {
		t.Fatal(err)
	}
	o, _, _ := trysyntax.Parse("try: -b o -u all -t all")
	if s, err := trysyntax.NewSelector(o, g, context); err != nil || len(s.Notes()) > 0 {
		t.Errorf("all of none: %v", err)
	}
	o, _, _ = trysyntax.Parse("try: -b do")
	_, err = trysyntax.NewSelector(o, g, context)
	if err == nil || err.Error() != "commit message:1: try: -b: no task of the graph is of build type debug (known: opt)" {
		t.Error(err)
	}
}

// The answer tells the part of the syntax that decided.
func TestAnswersNameThePartOfTheSyntax(t *testing.T) {
	full := tree(t)
	for _, c := range []struct{ syntax, label, want string }{
		{"-b o -p linux64", "bl", "true try syntax asks for the build type and the platform: -b o -p linux64"},
		{"-b o", "bl", "true try syntax asks for the build type on all platforms: -b o -p all"},
		{"-b o", "bw", "false run_on_projects leaves try out, and try syntax does not name the platform: -p all"},
		{"-b d", "bl", "false try syntax does not ask for the build type: -b d"},
		{"-j js", "bl", "false try syntax does not ask for the build type: no -b"},
		{"-b o -p linux64 -u mochitest-1,mochitest-2", "m2", "true try syntax names the test: -u mochitest-1,mochitest-2"},
		{"-b o -p linux64 -u mochitest-1", "m2", "false try syntax names other chunks of the test: -u mochitest-1"},
		{"-b o -u xpcshell[ x64 ]", "x", "true try syntax names the test on the platform: -u xpcshell[x64]"},
		{"-b o -u xpcshell[-x64]", "x", "false try syntax names the test on other platforms: -u xpcshell[-x64]"},
		{"-b o -u mochitest", "ma1", "true try syntax names the test; it is of tier 2 as its build: -u mochitest"},
		{"-b o -u all", "w2", "true try syntax names the test; it is of tier 2, and there is none of tier 1: -u all"},
		{"-b o -p windows10-64 -u mochitest", "mw1", "false the test is of tier 2, and another of that name is of tier 1; name its platform in brackets: -u mochitest"},
		{"-b o -u xpcshell", "m1", "false try syntax does not name the test: -u xpcshell -t none -r none"},
		{"-j js,py", "py", "true try syntax names the job: -j py"},
		{"-j all", "py", "false run_on_projects leaves try out: -j all"},
		{"-b o", "img", "false try syntax selects builds, tests and jobs; this is none of them: kind: docker-image"},
	} {
		t.Run(c.syntax+" "+c.label, func(t *testing.T) {
			o, _, err := trysyntax.Parse("try: " + c.syntax)
			if err != nil {
				t.Fatal(err)
			}
			s, err := trysyntax.NewSelector(o, full, context)
			if err != nil {
				t.Fatal(err)
			}
			a := s.Answer(full.Task(c.label))
			if diff := cmp.Diff(c.want, fmt.Sprintf("%v %s: %s", a.Selected, a.Rule, a.Part)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamesThatTheGraphDoesNotKnowAreTold(t *testing.T) {
	full := tree(t)
	for syntax, want := range map[string]string{
		"-b o -u mochtest":           `try: -u: no test of the graph is called "mochtest"; is "mochitest" meant?`,
		"-b o -u zzz,zzz":            `try: -u: no test of the graph is called "zzz"`,
		"-b o -t zzz-1":              `try: -t: no test of the graph is called "zzz-1"`,
		"-b o -u xpcshell[linux46]":  `try: -u xpcshell[linux46]: no test of the graph runs on "linux46"; is "linux64" meant?`,
		"-b o -u xpcshell[-linux46]": `runs on "linux46"`,
		"-j pi":                      `try: -j: no job of the graph is called "pi"`,
		"-b o --hm":                  `the option --hm is not known`,
		"-b o -u none":               "",
		"-b o -u xpcshell[x64,all]":  "",
	} {
		t.Run(syntax, func(t *testing.T) {
			o, _, err := trysyntax.Parse("try: " + syntax)
			if err != nil {
				t.Fatal(err)
			}
			s, err := trysyntax.NewSelector(o, full, context)
			if err != nil {
				t.Fatal(err)
			}
			notes := s.Notes()
			if want == "" && len(notes) == 0 {
				return
			}
			if len(notes) != 1 || !strings.Contains(notes[0].Error(), want) || want == "" {
				t.Errorf("got %v, want %q", notes, want)
			}
		})
	}
}

// Whatever a message says, there is an answer for every task or an error with its place.
func FuzzSelect(f *testing.F) {
	for _, c := range syntaxes {
		f.Add(c.message)
	}
	for _, c := range selections {
		f.Add("try: " + c.syntax)
	}
	full := tree(f)
	f.Fuzz(func(t *testing.T, message string) {
		o, ok, err := trysyntax.Parse(message)
		if err != nil || !ok {
			if ok && len(graph.Errors(err)) == 0 {
				t.Fatalf("an error of no place: %v", err)
			}
			return
		}
		values, _ := o.Parameters()
		again, err := trysyntax.FromParameters(values)
		if err != nil {
			t.Fatal(err)
		}
		s, err := trysyntax.NewSelector(o, full, context)
		s2, err2 := trysyntax.NewSelector(again, full, context)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("parameters select otherwise: %v, %v", err, err2)
		}
		if err != nil {
			return
		}
		for label, task := range full.All() {
			if a := s.Answer(task); a != s2.Answer(task) || a.Rule == "" {
				t.Fatalf("%s: %+v, %+v", label, a, s2.Answer(task))
			}
		}
	})
}
