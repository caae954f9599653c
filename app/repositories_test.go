package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheFileOfRepositories(t *testing.T) {
	write := func(text string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "repositories.yml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	got, err := LoadRepositories(write(`repositories:
  - {name: central, kind: hg, url: https://hg.example.com/central, cron-branches: [default, beta], owner: a@example.com}
  - {name: pebble, cron-branches: [main], level: 2}
`))
	want := []Repository{
		{Name: "central", Kind: "hg", URL: "https://hg.example.com/central", Level: 1, DefaultBranch: "default", CronBranches: []string{"default", "beta"}, Owner: "a@example.com"},
		{Name: "pebble", CronBranches: []string{"main"}, Level: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s%v", diff, err)
	}
	if got, err := LoadRepositories(""); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	for text, part := range map[string]string{
		"repositories: [{kind: hg, url: 'https://x/y'}]":                                    "no name",
		"repositories: [{name: a, kind: hg}]":                                               "no address",
		"repositories: [{name: a, kind: svn, url: 'https://x/y'}]":                          `kind "svn"`,
		"repositories: [{name: a, url: 'https://x/y'}]":                                     "kind: hg",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', level: 4}]":                 "level 4",
		"repositories: [{name: a, level: 4}]":                                               "level 4",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', ca-file: /no/such}]":        "ca-file",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', fingerprints: [x]}]":        "SHA-256",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', pushlog: maybe}]":           "auto, yes or no",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', poll: 1s}]":                 "between 5s and 1h",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', backfill: 1000}]":           "between 0 and 200",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', trust-domain: 'a*'}]":       "short word",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', hook-secrets: [hunter22]}]": "env:NAME or file:PATH",
		"repositories: [{name: a, kind: hg, url: 'https://x/y', hook-secrets: ['env:X']}]":  "needs 16",
		"repositories: [{name: a, branches: [x]}]":                                          "kind: hg",
		"repositories:\n- {name: a}\n- {name: b, kind: hg, url: 'ftp://x', level: 7}":       "line 3",
		"repositories: [{name: a}, {name: a}]":                                              "already",
		"repositories: [{name: a, colour: red}]":                                            "colour",
	} {
		if _, err := LoadRepositories(write(text)); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "repositories.yml") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
