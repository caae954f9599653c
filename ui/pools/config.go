package pools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/form"
	"github.com/treeline-ci/treeline/ui/page"
)

// configTab is a pool's definition, to be read and changed, or that of a pool to be made.
type configTab struct {
	New         bool
	ID          string
	Icons, CSRF string
	Action      string // where the form goes
	Seen        string // when it was changed last, as far as the visitor has seen
	Description string
	Owner       string
	Email       bool
	Provider    string
	Providers   []offered

	Config json.RawMessage
	Form   *form.Field // of the config by its provider's schema; nil where Raw
	Raw    bool        // the config is text
	Text   string      // that text, YAML or JSON
	RawWhy string      // it cannot be fields

	Needs     []need
	Why       string            // it may not be changed
	Errors    map[string]string // what is wrong, by field: id, owner, provider, description, config
	Problem   string            // what is wrong that belongs to no field
	Conflict  bool              // somebody changed it since
	Review    []change          // what would change
	Reviewing bool

	sent  url.Values
	wrong []form.Problem
	more  string // the list to which an item is added
}

// offered is a provider to choose.
type offered struct{ ID, About string }

// need is a scope that saving asks for.
type need struct {
	Scope string
	Held  bool
}

// kindsOfProviders says what the workers of types of providers are.
var kindsOfProviders = map[string]string{
	"local": "processes beside the server", "container": "containers", "static": "machines set up by hand", "aws": "machines of Amazon EC2",
	"google": "machines of Google Cloud", "azure": "machines of Azure", "null": "none: the pool is due for deletion",
}

func (ps *Pages) configTab(v *page.Visit, p *manager.Pool) (*configTab, error) {
	t := &configTab{
		ID: p.ID, Action: Path(p.ID), Seen: p.LastModified.Format(time.RFC3339Nano), Description: p.Description, Owner: p.Owner, Email: p.EmailOnError,
		Provider: p.ProviderID, Config: ordered(p.Config), Raw: v.R.FormValue("as") == "yaml",
	}
	t.Text = asYAML(t.Config)
	return t, ps.lay(v, t)
}

// lay makes what the form shows of what it holds.
func (ps *Pages) lay(v *page.Visit, t *configTab) error {
	t.CSRF, t.Icons = v.Session.CSRF(), v.Kit.Assets.Icons
	for _, i := range ps.Pools.ListProviders() {
		if i.ProviderID != manager.NullProvider || t.Provider == i.ProviderID {
			t.Providers = append(t.Providers, offered{i.ProviderID, kindsOfProviders[i.ProviderType]})
		}
	}
	for _, s := range []string{"worker-manager:manage-worker-pool:" + t.ID, "worker-manager:provider:" + t.Provider} {
		t.Needs = append(t.Needs, need{s, v.Allow(scope.String(s)) == nil})
	}
	if err := v.Allow(editScope(t.ID, t.Provider)); err != nil && !t.New {
		t.Why = fault.Message(err)
	}
	doc, err := ps.Pools.ConfigForm(t.Provider)
	if err != nil {
		return err
	}
	if doc == nil {
		t.Raw = true
	}
	if !t.Raw {
		t.fields(doc)
	}
	if t.Raw && t.Text == "" {
		t.Text = asYAML(t.Config)
	}
	return nil
}

// say puts a complaint to a field; the first one stays.
func (t *configTab) say(field, format string, args ...any) {
	if t.Errors == nil {
		t.Errors = map[string]string{}
	}
	if t.Errors[field] == "" {
		t.Errors[field] = fmt.Sprintf(format, args...)
	}
}

// fine reports whether nothing is complained of.
func (t *configTab) fine() bool { return len(t.Errors) == 0 && len(t.wrong) == 0 }

func (t *configTab) definition() manager.Definition {
	return manager.Definition{ProviderID: t.Provider, Description: t.Description, Owner: t.Owner, EmailOnError: t.Email, Config: t.Config}
}

const maxDescription = 10240 // as the API has it

// judge says what is wrong with the form at its fields.
func (ps *Pages) judge(t *configTab) {
	if !task.IsQueueID(t.ID) {
		t.say("id", "Two names with a slash between: letters, digits, - and _ (at most 38), then lower-case letters, digits and -, such as proj/linux.")
	}
	if a, err := mail.ParseAddress(t.Owner); err != nil || a.Address != t.Owner {
		t.say("owner", "It must be an e-mail address: whom to ask about the pool, and who hears of errors.")
	}
	if len(t.Description) > maxDescription {
		t.say("description", "It has %d bytes of at most %d.", len(t.Description), maxDescription)
	}
	if t.Errors["config"] != "" || len(t.wrong) > 0 {
		return // what cannot be read cannot be judged
	}
	for _, c := range ps.Pools.Complaints(t.Provider, t.Config) {
		t.wrong = append(t.wrong, form.Problem{Path: c.Path, Message: c.Message})
	}
}

