package draft_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// TestIssue6266ARouteThatCannotBeIndexedIsRefused: the peer takes such tasks, and nobody learns why
// they are not in the index.
func TestIssue6266ARouteThatCannotBeIndexedIsRefused(t *testing.T) {
	data := func(n int) string { return `{"index": {"data": {"x": "` + strings.Repeat("x", n) + `"}}}` }
	for _, c := range []struct {
		name, route, extra string
		want               []string // what the error says; none when the task is fine
	}{
		{"a path", "index.a.b-1.c", `{}`, nil},
		{"all letters of the grammar", "index.aZ0_!~*'()%-", `{}`, nil},
		{"the longest route", "index." + strings.Repeat("x", 243), `{}`, nil},
		{"a slash", "index.project/a.b", `{}`, []string{"routes[1]", "index.project/a.b", "can never be indexed"}},
		{"nothing", "index.", `{}`, []string{"routes[1]"}},
		{"an empty word", "index.a..b", `{}`, []string{"routes[1]"}},
		{"a dot at the end", "index.a.", `{}`, []string{"routes[1]"}},
		{"a space", "index.a b", `{}`, []string{"routes[1]"}},
		{"a newline at the end", "index.a\n", `{}`, []string{"routes[1]"}},
		{"no ASCII", "index.ä", `{}`, []string{"routes[1]"}},
		{"another consumer's grammar", "notify.email.a@b.c.on-any", `{}`, nil},
		{"the word alone", "index", `{}`, nil},
		{"the most data", "index.a", data(32<<10 - len(`{"x": ""}`)), nil},
		{"too much data", "index.a", data(32 << 10), []string{"extra.index.data", "32768"}},
		{"much data that nobody indexes", "a", data(32 << 10), nil},
		{"an expiry beyond all calendars", "index.a", `{"index": {"expires": "9999-01-01T00:00:00Z"}}`, []string{"extra.index.expires"}},
		{"an index of another type", "index.a", `{"index": [1]}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := define(func(d *task.Definition) {
				d.Routes, d.Extra = []string{"first", c.route}, json.RawMessage(c.extra)
			})
			err := n.Prepare()
			if (err == nil) != (len(c.want) == 0) || err != nil && !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}
