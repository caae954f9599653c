package check

import (
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/admin/tree"
)

func TestReaches(t *testing.T) {
	for _, tt := range []struct {
		have, want string
		reached    bool
	}{
		{"a:b", "a:b", true}, {"a:b", "a:bc", false}, {"a:*", "a:b", true}, {"a:b", "a:*", true}, {"a:b:*", "a:*", true}, {"a*", "a:b:*", true},
		{"*", "x", true}, {"b:*", "a:*", false}, {"a", "a:*", false}, {"x", "*", true},
	} {
		if got := reaches([]string{tt.have}, tt.want); got != tt.reached {
			t.Errorf("%s reaches %s: %v", tt.have, tt.want, got)
		}
	}
}

// What a role reaches by way of another counts, and the level of a repository's job is that of the job.
func TestChecks(t *testing.T) {
	const head = `
managed: ["role:*", "client:*", "hook:*"]
repositories: [{name: app, path: h/app, level: 3, try-branches: [try/**]}]
grants:
  - {scopes: ["assume:keys"], reason: r, to: [{projects: app, branch: main}, {projects: app, branch: try/x}]}
roles: {keys: {scopes: ["secrets:get:k"]}}
clients: {c: {scopes: ["assume:keys"], level: 1}, d: {scopes: ["x"], level: 3}}
hooks: {g/h: {owner: a@b.example, scopes: ["assume:keys"], task: {payload: {image: i}}}}
checks: [{name: n, reason: r, `
	for check, want := range map[string]int{
		`none: clients, reaches: "secrets:*"}]`:                           1,
		`none: clients, where: level == 3, reaches: "secrets:*"}]`:        0,
		`none: roles, where: level == 1, has: "secrets:get:k"}]`:          1,
		`none: roles, where: level == 3, has: ["secrets:get:k"]}]`:        1,
		`none: hooks, reaches: "secrets:get:k"}]`:                         1,
		`none: roles, has: "secrets:get:*"}]`:                             0,
		`every: hooks, holds: task.payload.image == "i"}]`:                0,
		`every: repositories, holds: level < 3}]`:                         1,
		`expr: 'all(clients, .level > 0) && len(roles) == 4'}]`:           0,
		`expr: 'any(clients, .level > 4)'}]`:                              1,
		`every: worker-pools, holds: 'owner != ""'}]`:                     0,
		`none: clients, where: 'holds(expanded, "secrets:get:k")'}]`:      1,
		`none: clients, where: 'reaches(expanded, 5)'}]`:                  1, // cannot be asked
		`none: denylist, where: 'glob("*", id)'}]`:                        0,
		`expr: 'all(1..100000000, {all(1..100000000, {# > 0})})'}]`:       1, // ends at the budget
		`every: clients, where: 'id == "c"', holds: 'len(scopes) == 1'}]`: 0,
	} {
		d, err := tree.Read(fstest.MapFS{"a.yml": {Data: []byte(head + check)}})
		if err != nil {
			t.Fatal(check, err)
		}
		failures, err := Run(d, d.Resources())
		if err != nil {
			t.Fatal(err)
		}
		found := len(failures)
		if found != want {
			t.Errorf("%s: %v", check, failures)
		}
	}
}

func TestFilter(t *testing.T) {
	f, err := NewFilter(`kind == "role" && id startsWith "a" && action != "delete" && "x" in scopes`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		id, action, body string
		want             bool
	}{{"a", "create", `{"scopes": ["x"]}`, true}, {"b", "create", `{"scopes": ["x"]}`, false}, {"a", "delete", `{"scopes": ["x"]}`, false}, {"a", "create", `{}`, false}} {
		got, err := f.Keep(resource.Key{Kind: resource.Role, ID: tt.id}, tt.action, []byte(tt.body))
		if err != nil || got != tt.want {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
	}
	if _, err := NewFilter("knd == 1"); err == nil {
		t.Error("an unknown name is taken")
	}
}
