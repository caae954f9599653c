package tree_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/admin/tree"
)

func read(text string) (*tree.Tree, error) {
	return tree.Read(fstest.MapFS{"a.yml": {Data: []byte(text)}})
}

// TestMistakes shows that each is told with file, line, key and remedy.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no YAML", "roles:\n  a: [", "a.yml:2: it is no YAML"},
		{"an unknown section", "rolls: {}", "a.yml:1: rolls: the key is not known; is roles meant?"},
		{"an unknown key", "roles:\n  x:\n    scope: [a]", "a.yml:3: roles.x.scope: the key is not known; is scopes meant?"},
		{"a list for a mapping", "roles:\n  x: [a]", "a.yml:2: roles.x: it is a list; write a mapping"},
		{"a number for a text", "clients:\n  x: {description: 5}", "a.yml:2: clients.x.description: it is a number; write a text, in quotes if need be"},
		{"a scope that is none", "roles:\n  x:\n    scopes:\n      - a**", "a.yml:4: roles.x.scopes.[0]: \"a**\" is no scope"},
		{"twice in a mapping", "roles:\n  x: {}\n  x: {}", "a.yml:3: roles.x: it stands here twice"},
		{"a pattern that is none", "managed: [\"rolle:x\"]", "a.yml:1: managed.[0]: \"rolle:x\" is no pattern of resources"},
		{"not managed", "roles: {x: {}}", "a.yml:1: role x: it is not managed; add a pattern such as \"role:x\" to managed"},
		{"no reason", "grants:\n  - {scopes: [a], to: [{role: x}]}", "a.yml:2: grants.[0]: it has no reason; write why"},
		{"nobody", "managed: [\"role:*\"]\ngrants:\n  - {scopes: [a], reason: r, to: [{projects: nope}]}", "a.yml:3: projects: no repository is like that"},
		{"a placeholder without repository", "managed: [\"role:*\"]\ngrants:\n  - {scopes: [\"a:{name}\"], reason: r, to: [{role: x}]}", "a.yml:3: scopes: {name} in a:{name}: there is no repository"},
		{"an unknown placeholder", "managed: [\"role:*\"]\nrepositories: [{name: n, path: h/n}]\ngrants:\n  - {scopes: [\"a:{project}\"], reason: r, to: [{projects: n}]}", "a.yml:4: scopes: {project} in a:{project} is not known; there are {name}"},
		{"a level", "repositories:\n  - {name: n, path: h/n, level: 4}", "a.yml:2: repositories.[0].level: it is no level of trust; write 1, 2 or 3"},
		{"an empty list of levels", "repositories:\n  - {name: n, path: h/n, level: []}", "a.yml:2: repositories.[0].level: it is no level of trust"},
		{"no path", "repositories:\n  - {name: n}", "a.yml:2: repositories.[0]: it has no path; write how roles name it, such as path: github.com/acme/n"},
		{"keys of Mercurial", "repositories:\n  - {name: n, path: h/n, url: https://h}", "repositories.[0].url: it is for a repository with kind: hg"},
		{"roles that the server makes", "managed: [\"role:*\"]\nrepositories:\n  - {name: n, kind: hg, url: https://h/n, trust-domain: t}\ngrants:\n  - {scopes: [a], reason: r, to: [{projects: n}]}", "a.yml:5: the server itself makes repo:h/n:*"},
		{"two jobs", "grants:\n  - {scopes: [a], reason: r, to: [{projects: n, branch: b, cron: c}]}", "branch, action, cron and event exclude each other"},
		{"a condition", "grants:\n  - {scopes: [a], reason: r, to: [{projects: n, if: levl > 1}]}", "a.yml:2: grants.[0].to.[0].if: the condition cannot be read: unknown name levl"},
		{"a circle", "managed: [\"role:*\"]\nroles:\n  x: {scopes: [\"assume:y\"]}\n  y: {scopes: [\"assume:x\"]}", "roles must not lead back to themselves"},
		{"a date", "clients:\n  x: {expires: soon}", "a.yml:2: clients.x.expires: it is no time; write a date such as 2030-01-31"},
		{"a static client", "clients:\n  static/x: {}", "clients that begin with static/ come from the server's configuration"},
		{"a hook without a task", "hooks:\n  a/b: {owner: x@y.example}", "a.yml:2: hooks.a/b: it has no task"},
		{"a name of a pool", "worker-pools:\n  x: {provider: static, owner: x@y.example}", "a.yml:2: worker-pools.x: the id of a worker pool is provisionerId/workerType"},
		{"no address", "denylist:\n  - {mail: x}", "a.yml:2: denylist.[0].mail: the key is not known; is email meant?"},
		{"a check without condition", "checks:\n  - {name: n, reason: r, none: roles}", "none needs where: CONDITION"},
		{"several documents", "roles: {}\n---\nroles: {}", "it has several documents"},
		{"not UTF-8", "roles: {\"\xff\": {}}", "a.yml:1: it is no UTF-8"},
		{"an alias of itself", "hooks:\n  a/b: {owner: x@y.example, task: &t {x: *t}}", "a.yml:2: hooks.a/b.task: it cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read(tt.text)
			var problems tree.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("no problems: %v", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q is not in:\n%v", tt.want, err)
			}
		})
	}
	t.Run("all at once, in order, over files", func(t *testing.T) {
		_, err := tree.Read(fstest.MapFS{
			"b.yml": {Data: []byte("roles: {x: {}}\nbad: 1")}, "sub/a.yaml": {Data: []byte("roles:\n  x: {}")}, ".git/c.yml": {Data: []byte("nonsense: 1")}, "notes.txt": {Data: []byte("x")},
		})
		want := "b.yml:2: bad: the key is not known; the keys here are managed, banner, repositories, grants, roles, clients, hooks, worker-pools, secrets, denylist, checks\n" +
			"sub/a.yaml:2: roles.x: it is there already, at b.yml:1; keep one"
		if err == nil || err.Error() != want {
			t.Errorf("%v", err)
		}
	})
	if _, err := tree.Read(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "admin import") {
		t.Errorf("an empty directory: %v", err)
	}
}

