package access

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

type listedRole struct {
	auth.Role
	Href string
}

// roleList is a page of roles.
type roleList struct {
	Roles  []listedRole
	Filter string
	Total  int
	More   bool
}

func (ps *Pages) roles(v *page.Visit) error {
	if err := v.Allow(scope.String("auth:list-roles")); err != nil {
		return err
	}
	all, err := ps.Auth.Roles(v.R.Context(), "", 0)
	if err != nil {
		return err
	}
	l := roleList{Filter: strings.TrimSpace(v.R.FormValue("q")), Total: len(all)}
	want := strings.ToLower(l.Filter)
	for _, r := range all {
		if strings.Contains(strings.ToLower(r.ID+" "+r.Description), want) {
			l.Roles = append(l.Roles, listedRole{r, pathOf("role", r.ID)})
		}
	}
	const most = 500
	if l.More = len(l.Roles) > most; l.More {
		l.Roles = l.Roles[:most]
	}
	return v.Show(http.StatusOK, page.View{Title: "Roles", Name: "roles", Body: l}, nil)
}

func draftOfRole(r auth.Role) draft {
	return draft{ID: r.ID, Description: r.Description, Scopes: strings.Join(r.Scopes, "\n"), Seen: r.LastModified.UTC().Format(time.RFC3339Nano)}
}

func (ps *Pages) roleEditor(v *page.Visit) error {
	id := v.R.PathValue("id")
	if id == "" {
		return v.Redirect("/auth/roles")
	}
	e, err := ps.editorOfRole(v, id)
	if err != nil {
		return err
	}
	return ps.showEditor(v, http.StatusOK, e, e.Role.Expanded)
}

func (ps *Pages) editorOfRole(v *page.Visit, id string) (editor, error) {
	if err := v.Allow(scope.String("auth:get-role:" + id)); err != nil {
		return editor{}, err
	}
	ctx := v.R.Context()
	r, err := ps.Auth.Role(ctx, id)
	if err != nil {
		return editor{}, err
	}
	g := gate{v}
	e := editor{
		Kind: "role", Draft: draftOfRole(r), Role: &r, Back: "/auth/roles", Action: pathOf("role", id),
		Save:  g.deed("save", "Save", "auth:update-role:"+id),
		Deeds: map[string]deed{"delete": g.deed("delete", "Delete", "auth:delete-role:"+id)},
	}
	if v.Have.Has("auth:list-roles") {
		if e.Touches, err = ps.assuming(v, id); err != nil {
			return editor{}, err
		}
	}
	if v.Have.Has("auth:audit-history:role") {
		list, err := ps.Auth.EntityHistory(ctx, "role", id, 0, 20)
		if err != nil {
			return editor{}, err
		}
		e.History = recordsOf(list)
	}
	return e, nil
}

