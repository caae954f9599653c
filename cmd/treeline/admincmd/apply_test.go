package admincmd_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
)

// wire lets a test see, and fail, each request.
type wire func(*http.Request) error

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w(r); err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(r)
}

// through is the desk with a client whose requests pass a wire.
func (d *desk) through(t *testing.T, w wire) *desk {
	t.Helper()
	c, err := client.New(client.Config{RootURL: d.url, Credentials: d.c.Credentials(), HTTP: &http.Client{Transport: w}, Patience: -1})
	must(t, err)
	return &desk{t, d.url, c, d.dir}
}

const before = `
managed: ["role:z:*", "role:hook-id:z/*", "client:z/*", "hook:z/*"]
roles:
  z:a: {scopes: ["one:*", "assume:z:b"]}
  z:b: {scopes: ["two"]}
  z:gone: {scopes: ["three"]}
clients:
  z/x: {description: x, scopes: ["assume:z:a"]}
  z/off: {description: off, scopes: ["four"], disabled: true}
hooks:
  z/old: {owner: o@x.example, scopes: [], task: {payload: {}}}
  z/both: {owner: o@x.example, scopes: ["five"], task: {payload: {v: 1}}}
`

const after = `
managed: ["role:z:*", "role:hook-id:z/*", "client:z/*", "hook:z/*"]
roles:
  z:a: {scopes: ["one:1", "two"], description: Changed.}
  z:b: {scopes: ["six"]}
  z:new: {scopes: ["assume:z:b"]}
clients:
  z/x: {description: x, scopes: ["assume:z:new"], disabled: true}
  z/off: {description: off, scopes: ["four"]}
hooks:
  z/both: {owner: o@x.example, scopes: ["seven"], task: {payload: {v: 2}}}
  z/new: {owner: o@x.example, scopes: [], task: {payload: {}}}
`

func TestAnApplyThatIsCutShortIsMendedByTheNext(t *testing.T) {
	t.Parallel()
	d := newDesk(t, apptest.Start(t))
	states := []string{before, after}
	d.write("z.yml", before)
	d.admin(false, "apply", "--allow-scope-growth")
	for cut := 1; ; cut++ {
		if cut > 50 {
			t.Fatal("the apply is never done")
		}
		d.write("z.yml", states[cut%2])
		var mu sync.Mutex
		writes := 0
		// The answer of the last write is lost as well as everything behind it.
		dying := d.through(t, func(r *http.Request) error {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodGet {
				return nil
			}
			if writes++; writes >= cut {
				return errors.New("the network is gone")
			}
			return nil
		})
		_, err := dying.run("apply", "--dir", d.dir, "--allow-scope-growth")
		d.admin(false, "apply", "--allow-scope-growth")
		d.has(d.admin(false, "diff"), "nothing differs")
		if err == nil {
			if cut < 10 {
				t.Errorf("an apply has only %d writes: the test looks at little", cut-1)
			}
			return
		}
	}
}

func TestAChangeBetweenReadingAndWritingIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t, apptest.Start(t))
	d.write("z.yml", before)
	d.admin(false, "apply", "--allow-scope-growth")
	d.write("z.yml", after)
	var once sync.Once
	racing := d.through(t, func(r *http.Request) (err error) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/roles/z:b") {
			once.Do(func() {
				err = d.c.Call(t.Context(), "auth", http.MethodPost, "/roles/z%3Ab", nil, map[string]any{"scopes": []string{"theirs"}, "description": "by hand"}, nil)
			})
		}
		return err
	})
	racing.refuses("role z:b was changed by somebody else meanwhile", "apply", "--allow-scope-growth")
	d.has(d.admin(true, "diff"), "- scopes: theirs")
	d.admin(false, "apply", "--allow-scope-growth")
	d.has(d.admin(false, "diff"), "nothing differs")
}

func TestAnApplyWaitsForTheSecondPerson(t *testing.T) {
	t.Parallel()
	d := newDesk(t, apptest.Start(t, func(c *app.Config) {
		c.TwoPersons = []auth.Guard{{EntityType: "role", Pattern: "z:*"}}
	}))
	var made struct{ AccessToken string }
	in := map[string]any{"expires": "2100-01-01T00:00:00Z", "description": "", "scopes": []string{"*"}}
	must(t, d.c.Call(t.Context(), "auth", http.MethodPut, "/clients/bob", nil, in, &made))
	must(t, d.c.Call(t.Context(), "auth", http.MethodPut, "/clients/ann", nil, in, nil))
	must(t, d.c.Call(t.Context(), "auth", http.MethodPost, "/clients/ann/reset", nil, nil, &made))
	ann := &desk{t, d.url, connect(t, d.url, hawk.Credentials{ClientID: "ann", AccessToken: made.AccessToken}), d.dir}
	must(t, d.c.Call(t.Context(), "auth", http.MethodPost, "/clients/bob/reset", nil, nil, &made))
	bob := &desk{t, d.url, connect(t, d.url, hawk.Credentials{ClientID: "bob", AccessToken: made.AccessToken}), d.dir}

	d.write("z.yml", "managed: [\"role:z:*\", \"client:z/*\"]\nroles:\n  z:a: {scopes: [deploy]}\n  z:b: {scopes: [ship]}\nclients:\n  z/x: {scopes: []}\n")
	ann.refuses("2 changes wait for a second person", "apply", "--allow-scope-growth")
	list, err := bob.run("approvals", "list", "--state", "open")
	must(t, err)
	d.has(list, "ann wants: role z:a, created", "+ scopes: deploy")
	for _, line := range regexp.MustCompile(`(?m)^[A-Za-z0-9_-]{22}`).FindAllString(list, -1) {
		if out, err := ann.run("approvals", "approve", line); err == nil {
			t.Fatalf("ann approves her own change: %s", out)
		}
		if out, err := bob.run("approvals", "approve", line); err != nil {
			t.Fatal(err, out)
		}
	}
	ann.admin(false, "apply", "--allow-scope-growth")
	d.has(ann.admin(false, "diff"), "nothing differs")
	log, err := bob.run("audit", "--type", "role", "--prefix", "z:", "--client", "ann")
	must(t, err)
	d.has(log, "ann: role z:a, created, approved by bob", "    + scopes: deploy")
	if n := strings.Count(log, "approved by bob"); n != 2 {
		t.Error(fmt.Sprint(n), log)
	}
}
