package resource_test

import (
	"encoding/json"
	"testing"

	"github.com/treeline-ci/treeline/admin/resource"
)

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "a/b", true}, {"a*", "ab", true}, {"a*", "ba", false}, {"*a", "ba", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*a", "a", false}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "acb", false}, {"repo:*:cron:*", "repo:x:cron:y", true},
	} {
		if got := resource.Glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Glob(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

func TestCanonical(t *testing.T) {
	got, err := resource.Canonical(map[string]any{"b": []any{json.Number("1e2"), 2.5, json.Number("3.0"), "<x>"}, "a": map[string]any{"z": nil, "y": true}})
	if want := `{"a":{"y":true,"z":null},"b":[100,2.5,3,"<x>"]}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestParsePattern(t *testing.T) {
	p, err := resource.ParsePattern("role:repo:github.com/acme/*")
	if err != nil || !p.Match(resource.Key{Kind: resource.Role, ID: "repo:github.com/acme/app:*"}) || p.Match(resource.Key{Kind: resource.Client, ID: "repo:github.com/acme/app:*"}) {
		t.Error(p, err)
	}
	var both resource.Patterns
	for _, text := range []string{"!hook:*/own-*", "hook:acme/*"} {
		p, err := resource.ParsePattern(text)
		if err != nil || p.String() != text {
			t.Error(p, err)
		}
		both = append(both, p)
	}
	for id, want := range map[string]bool{"acme/x": true, "acme/own-x": false, "other/x": false} {
		if got := both.Match(resource.Key{Kind: resource.Hook, ID: id}); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
	for _, bad := range []string{"", "role", "!", "!role", "role:", "rolle:x", "Role:x"} {
		if _, err := resource.ParsePattern(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
