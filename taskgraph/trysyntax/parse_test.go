package trysyntax_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
)

// brief writes options in one line, those that are as without any option left out.
func brief(o trysyntax.Options) string {
	var out []string
	add := func(name string, value any, silent bool) {
		if !silent {
			out = append(out, strings.TrimSuffix(fmt.Sprintf("%s=%v", name, value), "=true"))
		}
	}
	add("b", strings.Join(o.BuildTypes, "+"), o.BuildTypes == nil)
	add("p", o.Platforms, o.Platforms == "all")
	add("u", o.Unittests, o.Unittests == "all")
	add("t", o.Talos, o.Talos == "none")
	add("r", o.Raptor, o.Raptor == "none")
	add("j", strings.Join(o.Jobs, "+"), o.Jobs == nil)
	add("rebuild", o.Rebuild, o.Rebuild == 1)
	add("rebuild-talos", o.RebuildTalos, o.RebuildTalos == 1)
	add("rebuild-raptor", o.RebuildRaptor, o.RebuildRaptor == 1)
	add("mail", o.Notifications, o.Notifications == "")
	add("tag", o.Tag, o.Tag == "")
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		add(name, o.Env[name], false)
	}
	for name, on := range map[string]bool{"interactive": o.Interactive} {
		add(name, on, !on)
	}
	add("no-retry", true, !o.NoRetry)
	add("nightly", true, !o.IncludeNightly)
	add("worker", true, !o.TaskclusterWorker)
	add("profile", true, !o.GeckoProfile)
	add("artifact", true, !o.Artifact)
	return strings.Join(out, " ")
}

