package ui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
)

// consent is what somebody is asked: whether a program may have a part of their rights.
type consent struct {
	Asker    string // in words
	Address  string // where the answer goes, for the eye
	ClientID string
	About    string // what the program says it is for
	Expires  time.Time
	Areas    []login.Area
	Lacking  []string // asked for and not there to give
	Action   string   // of the form
	Fields   []field  // of the form, hidden
	Problem  string
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

func fieldsOf(q url.Values) []field {
	var out []field
	for name, values := range q {
		for _, v := range values {
			out = append(out, field{name, v})
		}
	}
	slices.SortFunc(out, func(a, b field) int { return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value) })
	return out
}

// maxConsentForm bounds the body of a decision: as many scopes as may be asked for, twice.
const maxConsentForm = 512 << 10

// allowTarget lets a form of this page lead to one other origin; browsers check where a form's answer
// redirects to.
func allowTarget(w http.ResponseWriter, target *url.URL) {
	policy := w.Header().Get("Content-Security-Policy")
	w.Header().Set("Content-Security-Policy", strings.Replace(policy, "form-action 'self'", "form-action 'self' "+target.Scheme+"://"+target.Host, 1))
}

// wishQuery is the wish as the fields of a form; all of it is checked again there.
func wishQuery(w login.Wish) url.Values {
	q := url.Values{"scope": w.Scopes}
	for name, v := range map[string]string{
		"name": w.Name, "description": w.Description, "expires": w.Expires, "callback_url": w.Callback, "code_challenge": w.Challenge, "state": w.State,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if w.ShowCode {
		q.Set("show_code", "1")
	}
	return q
}

// clientPage asks whether a program may have what it wishes, or, when no program asks, offers a form.
// It is the address that the field's "taskcluster signin" opens (taskcluster-map 15.3).
func (u *UI) clientPage(v *visit) error {
	w := login.ParseWish(v.r.URL.Query())
	if !v.signedIn() {
		return nil
	}
	if w.Callback == "" && !w.ShowCode {
		return u.showClientForm(v, http.StatusOK, w, "")
	}
	return u.askFor(v, http.StatusOK, w, "")
}

func (u *UI) askFor(v *visit, status int, w login.Wish, problem string) error {
	offer, err := u.deps.Login.Offer(v.r.Context(), v.session.holder, w)
	if err != nil {
		return err
	}
	c := consent{
		Asker: "A program on another machine", ClientID: offer.ClientID, About: w.Description, Expires: offer.Expires, Areas: login.InWords(offer.Scopes),
		Action: "/auth/clients/create", Fields: fieldsOf(wishQuery(w)), Problem: problem, Lacking: lacking(w.Scopes, v),
	}
	if w.Callback != "" {
		target, err := login.Loopback(w.Callback)
		if err != nil {
			return err
		}
		c.Asker, c.Address = "A program on this machine", target.Scheme+"://"+target.Host
		allowTarget(v.w, target)
	}
	return v.show(status, view{Title: "Sign in a program", Name: "consent", Main: "narrow", Body: c}, nil)
}

// lacking are the scopes that are asked for and not there to give. A pattern of which a part is there
// is not among them.
func lacking(asked []string, v *visit) []string {
	var out []string
	for _, s := range asked {
		if len(login.Intersect([]string{s}, v.session.scopes)) == 0 {
			out = append(out, s)
		}
	}
	return out
}

// clientForm is a client that somebody makes by hand.
type clientForm struct {
	Wish    login.Wish
	Below   string // its id begins with this
	Scopes  string // one a line
	Problem string
}

func (u *UI) showClientForm(v *visit, status int, w login.Wish, problem string) error {
	f := clientForm{Wish: w, Below: login.Below(v.session.clientID), Scopes: strings.Join(w.Scopes, "\n"), Problem: problem}
	return v.show(status, view{Title: "Create a client", Name: "client", Main: "narrow", Body: f}, nil)
}

// handed is what somebody has to carry to a program by hand.
type handed struct {
	ClientID, Token, Code string
	Expires               time.Time
}

func (u *UI) clientDecision(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxConsentForm)
	if err := v.post(); err != nil {
		return err
	}
	if !v.signedIn() {
		return nil
	}
	f := v.r.PostForm
	w := login.ParseWish(f)
	byHand := f.Has("scopes_text")
	if byHand {
		w.Scopes = lines(f.Get("scopes_text"))
		if w.Callback != "" || w.ShowCode {
			return fault.New(fault.Invalid, "The form is damaged; load the page again.")
		}
	}
	if f.Get("decision") == "deny" {
		return u.denied(v, w)
	}
	ticked := f["approve"]
	if byHand {
		ticked = w.Scopes
		if missing := lacking(w.Scopes, v); len(missing) > 0 {
			return u.showClientForm(v, http.StatusForbidden, w, "You do not have these scopes, so you cannot give them: "+strings.Join(missing, ", "))
		}
	}
	asked, err := u.deps.Login.Approve(v.r.Context(), v.session.holder, w, ticked)
	if err == nil {
		err = u.handOver(v, w, asked)
	}
	if kind := fault.KindOf(err); byHand && (kind == fault.Invalid || kind == fault.Conflict || kind == fault.Forbidden) {
		return u.showClientForm(v, statusOf(err), w, fault.Message(err))
	}
	return err
}

