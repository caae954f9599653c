package hookview

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/ui/form"
)

const (
	maxFires = 50 // of the strip
	maxTimes = 5  // next ones
)

// Fire is a fire on a hook's page.
type Fire struct {
	hooks.LastFire
	Result Result
}

// Rule is a line of the schedule.
type Rule struct{ Text, Words string }

// Page is the page of a hook.
type Page struct {
	hooks.Status
	Path       string
	Rules      []Rule
	Times      []time.Time
	HeldBack   bool // dates are left out because it keeps failing
	Trying     bool // it is tried again at Due
	TaskYAML   string
	SchemaYAML string
	SeeFires   bool
	Fires      []Fire
	MayTrigger bool
	Why        string      // why not
	Form       *form.Field // nil: it takes no payload
	Try
}

// Try is how somebody filled the form in. Its zero value is a fresh form.
type Try struct {
	Raw     bool   // as YAML
	Key     string // the same fires once
	Problem string // that belongs to no field
	Input   any
	Wrong   []form.Problem
	More    string // the list to which an item is added
}

// Page makes a hook's page. It needs hooks:get:<group>:<id>.
func (v *Visit) Page(ctx context.Context, group, id string, sent url.Values, t Try) (*Page, error) {
	if err := v.Allow(scope.String("hooks:get:" + group + ":" + id)); err != nil {
		return nil, err
	}
	s, err := v.Hooks.Status(ctx, group, id)
	if err != nil {
		return nil, err
	}
	p := &Page{Status: s, Path: Path(group, id), Try: t}
	if p.Key == "" {
		p.Key = slug.Nice()
	}
	p.times()
	if p.TaskYAML, err = asYAML(s.Task); err != nil {
		return nil, err
	}
	if p.SchemaYAML, err = asYAML(s.TriggerSchema); err != nil {
		return nil, err
	}
	if err := v.addFires(ctx, p); err != nil {
		return nil, err
	}
	if err := v.MayTrigger(group, id); err != nil {
		p.Why = fault.Message(err)
		return p, nil
	}
	p.MayTrigger = true
	p.addForm(sent)
	return p, nil
}

// MayTrigger says what the visitor lacks to fire a hook.
func (v *Visit) MayTrigger(group, id string) error {
	return v.Allow(scope.String("hooks:trigger-hook:" + group + "/" + id))
}

// times fills in when the hook fires next.
func (p *Page) times() {
	var all []*cron.Schedule
	for _, text := range p.Schedule {
		rule := Rule{Text: text}
		if s, err := cron.Parse(text); err == nil {
			rule.Words = s.Words()
			all = append(all, s)
		}
		p.Rules = append(p.Rules, rule)
	}
	for at := p.Next; len(p.Times) < maxTimes && !at.IsZero(); at = cron.First(all, at) {
		p.Times = append(p.Times, at)
	}
	p.HeldBack = p.Failures >= hooks.Patience && len(all) > 0
	p.Trying = p.Failures > 0 && p.Due.After(p.Next)
}

// addFires adds the last fires, if the visitor may see them.
func (v *Visit) addFires(ctx context.Context, p *Page) error {
	if p.SeeFires = v.Allow(seeFires(p.Group, p.ID)) == nil; !p.SeeFires {
		p.Last = nil
		return nil
	}
	list, err := v.Hooks.LastFires(ctx, p.Group, p.ID, hooks.Mark{}, maxFires)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	ids := make([]string, len(list))
	for i, f := range list {
		ids[i] = f.TaskID
	}
	states, err := v.statuses(ctx, ids)
	for _, f := range list {
		p.Fires = append(p.Fires, Fire{f, v.resultOf(f, states)})
	}
	return err
}

// Schema is the hook's triggerSchema as forms take it; plain tells that it wants no payload.
func Schema(h hooks.Hook) (schema map[string]any, plain bool) {
	if err := json.Unmarshal(h.TriggerSchema, &schema); err != nil {
		return map[string]any{}, false
	}
	properties, _ := schema["properties"].(map[string]any)
	return schema, len(properties) == 0 && schema["additionalProperties"] == false
}

func (p *Page) addForm(sent url.Values) {
	schema, plain := Schema(p.Hook)
	switch {
	case plain:
		return
	case p.Raw:
		p.Form = form.Raw(schema, p.Input)
		if text := sent.Get(p.Form.Name); text != "" {
			p.Form.Value = text
		}
	default:
		p.Form = form.New(schema, p.Input)
		p.Form.Refill(sent)
		p.Form.AddTo(p.More, schema)
	}
	for _, w := range p.Wrong {
		p.Form.Complain(w.Path, w.Message)
	}
}

// Read reads what somebody filled in.
func Read(h hooks.Hook, sent url.Values) Try {
	t := Try{Raw: sent.Get("raw") != "", Key: sent.Get("key"), More: sent.Get("more")}
	schema, plain := Schema(h)
	switch {
	case plain:
	case t.Raw:
		t.Input, t.Wrong = form.ReadRaw(sent)
	default:
		t.Input, t.Wrong = form.Read(schema, sent)
	}
	if t.More != "" { // only another item is wanted
		t.Wrong = nil
	}
	if t.Input == nil {
		t.Input = map[string]any{}
	}
	return t
}

// asYAML shows JSON as people write it.
func asYAML(text json.RawMessage) (string, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return string(text), nil // what YAML cannot hold, such as odd escapes
	}
	plainStyle(&node)
	out, err := yaml.Marshal(&node)
	return string(out), err
}

// plainStyle takes JSON's braces and quotes away where YAML needs none.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
}