// syntaxes are messages with the options that they ask for.
var syntaxes = []struct{ message, want string }{
	// Where the syntax stands.
	{"try: -b o", "b=opt"},
	{"Bug 1 - mend it\n\ntry: -b o -p all\nmore: -b d", "b=opt"},
	{"Bug 1 - mend it; try: -b o", "b=opt"},
	{"try: -b o\ntry: -b d", "b=opt"},
	{"try:-b o", "b=opt"},
	{"try:\t-b o", "b=opt"},
	{"try: -b o\r\nmore", "b=opt"},
	{"try:", ""},
	{"try: ", ""},
	{"retry: -b o", "b=opt"}, // as the field: the first "try:" of the message
	// Words and quotes.
	{`try: -b "do"`, "b=debug+opt"},
	{`try: -b 'do'`, "b=debug+opt"},
	{`try: -b d"o"`, "b=debug+opt"},
	{`try: "-b" o`, "b=opt"},
	{`try: --tag "two words"`, "tag=two words"},
	{`try: --tag 'a "quoted" one'`, `tag=a "quoted" one`},
	{`try: --tag two\ words`, "tag=two words"},
	{`try: --tag "a \"b\""`, `tag=a "b"`},
	{`try: --tag "a\b"`, `tag=a\b`},
	{`try: --tag ''`, ""},
	{"try:   -b    o   -p\tlinux", "b=opt p=linux"},
	{"try: -u mochitest[Windows 10]", "u=mochitest[Windows 10]"},
	{"try: -u mochitest[Windows 10,-x 64],xpcshell -b o", "b=opt u=mochitest[Windows 10,-x 64],xpcshell"},
	{"try: -u mochitest[a, b], xpcshell", "u=mochitest[a, b],"},
	// -b.
	{"try: -b d", "b=debug"},
	{"try: -b do", "b=debug+opt"},
	{"try: -b od", "b=opt+debug"},
	{"try: -b ooo", "b=opt"},
	{"try: -bdo", "b=debug+opt"},
	{"try: -b=do", "b=debug+opt"},
	{"try: --build do", "b=debug+opt"},
	{"try: --build=do", "b=debug+opt"},
	{"try: --bui o", "b=opt"},
	{"try: -b o -b d", "b=debug"},
	{"try: -b opt", "b=opt"},
	{"try: -b x", ""},
	{`try: -b ""`, ""},
	// -p.
	{"try: -p all", ""},
	{"try: -p", ""},
	{"try: -p -b o", "b=opt"},
	{"try: -p linux64", "p=linux64"},
	{"try: -plinux64", "p=linux64"},
	{"try: -p linux64,macosx64", "p=linux64,macosx64"},
	{"try: --platform linux64", "p=linux64"},
	{"try: --platforms linux64", ""},
	{"try: --platform=linux64", "p=linux64"},
	{"try: -p linux64 -p win32", "p=win32"},
	{"try: -p none", "p=none"},
	// -u.
	{"try: -u none", "u=none"},
	{"try: -u", ""},
	{"try: -u all", ""},
	{"try: -u mochitest-1,mochitest-2", "u=mochitest-1,mochitest-2"},
	{"try: --unittests reftest", "u=reftest"},
	{"try: --unit reftest", "u=reftest"},
	{"try: -u all[x64]", "u=all[x64]"},
	{"try: -u xpcshell -u none", "u=none"},
	{"try: -umochitest", "u=mochitest"},
	// -t and -r.
	{"try: -t", "t=all"},
	{"try: -t all", "t=all"},
	{"try: -t none", ""},
	{"try: -t svgr,g1", "t=svgr,g1"},
	{"try: --talos=g1", "t=g1"},
	{"try: -t -p linux", "p=linux t=all"},
	{"try: -r", "r=all"},
	{"try: -r tp6", "r=tp6"},
	{"try: --raptor tp6[linux64]", "r=tp6[linux64]"},
	// -j.
	{"try: -j lint", "j=lint"},
	{"try: -j lint,doc", "j=lint,doc"},
	{"try: -j lint -j doc", "j=lint+doc"},
	{"try: --job=lint", "j=lint"},
	{"try: -j all", "j=all"},
	{"try: -j none", "j=none"},
	{"try: -jlint", "j=lint"},
	// How often.
	{"try: --rebuild 20", "rebuild=20"},
	{"try: --rebuild=20", "rebuild=20"},
	{"try: --rebuild-talos 3", "rebuild-talos=3"},
	{"try: --rebuild-t 3", "rebuild-talos=3"},
	{"try: --rebuild-raptor 3 --rebuild 2", "rebuild=2 rebuild-raptor=3"},
	{"try: --rebuild 1", ""},
	{"try: --rebuild 1000", "rebuild=1000"},
	// The others.
	{"try: -i", "interactive"},
	{"try: --interactive", "interactive"},
	{"try: -e", "mail=all"},
	{"try: --all-emails", "mail=all"},
	{"try: -f", "mail=failure"},
	{"try: --failure-emails", "mail=failure"},
	{"try: -e -f", "mail=failure"},
	{"try: -ie", "mail=all interactive"},
	{"try: -iwbdo", "b=debug+opt interactive worker"},
	{"try: --setenv A=b", "A=b"},
	{"try: --setenv A=b --setenv C=d", "A=b C=d"},
	{"try: --setenv A=b=c", "A=b=c"},
	{"try: --setenv=A=b", "A=b"},
	{"try: --setenv A=", "A="},
	{`try: --setenv "A=b c"`, "A=b c"},
	{"try: --setenv A=1 --setenv A=2", "A=2"},
	{"try: --gecko-profile", "profile"},
	{"try: --geckoProfile", "profile"},
	{"try: --spsProfile", "profile"},
	{"try: --talos-profile", "profile"},
	{"try: --tag devtools", "tag=devtools"},
	{"try: --no-retry", "no-retry"},
	{"try: --include-nightly", "nightly"},
	{"try: --artifact", "artifact"},
	{"try: --art", "artifact"},
	{"try: -w", "worker"},
	{"try: --taskcluster-worker", "worker"},
	{"try: -b do -p linux64 -u all[x64],none -t none --artifact --no-retry --rebuild 5", "b=debug+opt p=linux64 u=all[x64],none rebuild=5 no-retry artifact"},
	// What is left out leaves the rest.
	{"try: --what -b o", "b=opt"},
	{"try: -x -b o", "b=opt"},
	{"try: o -b o and more", "b=opt"},
	{"try: -b o --what=1", "b=opt"},
	{"try: - -b o", "b=opt"},
	{"try: -- -b o", "b=opt"},
}

func TestSyntaxes(t *testing.T) {
	for _, c := range syntaxes {
		t.Run(c.message, func(t *testing.T) {
			o, ok, err := trysyntax.Parse(c.message)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			if diff := cmp.Diff(c.want, brief(o)); diff != "" {
				t.Error(diff)
			}
			values, _ := o.Parameters()
			again, err := trysyntax.FromParameters(values)
			if err != nil {
				t.Fatal(err)
			}
			ignore := cmp.Options{cmpopts.IgnoreUnexported(trysyntax.Options{}), cmpopts.IgnoreFields(trysyntax.Options{}, "Notes", "Env", "GeckoProfile", "Artifact"), cmpopts.EquateEmpty()}
			if diff := cmp.Diff(o, again, ignore); diff != "" {
				t.Errorf("parameters give otherwise: %s", diff)
			}
		})
	}
}