// lines are the words of a text, one a line.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// denied tells the program, where that is safe: the field's own takes any call for credentials.
func (u *UI) denied(v *visit, w login.Wish) error {
	if err := w.Check(); err != nil {
		return err
	}
	if w.Callback != "" && w.Challenge != "" {
		return u.callBack(v, w, url.Values{"error": {"access_denied"}})
	}
	return v.redirect("/profile")
}

// handOver gives the program what was approved: the credentials themselves, as the field's does it, or
// a code that is worth something to that program only.
func (u *UI) handOver(v *visit, w login.Wish, asked login.Asked) error {
	ctx, l, holder := v.r.Context(), u.deps.Login, v.session.holder
	if w.Challenge != "" {
		code, err := l.CLICode(ctx, holder, w, asked)
		if err != nil {
			return err
		}
		if w.ShowCode {
			return u.show(v, handed{ClientID: asked.ClientID, Code: code, Expires: asked.Expires})
		}
		return u.callBack(v, w, url.Values{"code": {code}})
	}
	token, err := l.Make(ctx, holder, asked)
	if err != nil {
		return err
	}
	u.log.InfoContext(ctx, "somebody made a client", "clientId", v.session.clientID, "made", asked.ClientID, "scopes", len(asked.Scopes))
	if w.Callback == "" {
		return u.show(v, handed{ClientID: asked.ClientID, Token: token, Expires: asked.Expires})
	}
	return u.callBack(v, w, url.Values{"clientId": {asked.ClientID}, "accessToken": {token}})
}

func (u *UI) show(v *visit, h handed) error {
	return v.show(http.StatusOK, view{Title: "Done", Name: "handed", Main: "narrow", Body: h}, nil)
}

// callBack sends the browser to the program on its machine.
func (u *UI) callBack(v *visit, w login.Wish, answer url.Values) error {
	target, err := login.Loopback(w.Callback)
	if err != nil {
		return err
	}
	q := target.Query()
	for name, values := range answer {
		q[name] = values
	}
	if w.State != "" {
		q.Set("state", w.State)
	}
	target.RawQuery = q.Encode()
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	return v.redirect(target.String())
}

// siteAsks is where another site sends people (taskcluster-map 15.3).
func (u *UI) siteAsks(v *visit) error {
	r, err := u.deps.Login.ParseRequest(v.r.URL.Query())
	if err != nil {
		return u.refuse(v, err)
	}
	if !v.signedIn() {
		return nil
	}
	if r.Site.Whitelisted {
		return u.grant(v, r, nil)
	}
	return v.redirect("/third-party?" + r.Query().Encode())
}

// refuse tells the site what it did wrong, if it can be trusted to be the site.
func (u *UI) refuse(v *visit, err error) error {
	if refusal, ok := errors.AsType[*login.Refusal](err); ok {
		u.log.InfoContext(v.r.Context(), "a site's request was refused", "site", v.r.FormValue("client_id"), "error", refusal)
		return v.redirect(refusal.To)
	}
	return err
}

func (u *UI) grant(v *visit, r login.Request, ticked []string) error {
	to, err := u.deps.Login.Grant(v.r.Context(), v.session.holder, r, ticked)
	if err != nil {
		return err
	}
	u.log.InfoContext(v.r.Context(), "somebody let a site in", "clientId", v.session.clientID, "site", r.Site.ClientID)
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	return v.redirect(to)
}

// sitePage asks whether another site may have what it asks for.
func (u *UI) sitePage(v *visit) error {
	r, err := u.deps.Login.ParseRequest(v.r.URL.Query())
	if err != nil {
		return u.refuse(v, err)
	}
	if !v.signedIn() {
		return nil
	}
	offer, err := u.deps.Login.SiteOffer(v.r.Context(), v.session.holder, r)
	if err != nil {
		return err
	}
	target, err := url.Parse(r.RedirectURI)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The address of the site cannot be read.")
	}
	allowTarget(v.w, target)
	id, _ := strings.CutSuffix(offer.ClientID, offer.ClientID[strings.LastIndex(offer.ClientID, "-"):])
	c := consent{
		Asker: r.Site.Title, Address: target.Scheme + "://" + target.Host, ClientID: id + "-…", Expires: offer.Expires,
		Areas: login.InWords(offer.Scopes), Lacking: lacking(r.Scopes, v), Action: "/login/oauth/authorize/decision", Fields: fieldsOf(r.Query()),
	}
	return v.show(http.StatusOK, view{Title: "Let a site in", Name: "consent", Main: "narrow", Body: c}, nil)
}

func (u *UI) siteDecision(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxConsentForm)
	if err := v.post(); err != nil {
		return err
	}
	r, err := u.deps.Login.ParseRequest(v.r.PostForm)
	if err != nil {
		return u.refuse(v, err)
	}
	if !v.signedIn() {
		return nil
	}
	if v.r.PostFormValue("decision") != "allow" {
		return v.redirect(r.Deny())
	}
	return u.grant(v, r, append([]string{}, v.r.PostForm["approve"]...))
}
