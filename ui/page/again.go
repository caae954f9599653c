package page

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/auth"
)

// AgainPath is where somebody who is signed in proves anew who they are; next is where they want to be then.
const AgainPath = "/login/again"

// AgainDone is where a window that was opened for that ends.
const AgainDone = AgainPath + "/done"

// again is what somebody sees whose change waits for a sign-in: all that they sent stays on the page.
type again struct {
	Problem string
	Proved  time.Time
	Action  string  // address of what was sent
	Fields  []Field // of the form
	Sent    bool    // it was a form, and not a link
	Files   bool    // some files were sent, which have to be chosen again
	Next    string  // address of the sign-in
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// FieldsOf lists the values of a form by name.
func FieldsOf(form url.Values) []Field {
	var out []Field
	for name, values := range form {
		for _, v := range values {
			out = append(out, Field{name, v})
		}
	}
	slices.SortStableFunc(out, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// signedIn notes in the request's context when its person proved who they are.
func (v *Visit) signedIn() {
	if v.Session.ClientID == "" {
		return
	}
	within := v.Kit.Fresh
	v.signIn = &auth.SignIn{Proved: v.Session.Proved, Within: within, Stale: within > 0 && time.Since(v.Session.Proved) > within}
	v.R = v.R.WithContext(auth.From(v.R.Context(), v.signIn))
}

// Fresh returns the error with which something is refused that takes a fresh sign-in, and that no record tells of.
func (v *Visit) Fresh() error { return auth.Fresh(v.R.Context()) }

// StaleSignIn reports whether changes from this browser are refused until its person has signed in again.
func (v *Visit) StaleSignIn() bool { return v.signIn != nil && v.signIn.Stale }

// askAgain answers a request of which something waits for a sign-in; false when nothing does.
func (v *Visit) askAgain() (bool, error) {
	problem := v.signIn.Refused()
	if problem == nil || v.asked {
		return false, nil
	}
	v.asked = true
	here := LocalPath(v.R.URL.RequestURI())
	a := again{Problem: problem.Error(), Proved: v.Session.Proved, Action: here, Sent: v.R.Method != http.MethodGet}
	next := here
	if a.Sent {
		next = AgainDone // in a window of its own
		a.Fields = FieldsOf(v.R.PostForm)
		if form := v.R.MultipartForm; form != nil {
			a.Fields, a.Files = FieldsOf(form.Value), len(form.File) > 0
		}
	}
	a.Next = AgainPath + "?" + url.Values{"next": {next}}.Encode()
	return true, v.Show(http.StatusForbidden, View{Title: "Sign in again", Name: "again", Main: "narrow", Body: a}, nil)
}
