package trycmd

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/labels"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
)

func TestAddressesAreUnderstood(t *testing.T) {
	for address, want := range map[string]struct{ host, project, shown string }{
		"https://ada:secret@hg.example.com/a/try/": {"hg.example.com", "try", "https://ada@hg.example.com/a/try/"},
		"https://Example.com:8443/mine.git":        {"example.com", "mine", "https://Example.com:8443/mine.git"},
		"ssh://git@example.com/mine.git":           {"example.com", "mine", "ssh://git@example.com/mine.git"},
		"git@github.com:owner/repo.git":            {"github.com", "repo", "git@github.com:owner/repo.git"},
		"../remote":                                {"", "remote", "../remote"},
		"/srv/try":                                 {"", "try", "/srv/try"},
		"https://ada:s@cr:et@hg.example.com/a":     {"hg.example.com", "a", "https://ada@hg.example.com/a"},
	} {
		t.Run(address, func(t *testing.T) {
			if got := host(address); got != want.host {
				t.Errorf("host %q", got)
			}
			if got := withoutSecrets(address); got != want.shown {
				t.Errorf("shown as %q", got)
			}
			if got := project(address); got != want.project {
				t.Errorf("project %q", got)
			}
		})
	}
}

func TestBranchesHaveNamesThatGitTakes(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("", 3600))
	got, err := branchName("try/{user}/{time}", now)
	if err != nil || !strings.HasPrefix(got, "try/") || !strings.HasSuffix(got, "/20260102-020405.006") {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := branchName("refs/heads/try/x", now); err != nil || got != "try/x" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "a..b", "a b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "a@{1}", "-a", "a.", "a\x7f", "a\nb"} {
		if got, err := branchName(bad, now); err == nil {
			t.Errorf("%q is taken, as %q", bad, got)
		}
	}
}

func TestTheChooserFindsByKindPlatformAndAttributes(t *testing.T) {
	all := labels.List{
		{Label: "build-linux", Kind: "build", Platform: "linux64/opt", Attributes: map[string]string{"build_type": "opt"}},
		{Label: "build-win", Kind: "build", Platform: "win64/opt", Attributes: map[string]string{"build_type": "opt", "shippable": "true"}},
		{Label: "test-linux", Kind: "test", Platform: "linux64/debug", Attributes: map[string]string{"build_type": "debug"}},
	}
	for name, c := range map[string]struct {
		asked presets.Preset
		want  []string
	}{
		"a kind":                     {presets.Preset{Kind: []string{"build"}}, []string{"build-linux", "build-win"}},
		"one of two kinds":           {presets.Preset{Kind: []string{"test", "build"}}, []string{"build-linux", "build-win", "test-linux"}},
		"a pattern":                  {presets.Preset{Platform: []string{"linux*"}}, []string{"build-linux", "test-linux"}},
		"not a pattern":              {presets.Preset{Platform: []string{"!win*"}}, []string{"build-linux", "test-linux"}},
		"one pattern, not another":   {presets.Preset{Platform: []string{"*opt", "!linux*"}}, []string{"build-win"}},
		"two attributes":             {presets.Preset{Attr: []string{"build_type=opt", "shippable=true"}}, []string{"build-win"}},
		"one value of an attribute":  {presets.Preset{Attr: []string{"build_type=opt", "build_type=debug"}}, []string{"build-linux", "build-win", "test-linux"}},
		"without an attribute":       {presets.Preset{Attr: []string{"shippable=!true"}}, []string{"build-linux", "test-linux"}},
		"an expression, not another": {presets.Preset{TasksRegex: []string{"x$"}, Exclude: []string{"^test"}}, []string{"build-linux"}},
		"all of it":                  {presets.Preset{Kind: []string{"build"}, Platform: []string{"win*"}, TasksRegex: []string{"linux"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := chosen(all, c.asked)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	for _, bad := range []presets.Preset{{Kind: []string{"["}}, {Attr: []string{"=x"}}, {TasksRegex: []string{"("}}, {Exclude: []string{"("}}} {
		if _, err := chosen(all, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
