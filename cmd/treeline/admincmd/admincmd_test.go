package admincmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/admincmd"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
)

// desk is a server, and somebody who administers it.
type desk struct {
	t   *testing.T
	url string
	c   *client.Client
	dir string
}

func newDesk(t *testing.T, server apptest.Server) *desk {
	t.Helper()
	return &desk{t, server.URL, connect(t, server.URL, server.Root), t.TempDir()}
}

func connect(t *testing.T, url string, creds hawk.Credentials) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{RootURL: url, Credentials: creds})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a command and returns what it wrote to both outputs.
func (d *desk) run(args ...string) (string, error) {
	d.t.Helper()
	cmd := admincmd.New(func(body admincmd.Body) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error { return body(cmd, d.c, args) }
	})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(d.t.Context())
	return out.String(), err
}

// admin runs a command on the directory; it must end well, or as told.
func (d *desk) admin(told bool, args ...string) string {
	d.t.Helper()
	out, err := d.run(append(args, "--dir", d.dir)...)
	if told != errors.Is(err, exit.Told) || err != nil && !told {
		d.t.Fatalf("admin %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refuses runs a command that must fail for a reason.
func (d *desk) refuses(reason string, args ...string) {
	d.t.Helper()
	out, err := d.run(append(args, "--dir", d.dir)...)
	if err == nil || !strings.Contains(err.Error()+out, reason) {
		d.t.Fatalf("admin %s: want %q, got %v\n%s", strings.Join(args, " "), reason, err, out)
	}
}

func (d *desk) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) has(out string, parts ...string) {
	d.t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			d.t.Fatalf("%q is not in:\n%s", part, out)
		}
	}
}

const acme = `
managed: ["role:repo:github.com/acme/*", "role:project:acme:*", "role:hook-id:project-acme/*", "client:project/acme/*", "hook:project-acme/*", "worker-pool:acme-*", "secret:project/acme/*", "denylist:*"]
banner: Kept by treeline admin.
repositories:
  - {name: app, path: github.com/acme/app, level: 3, trust-domain: acme, tags: [nightly], cron-branches: [main]}
  - {name: lib, path: github.com/acme/lib, level: 1, trust-domain: acme, try-branches: [try/**]}
grants:
  - scopes: ["queue:create-task:highest:acme-{level}/*", "queue:route:index.acme.v2.{name}.*"]
    reason: Tasks of the project's level.
    to: [{projects: "*"}]
  - scopes: ["secrets:get:project/acme/level-3/*"]
    reason: Releases are signed.
    to: [{projects: "*", level: 3, branch: main}]
  - scopes: ["hooks:trigger-hook:project-acme/nightly"]
    reason: The nightly.
    to:
      - {projects: "*", tags: [nightly], cron: nightly}
      - {role: "project:acme:operators"}
roles:
  project:acme:operators:
    description: People who look after acme.
    scopes: ["assume:repo:github.com/acme/lib:*"]
clients:
  project/acme/ci: {description: The bot., scopes: ["assume:project:acme:operators"], level: 1}
  project/acme/old: {description: Asleep., scopes: ["x"], disabled: true, expires: 2031-05-06}
hooks:
  project-acme/nightly:
    owner: ops@acme.example
    schedule: ["0 0 4 * * *"]
    bindings: [{exchange: exchange/acme/v1, routing-key-pattern: "#"}]
    scopes: ["queue:create-task:lowest:acme-t/linux"]
    task: {taskQueueId: acme-t/linux, deadline: {$fromNow: 1 hour}, payload: {n: 1, f: 2.50, big: 1e3}, metadata: {name: n, description: d, owner: a@b.example, source: "https://x.example"}}
worker-pools:
  acme-t/linux: {provider: static, owner: ops@acme.example, config: {lifecycle: {reregistrationTimeout: 3600}}}
secrets:
  project/acme/level-3/key: {description: Signs releases.}
denylist:
  - {email: noisy@acme.example, reason: They asked.}
checks:
  - name: clients of level 1 reach no secrets of level 3
    reason: Anybody may make level 1 run their code.
    none: clients
    where: level == 1
    reaches: secrets:get:project/acme/level-3/*
  - name: hooks have owners here
    reason: Somebody must hear of failures.
    every: hooks
    holds: owner endsWith "@acme.example"
`

