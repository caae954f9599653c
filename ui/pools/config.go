package pools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
)

// configTab is a pool's definition, to be read and changed.
type configTab struct {
	Seen        string // when it was changed last, as far as the visitor has seen
	Description string
	Owner       string
	Email       bool
	Provider    string
	Providers   []string
	Text        string // config, as YAML
	Why         string // it may not be changed
	Problem     string
	Conflict    bool     // somebody changed it since
	Review      []change // what would change
	Reviewing   bool
}

func (ps *Pages) configTab(v *page.Visit, p *manager.Pool) *configTab {
	t := &configTab{
		Seen: p.LastModified.Format(time.RFC3339Nano), Description: p.Description, Owner: p.Owner, Email: p.EmailOnError,
		Provider: p.ProviderID, Text: asYAML(p.Config), Why: mayEdit(v, p),
	}
	t.offer(ps)
	return t
}

func (t *configTab) offer(ps *Pages) {
	for _, i := range ps.Pools.ListProviders() {
		t.Providers = append(t.Providers, i.ProviderID)
	}
}

// read takes the form.
func (t *configTab) read(form url.Values) (d manager.Definition, err error) {
	t.Seen, t.Description, t.Owner, t.Email = form.Get("seen"), form.Get("description"), strings.TrimSpace(form.Get("owner")), form.Get("email") != ""
	t.Provider, t.Text = form.Get("provider"), strings.ReplaceAll(form.Get("config"), "\r\n", "\n")
	d = manager.Definition{ProviderID: t.Provider, Description: t.Description, Owner: t.Owner, EmailOnError: t.Email}
	d.Config, err = asJSON(t.Text)
	return d, err
}

// asJSON reads an object that people wrote, as YAML or JSON.
func asJSON(text string) (json.RawMessage, error) {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") && json.Valid([]byte(trimmed)) {
		return json.RawMessage(trimmed), nil
	}
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, fault.New(fault.Invalid, "The config is neither YAML nor JSON of an object: %s.", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if v == nil {
		v = map[string]any{}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "The config cannot be written as JSON: %v.", err)
	}
	return out, nil
}

// whole is a definition as people read it, for comparisons.
func whole(d manager.Definition) string {
	return fmt.Sprintf("provider: %s\nowner: %s\nemail on errors: %v\ndescription: %s\n%s", d.ProviderID, d.Owner, d.EmailOnError, d.Description, asYAML(ordered(d.Config)))
}

// ordered writes JSON with its members in order, so that only what differs differs.
func ordered(text json.RawMessage) json.RawMessage {
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return out
}

// edit shows what a form would change, and saves it when it was looked at.
func (ps *Pages) edit(v *page.Visit, id string) error {
	s, err := ps.find(v, id)
	if err != nil {
		return err
	}
	if s.Pool == nil {
		return page.ErrNoPage
	}
	t := &configTab{}
	d, err := t.read(v.R.PostForm)
	t.offer(ps)
	show := func(status int) error {
		return ps.show(v, status, id, "config", func(b *poolBody) { b.Config = t })
	}
	if err != nil {
		t.Problem = fault.Message(err)
		return show(http.StatusBadRequest)
	}
	if err := v.Allow(editScope(id, s.Pool.ProviderID)); err != nil {
		return err
	}
	if err := v.Allow(editScope(id, d.ProviderID)); err != nil {
		return err
	}
	seen, err := time.Parse(time.RFC3339Nano, t.Seen)
	if err != nil {
		return fault.New(fault.BadArguments, "The form does not say which state of the pool it is about: reload the page.")
	}
	if v.R.PostFormValue("act") == "save" {
		_, err := ps.Pools.UpdateSeen(v.R.Context(), v.Session.ClientID, id, task.At(seen), d)
		switch kind := fault.KindOf(err); {
		case err == nil:
			return v.Redirect(Path(id) + "?tab=config&done=saved")
		case kind == fault.Invalid || kind == fault.BadInput || kind == fault.BadArguments:
			t.Problem = fault.Message(err)
			return show(http.StatusBadRequest)
		case !errors.Is(err, fault.Conflict):
			return err
		}
	}
	t.Reviewing = v.R.PostFormValue("act") != "again"
	t.Conflict = !s.Pool.LastModified.Equal(seen)
	t.Review = differences(whole(s.Pool.Definition), whole(d))
	if t.Conflict {
		t.Seen = s.Pool.LastModified.Format(time.RFC3339Nano) // to save it is to have seen the comparison
		return show(http.StatusConflict)
	}
	return show(http.StatusOK)
}
