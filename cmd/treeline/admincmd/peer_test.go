package admincmd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
)

// taskcluster makes a server one that has Taskcluster's API and nothing more: other routes are not found, and answers
// lack what Taskcluster's schemas do not know. It notes which endpoints are used, and what Taskcluster would refuse.
type taskcluster struct {
	*peer
	mu      sync.Mutex
	used    map[string]bool
	refused map[string]bool
}

func (p *taskcluster) RoundTrip(r *http.Request) (*http.Response, error) {
	e := p.find(r)
	if e == nil {
		p.note(p.refused, r.Method+" "+r.URL.Path+" is no endpoint of Taskcluster")
		return answer(r, http.StatusNotFound, []byte(`{"message": "Not found"}`)), nil
	}
	p.note(p.used, e.Service+"."+e.Name)
	for name := range r.URL.Query() {
		if !slices.Contains(e.Query, name) {
			p.note(p.refused, e.Service+"."+e.Name+" has no parameter "+name)
		}
	}
	if err := p.look(e, r); err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || resp.StatusCode >= 300 || e.Output == "" {
		return resp, err
	}
	defer resp.Body.Close()
	var body any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return nil, err
	}
	text, err := json.Marshal(p.known(e.Service+"/"+e.Output, body))
	if err != nil {
		return nil, err
	}
	return answer(r, resp.StatusCode, text), nil
}

// look holds a request's body against Taskcluster's schema.
func (p *taskcluster) look(e *endpoint, r *http.Request) error {
	var text []byte
	if r.Body != nil {
		var err error
		if text, err = io.ReadAll(r.Body); err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
	}
	if e.Input == "" {
		if len(text) > 0 {
			p.note(p.refused, e.Service+"."+e.Name+" takes no body")
		}
		return nil
	}
	var body any
	if err := json.Unmarshal(text, &body); err != nil {
		return err
	}
	for _, bad := range p.misfits(e.Service+"/"+e.Input, body) {
		p.note(p.refused, bad)
	}
	return nil
}

func (p *taskcluster) note(in map[string]bool, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in[what] = true
}

func answer(r *http.Request, status int, body []byte) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// later is acme with everything changed that can be: a role less, one with other scopes, a client that is
// disabled, one that is enabled, one less, another hook, another pool, and nobody denied.
const later = `
managed: ["role:repo:github.com/acme/*", "role:project:acme:*", "role:hook-id:project-acme/*", "client:project/acme/*", "hook:project-acme/*", "worker-pool:acme-*", "secret:project/acme/*", "denylist:*"]
roles:
  project:acme:operators: {description: Others., scopes: ["queue:get-task:*"]}
clients:
  project/acme/ci: {description: The bot., scopes: [], disabled: true}
  project/acme/new: {description: New., scopes: ["y"]}
hooks:
  project-acme/nightly: {owner: ops@acme.example, schedule: ["0 0 5 * * *"], scopes: [], task: {payload: {n: 2}}}
  project-acme/weekly: {owner: ops@acme.example, scopes: [], task: {payload: {}}}
worker-pools:
  acme-t/linux: {provider: static, owner: ops@acme.example, description: Changed., config: {lifecycle: {reregistrationTimeout: 7200}}}
  acme-t/arm: {provider: static, owner: ops@acme.example, config: {lifecycle: {reregistrationTimeout: 3600}}}
`