func scopesOf(t *testing.T, set resource.Set) map[string]string {
	t.Helper()
	out := map[string]string{}
	for k, r := range set {
		var b resource.RoleBody
		if k.Kind != resource.Role {
			continue
		}
		if err := json.Unmarshal(r.Body, &b); err != nil {
			t.Fatal(err)
		}
		out[k.ID] = strings.Join(b.Scopes, " ") + " | " + strings.ReplaceAll(b.Description, "\n", "/")
	}
	return out
}

func TestGrantsMakeRoles(t *testing.T) {
	got, err := read(`
managed: ["role:*"]
repositories:
  - {name: app, path: github.com/a/app, trust-domain: a, tags: [big, new]}
  - {name: lib, path: local/lib, level: 1, try-branches: [try/**]}
  - {name: tree, kind: hg, url: https://hg.example.com/tree/, level: 2, trust-domain: t}
grants:
  - {scopes: ["l{level}:{name}"], reason: all, to: [{projects: ["app", "l*"]}]}
  - {scopes: ["l{level}:{path}"], reason: main, to: [{projects: "*", branch: main}]}
  - {scopes: ["pr:{level}"], reason: pulls, to: [{projects: app, event: pull-request}]}
  - {scopes: ["try:{level}"], reason: tries, to: [{projects: "*", branch: try/x, level: 1}]}
  - {scopes: ["d:{trust-domain}"], reason: tagged, to: [{projects: "*", tags: [big, new], action: retrigger}]}
  - {scopes: ["c"], reason: cond, to: [{projects: "*", if: 'level == 2 && kind == "hg"', cron: nightly}, {role: people}]}
roles:
  people: {description: Those., scopes: [z]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"repo:github.com/a/app:*": "l3:app | * all", "repo:local/lib:*": "l1:lib | * all",
		"repo:github.com/a/app:branch:main": "l3:github.com/a/app | * main", "repo:local/lib:branch:main": "l1:local/lib | * main", "repo:hg.example.com/tree:branch:main": "l2:hg.example.com/tree | * main",
		"repo:github.com/a/app:pull-request": "pr:1 | * pulls", "repo:local/lib:branch:try/x": "try:1 | * tries",
		"repo:github.com/a/app:action:retrigger": "d:a | * tagged", "repo:hg.example.com/tree:cron:nightly": "c | * cond", "people": "c z | Those.//* cond",
	}
	if diff := cmp.Diff(want, scopesOf(t, got.Resources())); diff != "" {
		t.Error(diff)
	}
	file, err := got.ServerFile()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(file); strings.Contains(text, "tags") || strings.Contains(text, "path") || strings.Count(text, "trust-domain") != 1 || !strings.Contains(text, "try-branches:") {
		t.Errorf("the server's file:\n%s", text)
	}
}

// FuzzRead holds that whatever stands in a file, it is read or refused with places, and what is read makes
// resources that are the same each time.
func FuzzRead(f *testing.F) {
	f.Add("managed: [\"role:*\"]\nroles: {x: {scopes: [a, \"b*\"]}}")
	f.Add("repositories: [{name: n, path: h/n, level: 2}]\nmanaged: [\"role:*\"]\ngrants: [{scopes: [\"x:{name}\"], reason: r, to: [{projects: \"*\", if: level > 1}]}]")
	f.Add("hooks: {a/b: {owner: o@x.example, task: {x: 1e3}, schedule: [\"0 0 * * * *\"]}}\nmanaged: [\"hook:*\"]")
	f.Add("a: &a [*a]\nroles: *a")
	f.Add("checks: [{name: n, reason: r, none: roles, where: 'true'}]\ndenylist: [{email: x}]\nmanaged: [\"denylist:*\"]")
	f.Add("clients: {a: {expires: 2030-01-01, level: 3, disabled: yes}}\nmanaged: [\"client:*\"]\nsecrets: {x: null}")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := read(text)
		if err != nil {
			var problems tree.Problems
			if errors.As(err, &problems) {
				for _, p := range problems {
					if p.File == "" || p.Line < 1 || p.Text == "" {
						t.Errorf("no place: %+v", p)
					}
				}
			}
			return
		}
		if diff := cmp.Diff(got.Resources().Sorted(), got.Resources().Sorted()); diff != "" {
			t.Error(diff)
		}
		if _, err := got.ServerFile(); err != nil {
			t.Error(err)
		}
	})
}
