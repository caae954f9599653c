package pools_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	ui "github.com/treeline-ci/treeline/ui/pools"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// filled is what a browser sends of a pool's form as it stands, with changes; act is the button pressed.
func filled(t *testing.T, d *uitest.Document, act string, changes map[string]string) url.Values {
	t.Helper()
	has := func(n *html.Node, name string) bool {
		return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	}
	form := url.Values{}
	for _, n := range d.Find("#config input") {
		if box := uitest.Attr(n, "type") == "checkbox"; !box || has(n, "checked") {
			form.Add(uitest.Attr(n, "name"), uitest.Attr(n, "value"))
		}
	}
	for _, n := range d.Find("#config textarea") {
		if n.FirstChild != nil {
			form.Add(uitest.Attr(n, "name"), n.FirstChild.Data)
		}
	}
	for _, n := range d.Find("#config select") {
		for o := range n.Descendants() {
			if o.Data == "option" && has(o, "selected") {
				form.Add(uitest.Attr(n, "name"), uitest.Attr(o, "value"))
			}
		}
	}
	if len(form) < 5 {
		t.Fatalf("%s has no form: %s", d.URL, d.Text("main"))
	}
	for name, value := range changes {
		form.Set(name, value)
	}
	form.Set("act", act)
	return form
}

const newPool = "/worker-manager/create"

func TestMakingAPool(t *testing.T) {
	s := uitest.New(t)
	b := admin(t, s)
	good := map[string]string{
		"id": "proj/fresh", "owner": "ada@example.com", "description": "Builds for **Linux**.", "in/minCapacity": "1", "in/maxCapacity": "7",
		"in/launchConfigs/0/args": "--capacity\n2", "in/launchConfigs/0/workerManager/initialWeight": "0.5",
	}
	first := b.Get(t, newPool+"?provider=cloud")
	t.Run("the config is asked for field by field, as its provider's schema says", func(t *testing.T) {
		want(t, b.Get(t, "/worker-manager"), http.StatusOK, "main", "New pool")
		want(t, first, http.StatusOK, ".pool-config", "minCapacity", "The fewest tasks at once", "launchConfigId", "queueInactivityTimeout", "Left out, it is 7200.", "pricePerHour")
		d := b.Post(t, newPool, filled(t, first, "provider", map[string]string{"provider": "static", "owner": "kept@example.com"}))
		want(t, d, http.StatusOK, ".pool-config", "workerConfig", "reregistrationTimeout")
		if strings.Contains(d.Text(".pool-config"), "launchConfigs") || !strings.Contains(d.Body, "kept@example.com") {
			t.Errorf("another provider's form is %s", d.Text("#config"))
		}
	})
	t.Run("what is wrong stands at its field, and nothing is made", func(t *testing.T) {
		d := b.Post(t, newPool, filled(t, first, "save", map[string]string{"id": "Nonsense", "owner": "nobody", "in/minCapacity": "-3", "in/maxCapacity": "many", "in/currency": "euro"}))
		want(t, d, http.StatusBadRequest, "#faults", "stands where it is")
		want(t, d, http.StatusBadRequest, ".faulty", "Two names with a slash between", "must be an e-mail address")
		want(t, d, http.StatusBadRequest, ".field-error", "is no number")
		d = b.Post(t, newPool, filled(t, first, "save", map[string]string{"id": "proj/x", "owner": "a@example.com", "in/minCapacity": "-3", "in/maxCapacity": "", "in/currency": "euro"}))
		for field, text := range map[string]string{"minCapacity": "-3", "maxCapacity": "is missing", "currency": "pattern"} {
			if at := d.Find("[id=in/" + field + "-error]"); len(at) != 1 || at[0].FirstChild == nil || !strings.Contains(at[0].FirstChild.Data, text) {
				t.Errorf("at %s stands no %q: %s", field, text, d.Text(".field-error"))
			}
		}
		if n := number(t, s, `SELECT count(*) FROM worker_pools`); n != 0 {
			t.Errorf("%d pools were made", n)
		}
	})
	t.Run("it is shown whole before it is made, with the scopes it takes", func(t *testing.T) {
		d := b.Post(t, newPool, filled(t, first, "review", good))
		want(t, d, http.StatusOK, "#review", "What is made: proj/fresh", "+ maxCapacity: 7", "+ provider: cloud")
		want(t, d, http.StatusOK, "#needs", "worker-manager:manage-worker-pool:proj/fresh you have it", "worker-manager:provider:cloud you have it")
		d = b.Post(t, newPool, filled(t, d, "save", nil))
		want(t, d, http.StatusOK, "main", "The pool is made", "of 7", "Builds for")
		p, err := s.Pools.Get(t.Context(), "proj/fresh")
		if err != nil {
			t.Fatal(err)
		}
		const config = `{"launchConfigs":[{"args":["--capacity","2"],"workerManager":{"initialWeight":0.5,"launchConfigId":"first"}}],"maxCapacity":7,"minCapacity":1}`
		if string(p.Config) != config || p.Owner != "ada@example.com" || !p.EmailOnError || p.ProviderID != "cloud" {
			t.Errorf("made: %+v, config %s", p.Definition, p.Config)
		}
		if n := number(t, s, `SELECT count(*) FROM auth_audit WHERE entity_type = 'worker-pool' AND entity_id = 'proj/fresh' AND action = 'created' AND client_id = $1`, uitest.Admin); n != 1 {
			t.Errorf("%d records of it in the trail", n)
		}
		want(t, b.Get(t, "/audit?entity=worker-pool:proj/fresh"), http.StatusOK, "main", "created")
	})
	t.Run("a name that is taken is said at the name", func(t *testing.T) {
		other := maps.Clone(good)
		other["in/maxCapacity"] = "8"
		want(t, b.Post(t, newPool, filled(t, first, "save", other)), http.StatusConflict, ".faulty", "exists already")
	})
	t.Run("who may not make pools is told which scopes are missing, and keeps what was written", func(t *testing.T) {
		dev := s.Browser(t)
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		d := dev.Post(t, newPool, filled(t, dev.Get(t, newPool), "save", map[string]string{"id": "proj/mine", "owner": "dev@example.com", "in/maxCapacity": "9", "provider": "cloud", "in/minCapacity": "0", "in/launchConfigs#": "1", "in/launchConfigs/0/args": "x"}))
		want(t, d, http.StatusForbidden, "#problem", "worker-manager:manage-worker-pool:proj/mine", "Nothing was saved")
		want(t, d, http.StatusForbidden, "#needs", "proj/mine you lack it", "worker-manager:provider:cloud you lack it")
		signedOut := s.Browser(t)
		form := filled(t, first, "save", map[string]string{"id": "proj/mine", "owner": "dev@example.com", "in/maxCapacity": "9"})
		d = signedOut.Post(t, newPool, form)
		want(t, d, http.StatusForbidden, "#problem", "signed in or out since")
		if !strings.Contains(d.Body, `value="dev@example.com"`) || !strings.Contains(d.Body, `value="9"`) {
			t.Error("what was written is lost")
		}
	})
	t.Run("another like one begins with its config", func(t *testing.T) {
		d := b.Get(t, newPool+"?from=proj/fresh")
		want(t, d, http.StatusOK, "textarea[name=in/launchConfigs/0/args]", "--capacity 2")
		want(t, d, http.StatusOK, "textarea[name=description]", "Builds for **Linux**.")
	})
}