func TestAMessageWithoutSyntaxHasNone(t *testing.T) {
	for _, message := range []string{"", "Bug 1 - mend it", "try -b o", "TRY: -b o"} {
		if _, ok, err := trysyntax.Parse(message); ok || err != nil {
			t.Errorf("%q: %v, %v", message, ok, err)
		}
	}
}

func TestWhatIsWrongIsToldWithItsLine(t *testing.T) {
	for message, want := range map[string]string{
		"try: -b":                            "commit message:1: try: -b needs a value behind it",
		"try: -b -p all":                     "-b needs a value behind it",
		"one\ntwo\ntry: -j":                  "commit message:3: try: -j needs a value behind it",
		"try: --tag":                         "--tag needs a value behind it",
		"try: --setenv":                      "--setenv needs a value behind it",
		"try: --setenv A":                    `--setenv must be NAME=VALUE, not "A"`,
		"try: --setenv =1":                   `--setenv must be NAME=VALUE, not "=1"`,
		"try: --rebuild x":                   `--rebuild must be a number from 1 to 1000, not "x"`,
		"try: --rebuild 0":                   `not "0"`,
		"try: --rebuild -1":                  `not "-1"`,
		"try: --rebuild 1001":                `not "1001"`,
		"try: --rebuild-talos 2.5":           `--rebuild-talos must be a number`,
		"try: --rebuild":                     "--rebuild needs a value behind it",
		"try: --artifact=yes":                `--artifact has no value, but "yes" is given`,
		"try: --re 3":                        "--re can be --rebuild or --rebuild-talos or --rebuild-raptor: write the one that is meant",
		"try: --ta x":                        "--ta can be --talos or --talos-profile or --tag or --taskcluster-worker",
		`try: -u "mochitest`:                 `a quote (") is not closed`,
		"try: -u don't":                      "a quote (') is not closed",
		`try: -b o \`:                        "ends with a backslash",
		"try: " + strings.Repeat("x", 20000): "is longer than 16384 bytes",
	} {
		t.Run(message[:min(len(message), 60)], func(t *testing.T) {
			_, ok, err := trysyntax.Parse(message)
			if !ok || err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got %v, want %q in it", err, want)
			}
			if len(graph.Errors(err)) == 0 {
				t.Error("it has no place")
			}
		})
	}
	_, _, err := trysyntax.Parse("try: -b --rebuild x --setenv A")
	if len(graph.Errors(err)) != 3 {
		t.Errorf("not all that is wrong is told: %v", err)
	}
}

func TestWhatIsLeftOutIsTold(t *testing.T) {
	for message, want := range map[string]string{
		"try: --what":            "commit message:1: try: the option --what is not known and left out",
		"a\ntry: --what":         "commit message:2: try: the option --what",
		"try: --platfrom x":      `the option --platfrom is not known and left out; is --platform meant?|"x" is left out`,
		"try: -x":                "the option -x is not known and left out",
		"try: -ix":               "the option -x is not known",
		"try: -é":                "the option -é is not known",
		"try: --what=secret":     "the option --what is not known and left out",
		"try: -b o now run this": `"now run this" is left out: it belongs to no option`,
		"try: -b opt":            "-b opt: p t left out: build types are the letters o (opt) and d (debug)",
		"try: -":                 `"-" is left out`,
		"try: --":                "the option -- is not known",
		"try: -b o":              "",
	} {
		t.Run(message, func(t *testing.T) {
			o, _, err := trysyntax.Parse(message)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range o.Notes {
				got = append(got, n.Error())
			}
			all := strings.Join(got, "\n")
			for _, part := range strings.Split(want, "|") {
				if !strings.Contains(all, part) || (part == "") != (all == "") {
					t.Errorf("got %q, want %q in it", all, part)
				}
			}
		})
	}
}

func TestParametersOfAnotherTypeAreRefused(t *testing.T) {
	for name, v := range map[string]any{"platforms": int64(1), "interactive": "yes", "trigger_tests": "3", "build_types": int64(1), "jobs": "lint", "tag": true} {
		if _, err := trysyntax.FromParameters(map[string]any{name: v}); err == nil || !strings.Contains(err.Error(), "parameter try_options: "+name+" is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