// assuming says in words what has a role.
func (ps *Pages) assuming(v *page.Visit, id string) (string, error) {
	roles, err := ps.Auth.Roles(v.R.Context(), "", 0)
	if err != nil {
		return "", err
	}
	need := expand.Assume + id
	n := 0
	for _, r := range roles {
		if r.ID != id && slices.ContainsFunc(r.Scopes, func(s string) bool { return expand.Covers(s, need) }) {
			n++
		}
	}
	clients := 0
	if v.Have.Has("auth:list-clients") {
		err = ps.eachClient(v, func(c auth.Client) {
			if slices.ContainsFunc(c.Expanded, func(s string) bool { return expand.Covers(s, need) }) {
				clients++
			}
		})
	}
	return fmt.Sprintf("%s and %s assume it.", counted(n, "role"), counted(clients, "client")), err
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxClients bounds how many clients a page looks at.
const maxClients = 20_000

func (ps *Pages) eachClient(v *page.Visit, see func(auth.Client)) error {
	const step = 1000
	after := ""
	for range maxClients / step {
		list, err := ps.Auth.Clients(v.R.Context(), "", after, step)
		if err != nil {
			return err
		}
		for _, c := range list {
			see(c)
			after = c.ID
		}
		if len(list) < step {
			break
		}
	}
	return nil
}

// reviewRole says what saving would change. What the role gave before, directly or by others, may be given by whoever may
// change the role.
func (e *editor) reviewRole(v *page.Visit, in auth.RoleInput) {
	var before auth.Role
	if e.Role != nil {
		before = *e.Role
	}
	e.Review = compareLists(before.Scopes, in.Scopes)
	e.Review.field("description", before.Description, in.Description)
	held := scope.NewSet(before.Expanded)
	e.Blocked = gate{v}.ungiven(slices.DeleteFunc(slices.Clone(e.Review.Added), held.Has))
}

func (d draft) role() (auth.RoleInput, error) {
	seen, err := d.seenTime()
	return auth.RoleInput{Scopes: append([]string{}, lines(d.Scopes)...), Description: d.Description, Seen: seen}, err
}

func (ps *Pages) changeRole(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxEditor)
	id, act := v.R.PathValue("id"), v.R.PostFormValue("act")
	switch act {
	case "review", "save":
		return ps.saveRole(v, id, act)
	case "delete":
	default:
		return fault.New(fault.Invalid, "The form is damaged; load the page again.")
	}
	if err := v.Post(); err != nil {
		return err
	}
	if err := v.Allow(scope.String("auth:delete-role:" + id)); err != nil {
		return err
	}
	cause := ps.Auth.DeleteRole(v.R.Context(), v.Session.ClientID, id)
	if cause == nil {
		return v.Redirect("/auth/roles")
	}
	e, err := ps.editorOfRole(v, id)
	if err != nil {
		return cause
	}
	return ps.notSaved(v, e, e.Draft.Seen, cause, e.Role.Expanded)
}

func (ps *Pages) saveRole(v *page.Visit, id, act string) error {
	d := draftOf(v.R.PostForm)
	d.ID = id
	if ended(v) {
		return ps.keepText(v, editor{Kind: "role", Draft: d, Back: "/auth/roles", Action: pathOf("role", id)})
	}
	e, err := ps.editorOfRole(v, id)
	if err != nil {
		return err
	}
	now := e.Draft
	e.Draft = d
	in, err := d.role()
	if err == nil {
		e.reviewRole(v, in)
		if act == "review" && d.Seen == now.Seen {
			return ps.showEditor(v, http.StatusOK, e, e.Role.Expanded)
		}
		err = v.Allow(scope.String("auth:update-role:" + id))
	}
	if err == nil && act == "review" {
		err = fault.New(fault.Conflict, "changed")
	}
	if err == nil {
		_, err = ps.Auth.UpdateRole(v.R.Context(), v.Session.ClientID, id, in, func(added []string) error { return v.Allow(scope.Strings(added...)) })
	}
	if err == nil {
		return v.Redirect(pathOf("role", id))
	}
	return ps.notSaved(v, e, now.Seen, err, e.Role.Expanded)
}

func (ps *Pages) newRole(v *page.Visit) error {
	if !v.SignedIn() {
		return nil
	}
	e := newEditor("role", draft{ID: v.R.FormValue("id")})
	if from := v.R.FormValue("from"); from != "" {
		if err := v.Allow(scope.String("auth:get-role:" + from)); err != nil {
			return err
		}
		r, err := ps.Auth.Role(v.R.Context(), from)
		if err != nil {
			return err
		}
		e.Draft = draftOfRole(r)
		e.Draft.ID, e.Draft.Seen = from, ""
	}
	return ps.showEditor(v, http.StatusOK, e, nil)
}

func (ps *Pages) createRole(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxEditor)
	act := v.R.PostFormValue("act")
	e := newEditor("role", draftOf(v.R.PostForm))
	if ended(v) {
		return ps.keepText(v, e)
	}
	in, err := e.Draft.role()
	if err == nil {
		e.reviewRole(v, in)
		if act == "review" {
			return ps.showEditor(v, http.StatusOK, e, nil)
		}
		err = v.Allow(scope.AllOf(scope.String("auth:create-role:"+e.Draft.ID), scope.Strings(in.Scopes...)))
	}
	if err == nil {
		_, err = ps.Auth.CreateRole(v.R.Context(), v.Session.ClientID, e.Draft.ID, in)
	}
	if err != nil {
		return ps.notSaved(v, e, "", err, nil)
	}
	return v.Redirect(pathOf("role", e.Draft.ID))
}
