package main

import (
	"strings"
	"testing"
)

func TestDocsAreReadInTheTerminal(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
		code int
	}{
		{[]string{"docs"}, []string{"How to\n", "  how-to/run-a-worker ", "Your first push\n"}, 0},
		{[]string{"docs", "first-push"}, []string{"Your first push\n", "1. Start\n", "    make run\n"}, 0},
		{[]string{"docs", "operations/database#back-up"}, []string{"Back up\n", "pg_basebackup"}, 0},
		{[]string{"docs", "search", "behind", "a", "pooler"}, []string{"operations/database#behind-a-pooler\n", "PgBouncer"}, 0},
		{[]string{"docs", "search", "-n", "1", "worker"}, []string{"worker"}, 0},
		{[]string{"docs", "search", "zzzyqx"}, []string{"no page has all of these words: zzzyqx"}, 1},
		{[]string{"docs", "hooks"}, []string{`there is no page "hooks", but reference/api/hooks, reference/hooks`}, 1},
		{[]string{"docs", "nowhere-at-all"}, []string{`there is no page "nowhere-at-all": "treeline docs" lists them`}, 1},
	} {
		stdout, stderr, code := treeline(t, c.args...)
		if code != c.code {
			t.Errorf("%v: exit code %d: %s", c.args, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v: %q is not in\n%s", c.args, want, stdout+stderr)
			}
		}
	}
	if stdout, _, _ := treeline(t, "docs", "operations/database#back-up"); strings.Contains(stdout, "PgBouncer") {
		t.Errorf("a part of a page begins too early:\n%s", stdout)
	}
}
