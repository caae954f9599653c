package access

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

const perPage = 100 // of lists

type listedClient struct {
	auth.Client
	Href string
}

// clientList is a page of clients.
type clientList struct {
	Clients     []listedClient
	Prefix      string
	After, Next string
}

func (ps *Pages) clients(v *page.Visit) error {
	if err := v.Allow(scope.String("auth:list-clients")); err != nil {
		return err
	}
	l := clientList{Prefix: strings.TrimSpace(v.R.FormValue("q")), After: v.R.FormValue("after")}
	list, err := ps.Auth.Clients(v.R.Context(), l.Prefix, l.After, perPage+1)
	if err != nil {
		return err
	}
	if len(list) > perPage {
		list = list[:perPage]
		l.Next = list[perPage-1].ID
	}
	for _, c := range list {
		l.Clients = append(l.Clients, listedClient{c, pathOf("client", c.ID)})
	}
	return v.Show(http.StatusOK, page.View{Title: "Clients", Name: "clients", Body: l}, nil)
}

func draftOfClient(c auth.Client) draft {
	return draft{
		ID: c.ID, Description: c.Description, Scopes: strings.Join(c.Scopes, "\n"), Expires: stampOf(c.Expires), DeleteOnExpiration: c.DeleteOnExpiration,
		Seen: c.LastModified.UTC().Format(time.RFC3339Nano),
	}
}

// clientEditor shows one client.
func (ps *Pages) clientEditor(v *page.Visit) error {
	id := v.R.PathValue("id")
	if id == "" {
		return v.Redirect("/auth/clients")
	}
	e, err := ps.editorOfClient(v, id)
	if err != nil {
		return err
	}
	return ps.showEditor(v, http.StatusOK, e, e.Client.Scopes)
}

func (ps *Pages) editorOfClient(v *page.Visit, id string) (editor, error) {
	if err := v.Allow(scope.String("auth:get-client:" + id)); err != nil {
		return editor{}, err
	}
	c, err := ps.Auth.Client(v.R.Context(), id)
	if err != nil {
		return editor{}, err
	}
	g := gate{v}
	e := editor{
		Kind: "client", Draft: draftOfClient(c), Client: &c, Rotated: c.LastRotated.UTC().Format(time.RFC3339Nano), Static: strings.HasPrefix(id, "static/"), Back: "/auth/clients", Action: pathOf("client", id),
		Save: g.deed("save", "Save", "auth:update-client:"+id),
		Deeds: map[string]deed{
			"disable": g.deed("disable", "Disable", "auth:disable-client:"+id), "enable": g.deed("enable", "Enable", "auth:enable-client:"+id),
			"reset": g.deed("reset", "Reset the access token", "auth:reset-access-token:"+id), "delete": g.deed("delete", "Delete", "auth:delete-client:"+id),
		},
	}
	if v.Have.Has("auth:audit-history:client") {
		list, err := ps.Auth.EntityHistory(v.R.Context(), "client", id, 0, 20)
		if err != nil {
			return editor{}, err
		}
		e.History = recordsOf(list)
	}
	return e, nil
}

// reviewClient says what saving would change, and what of it the visitor cannot give.
func (e *editor) reviewClient(v *page.Visit, in auth.ClientInput) {
	before := auth.Client{}
	if e.Client != nil {
		before = *e.Client
	}
	e.Review = compareLists(before.Scopes, in.Scopes)
	e.Review.field("description", before.Description, in.Description)
	if e.Client != nil && stampOf(before.Expires) != stampOf(in.Expires) {
		e.Review.field("expires", stampOf(before.Expires), stampOf(in.Expires))
	}
	if e.Client != nil && before.DeleteOnExpiration != in.DeleteOnExpiration {
		e.Review.field("when it expires", kept(before.DeleteOnExpiration), kept(in.DeleteOnExpiration))
	}
	e.Blocked = gate{v}.ungiven(e.Review.Added)
}

func kept(deleted bool) string {
	if deleted {
		return "it is deleted"
	}
	return "it is kept"
}

func (d draft) client() (auth.ClientInput, error) {
	expires, err := expiry(d.Expires, time.Now())
	in := auth.ClientInput{Description: d.Description, Expires: expires, DeleteOnExpiration: d.DeleteOnExpiration, Scopes: append([]string{}, lines(d.Scopes)...)}
	if err != nil {
		return in, err
	}
	in.Seen, err = d.seenTime()
	return in, err
}

// changeClient does what a button of the page says.
func (ps *Pages) changeClient(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxEditor)
	id, act := v.R.PathValue("id"), v.R.PostFormValue("act")
	if act == "review" || act == "save" {
		return ps.saveClient(v, id, act)
	}
	if err := v.Post(); err != nil {
		return err
	}
	if !v.SignedIn() {
		return nil
	}
	ctx, actor := v.R.Context(), v.Session.ClientID
	need := map[string]string{"disable": "auth:disable-client:", "enable": "auth:enable-client:", "delete": "auth:delete-client:", "reset": "auth:reset-access-token:", "end-old": "auth:reset-access-token:"}[act]
	if need == "" {
		return fault.New(fault.Invalid, "The form is damaged; load the page again.")
	}
	if err := v.Allow(scope.String(need + id)); err != nil {
		return err
	}
	var err error
	switch act {
	case "reset":
		return ps.resetToken(v, id)
	case "end-old":
		if _, err = ps.Auth.EndOldToken(ctx, actor, id); err == nil {
			return v.Redirect(pathOf("client", id))
		}
	case "delete":
		if err = ps.Auth.DeleteClient(ctx, actor, id); err == nil {
			return v.Redirect("/auth/clients")
		}
	default:
		if _, err = ps.Auth.SetDisabled(ctx, actor, id, act == "disable"); err == nil {
			return v.Redirect(pathOf("client", id))
		}
	}
	return ps.clientRefused(v, id, err)
}