func TestADeploymentIsWhatItsDirectorySays(t *testing.T) {
	t.Parallel()
	d := newDesk(t, apptest.Start(t))
	d.write("acme.yml", acme)
	d.has(d.admin(false, "check"), "2 of 2 checks hold")
	out := d.admin(true, "diff")
	d.has(out, "+ role repo:github.com/acme/app:branch:main  (acme.yml:", "^ role repo:github.com/acme/app:branch:main gets secrets:get:project/acme/level-3/*",
		"! secret project/acme/level-3/key", "treeline secret set project/acme/level-3/key", "+ scopes: queue:create-task:highest:acme-1/*")
	d.refuses("--allow-scope-growth", "apply")
	d.refuses("the plan is", "apply", "--allow-scope-growth", "--expect", "0123456789abcdef")
	if strings.Contains(d.admin(false, "current"), "role") {
		t.Fatal("something was written without leave")
	}
	plan := out[strings.Index(out, "(plan ")+6:]
	d.has(d.admin(true, "apply", "--allow-scope-growth", "--expect", plan[:16]), "make hooks: create hook project-acme/nightly", "secret project/acme/level-3/key is not there")
	out = d.admin(true, "diff")
	d.has(out, "0 to create, 0 to update, 0 to delete, 1 that a person must set")
	if err := d.c.SetSecret(t.Context(), "project/acme/level-3/key", client.Secret{Secret: []byte(`{"key": "hunter2"}`), Expires: expiry(t)}); err != nil {
		t.Fatal(err)
	}
	d.has(d.admin(false, "diff"), "nothing differs")
	d.has(d.admin(false, "apply"), "0 writes")
	if all := d.admin(false, "current") + d.admin(false, "current", "--json") + d.admin(false, "generate"); strings.Contains(all, "hunter2") {
		t.Error("a secret's value is shown")
	}

	t.Run("drift is shown and mended", func(t *testing.T) {
		d := &desk{t, d.url, d.c, d.dir}
		must(t, d.c.Call(t.Context(), "auth", "POST", "/roles/project%3Aacme%3Aoperators", nil, map[string]any{"scopes": []string{"garbage:*", "assume:repo:github.com/acme/lib:*"}, "description": "mine"}, nil))
		must(t, d.c.Call(t.Context(), "auth", "PUT", "/roles/repo%3Agithub.com%2Facme%2Frogue%3A*", nil, map[string]any{"scopes": []string{"x"}, "description": ""}, nil))
		must(t, d.c.Call(t.Context(), "auth", "PUT", "/roles/unmanaged", nil, map[string]any{"scopes": []string{"x"}, "description": ""}, nil))
		d.has(d.admin(true, "diff"), "- scopes: garbage:*", "- role repo:github.com/acme/rogue:*", "+ scopes: hooks:trigger-hook:project-acme/nightly")
		d.has(d.admin(true, "diff", "--filter", `kind == "role" && action == "delete"`), "0 to create, 0 to update, 1 to delete")
		d.refuses("--allow-scope-growth", "apply") // a scope was taken away by hand, and comes back
		d.admin(false, "apply", "--allow-scope-growth")
		d.has(d.admin(false, "diff"), "nothing differs")
		must(t, d.c.Call(t.Context(), "auth", "GET", "/roles/unmanaged", nil, nil, nil))
	})
	t.Run("a secret that is not named is removed with a word only", func(t *testing.T) {
		d := &desk{t, d.url, d.c, d.dir}
		must(t, d.c.SetSecret(t.Context(), "project/acme/spare", client.Secret{Secret: []byte(`{}`), Expires: expiry(t)}))
		d.refuses("--remove-secrets", "apply")
		d.admin(false, "apply", "--remove-secrets")
		d.has(d.admin(false, "diff"), "nothing differs")
	})
	t.Run("what was imported differs in nothing", func(t *testing.T) {
		other := &desk{t, d.url, d.c, filepath.Join(t.TempDir(), "new")}
		must(t, d.c.Call(t.Context(), "auth", "PUT", "/clients/github%2F1%7Cann%2Flaptop", nil, map[string]any{"expires": "2100-01-01T00:00:00Z", "description": "", "scopes": []string{}}, nil))
		if out, err := other.run("import", other.dir); err != nil {
			t.Fatal(err, out)
		}
		other.has(other.admin(false, "diff"), "nothing differs")
		if _, err := other.run("import", other.dir); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("a second import: %v", err)
		}
		files, err := filepath.Glob(filepath.Join(other.dir, "*.yml"))
		must(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			must(t, err)
			if strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "static/") || strings.Contains(string(text), "ann/laptop") {
				t.Errorf("%s shows what it should not", f)
			}
		}
	})
	t.Run("what the server refuses has its place", func(t *testing.T) {
		d := &desk{t, d.url, d.c, d.dir}
		d.write("more.yml", "hooks:\n  project-acme/bad: {owner: \"a b@acme.example\", task: {}}\n")
		d.refuses("more.yml:2: create hook project-acme/bad: ", "apply")
		var plan struct {
			Changes []struct{ Kind, ID, Action, At string }
			Growth  []any
		}
		must(t, json.Unmarshal([]byte(d.admin(true, "diff", "--json")), &plan))
		if len(plan.Changes) != 1 || plan.Changes[0].Action != "create" || plan.Changes[0].At != "more.yml:2" || plan.Growth == nil {
			t.Errorf("%+v", plan)
		}
		must(t, os.Remove(filepath.Join(d.dir, "more.yml")))
	})
	t.Run("a check that does not hold keeps all from being done", func(t *testing.T) {
		d := &desk{t, d.url, d.c, d.dir}
		d.write("more.yml", `grants: [{scopes: ["secrets:get:project/acme/*"], reason: x, to: [{role: "project:acme:operators"}]}]`)
		d.refuses("clients of level 1 reach no secrets of level 3: does not hold", "apply", "--allow-scope-growth")
		d.has(d.admin(true, "check"), "acme.yml:", "client project/acme/ci", "1 of 2 checks hold")
		must(t, os.Remove(filepath.Join(d.dir, "more.yml")))
	})
}
