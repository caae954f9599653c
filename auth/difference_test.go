package auth_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
)

func TestDifference(t *testing.T) {
	m := func(text string) any {
		if text == "" {
			return nil
		}
		return json.RawMessage(text)
	}
	for _, tt := range []struct{ name, before, after, want string }{
		{"nothing differs", `{"a": 1, "s": ["x"]}`, `{"s": ["x"], "a": 1}`, ""},
		{"a list of texts", `{"s": ["x", "y"]}`, `{"s": ["y", "z"]}`, `{"s":{"added":["z"],"removed":["x"]}}`},
		{"the order of a list", `{"s": ["x", "y"]}`, `{"s": ["y", "x"]}`, `{"s":{"from":["x","y"],"to":["y","x"]}}`},
		{"a value", `{"a": 1}`, `{"a": "1"}`, `{"a":{"from":1,"to":"1"}}`},
		{"it is made", ``, `{"s": ["x"], "d": "t"}`, `{"d":{"to":"t"},"s":{"added":["x"]}}`},
		{"it goes", `{"s": ["x"], "d": "t"}`, ``, `{"d":{"from":"t"},"s":{"removed":["x"]}}`},
		{"nobody is there", ``, ``, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := auth.Difference(m(tt.before), m(tt.after))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseGuards(t *testing.T) {
	got, err := auth.ParseGuards("role:repo:* secret:a")
	if diff := cmp.Diff([]auth.Guard{{EntityType: "role", Pattern: "repo:*"}, {EntityType: "secret", Pattern: "a"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, bad := range []string{"role", "role:", "rule:x"} {
		if _, err := auth.ParseGuards(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
