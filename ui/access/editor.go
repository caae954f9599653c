package access

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/page"
)

// maxEditor bounds the body of an editor's form.
const maxEditor = 4 << 20

// draft is what stands in an editor: of a client or a role.
type draft struct {
	ID, Description, Scopes string // scopes one a line
	Expires                 string // of a client
	DeleteOnExpiration      bool
	Seen                    string // when what is edited was modified last; "" for a new one
}

func draftOf(f url.Values) draft {
	return draft{
		ID: strings.TrimSpace(f.Get("id")), Description: strings.TrimSpace(strings.ReplaceAll(f.Get("description"), "\r\n", "\n")), Scopes: f.Get("scopes"),
		Expires: strings.TrimSpace(f.Get("expires")), DeleteOnExpiration: f.Get("deleteOnExpiration") != "", Seen: f.Get("seen"),
	}
}

// deed is a button of the page, with the scope that is missing for it.
type deed struct{ Name, Label, Missing string }

func (v gate) deed(name, label, need string) deed {
	d := deed{Name: name, Label: label}
	if !v.Have.Has(need) {
		d.Missing = need
	}
	return d
}

// gate tells what the visitor lacks.
type gate struct{ *page.Visit }

// editor is the page of a client or a role.
type editor struct {
	Kind    string // client or role
	New     bool
	Draft   draft
	Client  *auth.Client // as it is; nil for a role or a new one
	Role    *auth.Role
	Save    deed
	Deeds   map[string]deed
	Static  bool     // only the configuration may change it
	Problem string   // why it was not done
	Review  *review  // what saving would change
	Blocked []string // scopes that the visitor cannot give
	Signed  bool     // the session has ended meanwhile: the text is kept
	Rotated string   // when the client's token was made
	Touches string   // what deleting it touches
	History []record
	Back    string // the list
	Action  string // of the form
}

// review is what saving would change.
type review struct {
	Added, Removed []string
	Fields         []fieldChange
}

type fieldChange struct{ Name, From, To string }

// Empty tells whether nothing would change.
func (r *review) Empty() bool { return len(r.Added)+len(r.Removed)+len(r.Fields) == 0 }

func compareLists(before, after []string) *review {
	had, have := map[string]bool{}, map[string]bool{}
	r := &review{}
	for _, s := range before {
		had[s] = true
	}
	for _, s := range after {
		if !had[s] && !have[s] {
			r.Added = append(r.Added, s)
		}
		have[s] = true
	}
	for _, s := range before {
		if !have[s] {
			r.Removed = append(r.Removed, s)
		}
	}
	slices.SortFunc(r.Added, scope.Compare)
	slices.SortFunc(r.Removed, scope.Compare)
	return r
}

func (r *review) field(name, from, to string) {
	if from != to {
		r.Fields = append(r.Fields, fieldChange{name, from, to})
	}
}

// ungiven are the scopes among added that the visitor does not hold.
func (v gate) ungiven(added []string) []string {
	var out []string
	for _, s := range added {
		if !v.Have.Has(s) {
			out = append(out, s)
		}
	}
	return out
}

// editorData is what the script needs to show the difference while somebody types.
type editorData struct {
	Before      []string `json:"before"` // scopes as they are
	Description string   `json:"description"`
	Held        []string `json:"held"`  // given already, directly or by roles: adding those needs nothing
	Mine        []string `json:"mine"`  // what the visitor holds
	Named       string   `json:"named"` // what is edited
}

func (ps *Pages) showEditor(v *page.Visit, status int, e editor, held []string) error {
	data := editorData{Before: []string{}, Held: append([]string{}, held...), Mine: append([]string{}, v.Session.Scopes...), Named: e.Kind}
	switch {
	case e.Client != nil:
		data.Before, data.Description = append(data.Before, e.Client.Scopes...), e.Client.Description
	case e.Role != nil:
		data.Before, data.Description = append(data.Before, e.Role.Scopes...), e.Role.Description
	}
	title := e.Draft.ID
	if e.New {
		title = "New " + e.Kind
	}
	return v.Show(status, page.View{Title: title, Name: "authedit", Main: "narrow", Body: e}, data)
}

// ended tells whether the form of an editor comes from a session that is over. Its text is shown again then.
func ended(v *page.Visit) bool { return v.Session.ClientID == "" || v.Post() != nil }

// refused fills in what an error means for the person at the editor; false for one that is nothing to do with what
// they wrote.
func (ps *Pages) refused(v *page.Visit, e *editor, err error) (status int, ok bool) {
	if guarded, needs := errors.AsType[*auth.Guarded](err); needs {
		a, perr := ps.Auth.Propose(v.R.Context(), v.Caller(), guarded)
		if perr != nil {
			return ps.refused(v, e, perr)
		}
		e.Problem = "This change needs a second person. It is kept as proposal " + a.ID + " until " + a.Expires.UTC().Format("2 Jan 15:04") + " UTC; once somebody else has approved it, save it again."
		return http.StatusConflict, true
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict, fault.Forbidden, fault.BadInput, fault.BadArguments, fault.Malformed:
		e.Problem = fault.Message(err)
		return page.StatusOf(err), true
	}
	return 0, false
}

// meanwhile says who changed an entity last.
func (ps *Pages) meanwhile(v *page.Visit, kind, id string) string {
	list, err := ps.Auth.EntityHistory(v.R.Context(), kind, id, 0, 1)
	if err != nil || len(list) == 0 {
		return "Somebody changed it since you opened it."
	}
	return list[0].ClientID + " changed it at " + list[0].Created.UTC().Format("15:04:05") + " UTC, after you opened it."
}

// seenTime reads the state that a draft was made from.
func (d draft) seenTime() (time.Time, error) {
	if d.Seen == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, d.Seen)
	if err != nil {
		return t, fault.New(fault.Invalid, "The form is damaged; load the page again.")
	}
	return t, nil
}

// expiry reads when a client shall expire: a moment, a day, or a span from now.
func expiry(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSuffix(text, " UTC")); err == nil {
			return t.UTC(), nil
		}
	}
	span, err := login.ParseSpan(text)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "%.40q is no time to expire at: write a day such as 2027-01-31, or a span such as 30 days.", text)
	}
	return now.Add(span).UTC(), nil
}

func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// pathOf is the address of a client or role.
func pathOf(kind, id string) string {
	return "/auth/" + kind + "s/" + url.PathEscape(id)
}
