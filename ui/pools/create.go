package pools

import (
	"encoding/json"
	"net/http"

	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/ui/page"
)

// createForm shows the form of a new pool: of a provider, or with what another pool has.
func (ps *Pages) createForm(v *page.Visit) error {
	t := &configTab{New: true, Action: "/worker-manager/create", Email: true, Raw: v.R.FormValue("as") == "yaml"}
	list := ps.Pools.ListProviders()
	for _, i := range list {
		if i.ProviderID != manager.NullProvider && (t.Provider == "" || i.ProviderID == v.R.FormValue("provider")) {
			t.Provider = i.ProviderID
		}
	}
	if t.Provider == "" {
		return v.Show(http.StatusOK, page.View{Title: "A new worker pool", Name: "poolcreate", Main: "wide", Body: t}, nil)
	}
	if from := v.R.FormValue("from"); from != "" {
		if err := v.Allow(seePool(from)); err != nil {
			return err
		}
		p, err := ps.Pools.Get(v.R.Context(), from)
		if err != nil {
			return err
		}
		t.Config, t.Description, t.Owner, t.Email = ordered(p.Config), p.Description, p.Owner, p.EmailOnError
		if p.ProviderID != manager.NullProvider {
			t.Provider = p.ProviderID
		}
	} else {
		config, err := ps.beginning(t.Provider)
		if err != nil {
			return err
		}
		t.Config = config
	}
	t.Text = asYAML(t.Config)
	if err := ps.lay(v, t); err != nil {
		return err
	}
	return ps.showCreate(v, http.StatusOK, t)
}

// beginning is the config that a new pool of a provider begins with: one launch config, where there are such, with a name
// that it keeps when it is changed.
func (ps *Pages) beginning(providerID string) (json.RawMessage, error) {
	doc, err := ps.Pools.ConfigForm(providerID)
	if err != nil {
		return nil, err
	}
	properties, _ := doc["properties"].(map[string]any)
	config := map[string]any{}
	if properties["launchConfigs"] != nil {
		config = map[string]any{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": []any{map[string]any{"workerManager": map[string]any{"launchConfigId": "first"}}}}
	}
	text, err := json.Marshal(config)
	return text, err
}

func (ps *Pages) showCreate(v *page.Visit, status int, t *configTab) error {
	return v.Show(status, page.View{Title: "A new worker pool", Name: "poolcreate", Main: "wide", Body: t}, nil)
}

// create takes the form of a new pool.
func (ps *Pages) create(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 2<<20)
	if err := v.R.ParseForm(); err != nil {
		return fault.New(fault.BadArguments, "The form cannot be read: %v.", err)
	}
	t := &configTab{New: true, Action: "/worker-manager/create"}
	return ps.work(v, t, nil, func(status int) error { return ps.showCreate(v, status, t) })
}
