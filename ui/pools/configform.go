package pools

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/ui/form"
)

// read takes what a browser sent. What cannot be read is complained of and kept as it is.
func (ps *Pages) read(t *configTab, old *manager.Pool, f url.Values) error {
	if t.New {
		t.ID = strings.TrimSpace(f.Get("id"))
	}
	t.sent, t.more = f, f.Get("more")
	t.Seen, t.Owner, t.Email = f.Get("seen"), strings.TrimSpace(f.Get("owner")), f.Get("email") != ""
	t.Description, t.Provider = strings.ReplaceAll(f.Get("description"), "\r\n", "\n"), f.Get("provider")
	doc, err := ps.Pools.ConfigForm(t.Provider)
	if err != nil {
		return err
	}
	if doc == nil {
		t.say("provider", "There is no provider %q: choose one of the list.", t.Provider)
	}
	if f.Has("config") {
		t.Raw, t.Text = true, strings.ReplaceAll(f.Get("config"), "\r\n", "\n")
		if t.Config, err = asJSON(t.Text); err != nil {
			t.say("config", "%s", fault.Message(err))
		}
	} else if doc != nil {
		value, wrong := form.Read(doc, f)
		t.wrong = wrong
		if old != nil {
			value = settled(value, decoded(old.Config))
		}
		if t.Config, err = json.Marshal(value); err != nil {
			t.say("config", "The config cannot be written as JSON: %v.", err)
		}
	}
	switch readable := t.Errors["config"] == ""; asked(f) {
	case "yaml":
		t.Raw, t.Text = true, asYAML(ordered(t.Config))
	case "provider":
		return ps.begin(t)
	case "fields":
		t.Raw = !readable
		if !readable {
			t.Problem = t.Errors["config"]
		}
	}
	return nil
}

// fields makes the form of the config; a config that it cannot hold stays text.
func (t *configTab) fields(doc map[string]any) {
	value := decoded(t.Config)
	made := form.New(doc, value)
	if made.Kind != form.Group {
		t.Raw = true // a provider that says nothing of its configs
		return
	}
	back, wrong := form.Read(doc, made.Sent())
	if len(wrong) > 0 || !same(settled(back, value), value) {
		t.Raw, t.RawWhy = true, "This config has more to it than fields can hold, so it is edited as a whole."
		t.Text = asYAML(ordered(t.Config))
		return
	}
	t.Form = made
	if t.sent != nil && len(t.wrong) > 0 {
		made.Refill(t.sent)
	}
	made.AddTo(t.more, doc)
	for _, p := range t.wrong {
		made.Complain(p.Path, p.Message)
	}
	arrange(made)
	for _, f := range made.Fields {
		if f.Kind == form.List {
			for i, item := range f.Fields {
				item.Label = fmt.Sprintf("Launch config %d", i+1)
			}
		}
	}
}

// arrange puts what must be given before what may be, and single fields before those that hold more.
func arrange(f *form.Field) {
	rank := func(f *form.Field) int {
		rank := 0
		if !f.Required {
			rank = 2
		}
		if len(f.Fields) > 0 || f.Kind == form.YAML {
			rank++
		}
		return rank
	}
	if f.Kind == form.Group {
		slices.SortStableFunc(f.Fields, func(a, b *form.Field) int { return rank(a) - rank(b) })
	}
	for _, c := range f.Fields {
		arrange(c)
	}
}

// begin gives the config of another provider what pools of that begin with.
func (ps *Pages) begin(t *configTab) error {
	text, err := ps.beginning(t.Provider)
	if err != nil || t.Raw {
		return err
	}
	config, ok := decoded(t.Config).(map[string]any)
	if !ok {
		return nil
	}
	first, _ := decoded(text).(map[string]any)
	for key, v := range first {
		if _, there := config[key]; !there {
			config[key] = v
		}
	}
	t.Config, err = json.Marshal(config)
	return err
}

// Wrong are the complaints of a config that is text, each with its place.
func (t *configTab) Wrong() []string {
	if !t.Raw {
		return nil
	}
	var out []string
	for _, p := range t.wrong {
		out = append(out, strings.Join(append([]string{"config"}, p.Path...), ".")+": "+p.Message)
	}
	return out
}

// Faulty reports whether something is complained of anywhere.
func (t *configTab) Faulty() bool { return !t.fine() }

// settled gives a value that was read of fields what fields cannot say: members that are there and empty stay, and boxes
// that were not ticked and not there before are left out.
func settled(got, old any) any {
	switch old := old.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			return got
		}
		for key, was := range old {
			if now, there := m[key]; there {
				m[key] = settled(now, was)
			} else if hollow(was) {
				m[key] = was
			}
		}
		for key, now := range m {
			if _, was := old[key]; !was && now == false {
				delete(m, key)
			}
		}
		return m
	case []any:
		list, ok := got.([]any)
		if !ok {
			return got
		}
		for i := range min(len(list), len(old)) {
			list[i] = settled(list[i], old[i])
		}
		return list
	}
	return got
}

// hollow reports whether a value says nothing that a field could show.
func hollow(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !hollow(e) })
	case map[string]any:
		for _, e := range v {
			if !hollow(e) {
				return false
			}
		}
		return true
	}
	return false
}

func decoded(text json.RawMessage) any {
	var v any
	if json.Unmarshal(text, &v) != nil || v == nil {
		return map[string]any{}
	}
	return v
}

func same(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(ordered(x)) == string(ordered(y))
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