func (ps *Pages) clientRefused(v *page.Visit, id string, cause error) error {
	e, err := ps.editorOfClient(v, id)
	if err != nil {
		return cause
	}
	status, ok := ps.refused(v, &e, cause)
	if !ok {
		return cause
	}
	return ps.showEditor(v, status, e, e.Client.Scopes)
}

// resetToken shows a new token, once: the form says which token it replaces, so that sending it again, as reloading the
// page does, makes no other.
func (ps *Pages) resetToken(v *page.Visit, id string) error {
	c, err := ps.Auth.Client(v.R.Context(), id)
	if err != nil {
		return err
	}
	if given := v.R.PostFormValue("rotated"); given != c.LastRotated.UTC().Format(time.RFC3339Nano) {
		return ps.clientRefused(v, id, fault.New(fault.Conflict, "The access token was reset already, and is shown only once. If it is lost, reset it again."))
	}
	hours, err := strconv.Atoi("0" + v.R.PostFormValue("overlap"))
	if err != nil {
		return fault.New(fault.Invalid, "%.40q is no number of hours.", v.R.PostFormValue("overlap"))
	}
	c, token, err := ps.Auth.ResetAccessToken(v.R.Context(), v.Session.ClientID, id, time.Duration(hours)*time.Hour)
	if err != nil {
		return ps.clientRefused(v, id, err)
	}
	return ps.show(v, handed{ClientID: c.ID, Token: token, Expires: c.Expires, Next: pathOf("client", id)})
}

// saveClient shows what saving would change, or saves.
func (ps *Pages) saveClient(v *page.Visit, id, act string) error {
	d := draftOf(v.R.PostForm)
	d.ID = id
	if ended(v) {
		return ps.keepText(v, editor{Kind: "client", Draft: d, Back: "/auth/clients", Action: pathOf("client", id)})
	}
	e, err := ps.editorOfClient(v, id)
	if err != nil {
		return err
	}
	now := e.Draft
	e.Draft = d
	in, err := d.client()
	if err == nil {
		e.reviewClient(v, in)
		if act == "review" && d.Seen == now.Seen {
			return ps.showEditor(v, http.StatusOK, e, e.Client.Scopes)
		}
		err = v.Allow(scope.String("auth:update-client:" + id))
	}
	if err == nil && act == "review" {
		err = fault.New(fault.Conflict, "changed")
	}
	if err == nil {
		_, err = ps.Auth.UpdateClient(v.R.Context(), v.Session.ClientID, id, in, func(added []string) error { return v.Allow(scope.Strings(added...)) })
	}
	if err == nil {
		return v.Redirect(pathOf("client", id))
	}
	return ps.notSaved(v, e, now.Seen, err, e.Client.Scopes)
}

// notSaved shows an editor again with what was written, and why it was not saved. What was changed meanwhile by others is
// the base of the next try.
func (ps *Pages) notSaved(v *page.Visit, e editor, seen string, cause error, held []string) error {
	status, ok := ps.refused(v, &e, cause)
	if !ok {
		return cause
	}
	if fault.KindOf(cause) == fault.Conflict && e.Draft.Seen != seen && seen != "" {
		e.Problem = ps.meanwhile(v, e.Kind, e.Draft.ID) + " Nothing is saved yet. Below is what your text would change of the present state; review it and save again."
		e.Draft.Seen = seen
	}
	return ps.showEditor(v, status, e, held)
}

// keepText shows what somebody wrote whose session has ended.
func (ps *Pages) keepText(v *page.Visit, e editor) error {
	e.Signed = true
	e.Save = deed{Name: "save", Label: "Save"}
	return ps.showEditor(v, http.StatusUnauthorized, e, nil)
}

func (ps *Pages) newClient(v *page.Visit) error {
	if !v.SignedIn() {
		return nil
	}
	e := newEditor("client", draft{ID: v.R.FormValue("id"), Expires: "1 year"})
	if from := v.R.FormValue("from"); from != "" {
		if err := v.Allow(scope.String("auth:get-client:" + from)); err != nil {
			return err
		}
		c, err := ps.Auth.Client(v.R.Context(), from)
		if err != nil {
			return err
		}
		e.Draft = draftOfClient(c)
		e.Draft.ID, e.Draft.Seen, e.Draft.Expires = from+"-copy", "", "1 year"
	}
	return ps.showEditor(v, http.StatusOK, e, nil)
}

func newEditor(kind string, d draft) editor {
	return editor{Kind: kind, New: true, Draft: d, Back: "/auth/" + kind + "s", Action: "/auth/new-" + kind, Save: deed{Name: "save", Label: "Create"}}
}

func (ps *Pages) createClient(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxEditor)
	act := v.R.PostFormValue("act")
	e := newEditor("client", draftOf(v.R.PostForm))
	if ended(v) {
		return ps.keepText(v, e)
	}
	in, err := e.Draft.client()
	if err == nil {
		e.reviewClient(v, in)
		if act == "review" {
			return ps.showEditor(v, http.StatusOK, e, nil)
		}
		err = v.Allow(scope.AllOf(scope.String("auth:create-client:"+e.Draft.ID), scope.Strings(in.Scopes...)))
	}
	if err != nil {
		return ps.notSaved(v, e, "", err, nil)
	}
	c, token, err := ps.Auth.CreateClient(v.R.Context(), v.Session.ClientID, e.Draft.ID, in)
	if err != nil {
		return ps.notSaved(v, e, "", err, nil)
	}
	return ps.show(v, handed{ClientID: c.ID, Token: token, Expires: c.Expires, Next: pathOf("client", c.ID)})
}