// Everything works with a server that has Taskcluster's API and nothing more.
func TestAdministrationNeedsNothingButTaskclustersAPI(t *testing.T) {
	t.Parallel()
	d := newDesk(t, apptest.Start(t))
	wire := &taskcluster{peer: readPeer(t), used: map[string]bool{}, refused: map[string]bool{}}
	var err error
	d.c, err = client.New(client.Config{RootURL: d.url, Credentials: d.c.Credentials(), HTTP: &http.Client{Transport: wire}, Patience: -1})
	must(t, err)
	must(t, d.c.SetSecret(t.Context(), "project/acme/level-3/key", client.Secret{Secret: []byte(`{}`), Expires: expiry(t)}))
	clear(wire.used)

	steps := []struct {
		name, text string
		also       []string // flags of apply
	}{
		{"everything is made", acme, nil},
		{"everything is changed", later, []string{"--remove-secrets"}},
		{"and is as before", strings.Replace(acme, "  project/acme/level-3/key: {description: Signs releases.}", "  {}", 1), nil},
		{"and is gone", acme[:strings.Index(acme, "banner:")], nil},
	}
	for _, step := range steps {
		d.write("acme.yml", step.text)
		d.admin(false, "generate")
		d.admin(false, "check")
		d.has(d.admin(true, "diff"), "(plan ")
		d.admin(false, append([]string{"apply", "--allow-scope-growth"}, step.also...)...)
		if out := d.admin(false, "diff"); !strings.Contains(out, "nothing differs") {
			t.Fatalf("%s: %s", step.name, out)
		}
		d.has(d.admin(false, "apply"), "0 writes")
		d.admin(false, "current")
		other := &desk{t, d.url, d.c, filepath.Join(t.TempDir(), "imported")}
		if out, err := other.run("import", other.dir); err != nil {
			t.Fatal(err, out)
		}
		other.has(other.admin(false, "diff"), "nothing differs")
		must(t, os.Remove(filepath.Join(d.dir, "acme.yml")))
	}
	if len(wire.refused) > 0 {
		t.Errorf("Taskcluster would refuse:\n%s", strings.Join(slices.Sorted(maps.Keys(wire.refused)), "\n"))
	}
	want := []string{
		"auth.client", "auth.createClient", "auth.createRole", "auth.deleteClient", "auth.deleteRole", "auth.disableClient", "auth.enableClient", "auth.listClients",
		"auth.listRoles2", "auth.role", "auth.updateClient", "auth.updateRole",
		"hooks.createHook", "hooks.hook", "hooks.listHookGroups", "hooks.listHooks", "hooks.removeHook", "hooks.updateHook",
		"notify.addDenylistAddress", "notify.deleteDenylistAddress", "notify.listDenylist",
		"secrets.list", "secrets.remove",
		"worker-manager.createWorkerPool", "worker-manager.deleteWorkerPool", "worker-manager.listWorkerPools", "worker-manager.updateWorkerPool", "worker-manager.workerPool",
	}
	if differ := cmp.Diff(want, slices.Sorted(maps.Keys(wire.used))); differ != "" {
		t.Errorf("endpoints that are used (-want +got):\n%s", differ)
	}

	t.Run("what only Treeline has is said to be missing", func(t *testing.T) {
		clear(wire.refused)
		for _, args := range [][]string{{"audit"}, {"approvals", "list"}} {
			if out, err := d.run(args...); err == nil || !strings.Contains(err.Error(), "this server has none: ") {
				t.Errorf("%s: %v\n%s", args, err, out)
			}
		}
		if len(wire.refused) != 2 {
			t.Errorf("the server is not Taskcluster's: %v", wire.refused)
		}
	})
	t.Run("a body that is not Taskcluster's is noticed", func(t *testing.T) {
		clear(wire.refused)
		bad := map[string]any{"scopes": "x", "colour": "blue"}
		if err := d.c.Call(t.Context(), "auth", http.MethodPut, "/roles/bad", nil, bad, nil); err == nil {
			t.Error("the server takes it")
		}
		want := []string{
			`auth/v1/create-role-request.json at "" has the unknown member colour`, `auth/v1/create-role-request.json at "" lacks description`,
			`auth/v1/create-role-request.json at "/scopes" is string`,
		}
		if differ := cmp.Diff(want, slices.Sorted(maps.Keys(wire.refused))); differ != "" {
			t.Error(differ)
		}
	})
}