// asked is what a form wants; nothing but "save" and "delete" changes a pool.
func asked(f url.Values) string {
	if f.Get("more") != "" {
		return "more"
	}
	return f.Get("act")
}

// work does what a form of a definition asks for. old is the pool as it is, nil for a new one; show answers with the form.
func (ps *Pages) work(v *page.Visit, t *configTab, old *manager.Pool, show func(status int) error) error {
	act := asked(v.R.PostForm)
	if err := ps.read(t, old, v.R.PostForm); err != nil {
		return err
	}
	if act != "review" && act != "save" {
		t.wrong, t.Errors = nil, nil
		return ps.answer(v, t, http.StatusOK, show)
	}
	ps.judge(t)
	if !t.fine() {
		return ps.answer(v, t, http.StatusBadRequest, show)
	}
	if err := ps.permit(v, t, old); err != nil {
		t.Problem = fault.Message(err)
		return ps.answer(v, t, page.StatusOf(err), show)
	}
	if act == "save" {
		done, err := ps.save(v, t, old)
		if err == nil {
			return v.Redirect(Path(t.ID) + "?tab=config&done=" + done)
		}
		if !t.take(err) {
			return err
		}
		if !errors.Is(err, fault.Conflict) || old == nil {
			return ps.answer(v, t, page.StatusOf(err), show)
		}
	}
	before, status := "", http.StatusOK
	if old != nil {
		before = whole(old.Definition)
		if seen, err := time.Parse(time.RFC3339Nano, t.Seen); err != nil || !old.LastModified.Equal(seen) {
			t.Conflict, status = true, http.StatusConflict
			t.Seen = old.LastModified.Format(time.RFC3339Nano) // to save it is to have seen the comparison
		}
	}
	t.Reviewing, t.Review = true, differences(before, whole(t.definition()))
	return ps.answer(v, t, status, show)
}

func (ps *Pages) answer(v *page.Visit, t *configTab, status int, show func(status int) error) error {
	if err := ps.lay(v, t); err != nil {
		return err
	}
	return show(status)
}

// permit refuses who may not have the definition, or not change the pool as it is.
func (ps *Pages) permit(v *page.Visit, t *configTab, old *manager.Pool) error {
	if err := v.Post(); err != nil {
		return err
	}
	if old != nil {
		if err := v.Allow(editScope(old.ID, old.ProviderID)); err != nil {
			return err
		}
	}
	return v.Allow(editScope(t.ID, t.Provider))
}

func (ps *Pages) save(v *page.Visit, t *configTab, old *manager.Pool) (done string, err error) {
	ctx, who := v.R.Context(), v.Session.ClientID
	if old == nil {
		_, err := ps.Pools.Create(ctx, who, t.ID, t.definition())
		return "made", err
	}
	seen, err := time.Parse(time.RFC3339Nano, t.Seen)
	if err != nil {
		return "", fault.New(fault.BadArguments, "The form does not say which state of the pool it is about: reload the page.")
	}
	_, err = ps.Pools.UpdateSeen(ctx, who, t.ID, task.At(seen), t.definition())
	return "saved", err
}

// take puts a refusal to where it belongs; false says that the form cannot help.
func (t *configTab) take(err error) bool {
	switch kind := fault.KindOf(err); {
	case kind == fault.Conflict && t.New && strings.Contains(fault.Message(err), "exists already"):
		t.say("id", "%s", fault.Message(err))
	case kind == fault.Conflict && !t.New && strings.Contains(fault.Message(err), "after it was read"):
	case kind == fault.Conflict, kind == fault.Invalid, kind == fault.BadInput, kind == fault.BadArguments:
		t.Problem = fault.Message(err)
	default:
		return false
	}
	return true
}

// edit shows what a form would change of a pool, and saves it when it was looked at.
func (ps *Pages) edit(v *page.Visit, id string) error {
	s, err := ps.find(v, id)
	if err != nil {
		return err
	}
	if s.Pool == nil {
		return page.ErrNoPage
	}
	t := &configTab{ID: id, Action: Path(id)}
	return ps.work(v, t, s.Pool, func(status int) error {
		return ps.show(v, status, id, "config", func(b *poolBody) { b.Config = t })
	})
}

// remove begins the end of a pool whose name was typed.
func (ps *Pages) remove(v *page.Visit, id string) error {
	if typed := strings.TrimSpace(v.R.PostFormValue("confirm")); typed != id {
		return fault.New(fault.Invalid, "The pool stays: to delete it, type its name %s. %q is another one.", id, typed)
	}
	need := func(*manager.Pool) scope.Expr { return scope.String("worker-manager:manage-worker-pool:" + id) }
	return ps.change(v, id, "config&done=deleted", need, func() (manager.Pool, error) {
		return ps.Pools.Delete(v.R.Context(), v.Session.ClientID, id)
	})
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