func TestEditingByFields(t *testing.T) {
	s := uitest.New(t)
	b := admin(t, s)
	s.WorkerPool(t, "p/typed", "cloud", `{"minCapacity": 0, "maxCapacity": 8, "lifecycle": {}, "launchConfigs": [
		{"workerManager": {"launchConfigId": "small"}, "args": [], "env": {"A": "b"}}, {"workerManager": {"launchConfigId": "large"}, "args": ["--capacity", "1"]}]}`)
	path := ui.Path("p/typed") + "?tab=config"
	t.Run("only what was changed differs", func(t *testing.T) {
		d := send(t, b, path, filled(t, b.Get(t, path), "review", map[string]string{"in/maxCapacity": "9"}))
		want(t, d, http.StatusOK, "#review", "- maxCapacity: 8", "+ maxCapacity: 9")
		if n := len(d.Find("#review .in")) + len(d.Find("#review .out")); n != 2 {
			t.Errorf("%d lines differ: %s", n, d.Text("#review pre"))
		}
		want(t, send(t, b, path, filled(t, d, "save", nil)), http.StatusOK, "main", "The pool is saved", "of 9")
	})
	t.Run("a launch config is added, and goes when it is left empty", func(t *testing.T) {
		d := b.Get(t, path)
		form := filled(t, d, "", map[string]string{"more": "in/launchConfigs"})
		d = send(t, b, path, form)
		d = send(t, b, path, filled(t, d, "review", map[string]string{"in/launchConfigs/2/workerManager/launchConfigId": "huge"}))
		want(t, d, http.StatusOK, "#review .in", "launchConfigId: huge")
		d = send(t, b, path, filled(t, d, "review", map[string]string{"in/launchConfigs/2/workerManager/launchConfigId": ""}))
		want(t, d, http.StatusOK, "#review", "Nothing changes")
	})
	t.Run("fields and YAML are the same config, and text that cannot be read stays", func(t *testing.T) {
		d := send(t, b, path, filled(t, b.Get(t, path), "yaml", map[string]string{"in/maxCapacity": "11"}))
		want(t, d, http.StatusOK, "textarea[name=config]", "maxCapacity: 11", "launchConfigId: large")
		broken := send(t, b, path, filled(t, d, "fields", map[string]string{"config": "a: ["}))
		want(t, broken, http.StatusOK, "textarea[name=config]", "a: [")
		want(t, broken, http.StatusOK, "#problem", "neither YAML nor JSON")
		d = send(t, b, path, filled(t, d, "fields", nil))
		if at := d.Find("input[name=in/maxCapacity]"); len(at) != 1 || uitest.Attr(at[0], "value") != "11" {
			t.Errorf("the fields show %s", d.Text(".pool-config"))
		}
	})
	t.Run("a config that fields cannot hold is edited as text, and said so", func(t *testing.T) {
		s.WorkerPool(t, "p/odd", "cloud", `{"minCapacity": 0, "maxCapacity": 8, "launchConfigs": [{}, {"args": [" x "]}]}`)
		want(t, b.Get(t, ui.Path("p/odd")+"?tab=config"), http.StatusOK, ".pool-config", "more to it than fields can hold", "launchConfigs")
	})
	t.Run("a pool goes only when its name is typed", func(t *testing.T) {
		want(t, send(t, b, path, url.Values{"act": {"delete"}, "confirm": {"p/type"}}), http.StatusBadRequest, "main", "The pool stays")
		if n := number(t, s, `SELECT count(*) FROM worker_pools WHERE worker_pool_id = 'p/typed' AND provider_id = 'cloud'`); n != 1 {
			t.Error("it went all the same")
		}
		want(t, send(t, b, path, url.Values{"act": {"delete"}, "confirm": {"p/typed"}}), http.StatusOK, "main", "due for deletion")
	})
}
