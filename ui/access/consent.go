package access

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/page"
)

// consent is what somebody is asked: whether a program may have a part of their rights.
type consent struct {
	Asker    string // in words
	Address  string // where the answer goes, for the eye
	ClientID string
	About    string // what the program says it is for
	Expires  time.Time
	Areas    []login.Area
	Lacking  []string     // asked for and not there to give
	Action   string       // of the form
	Fields   []page.Field // of the form, hidden
	Problem  string
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
func (ps *Pages) clientPage(v *page.Visit) error {
	w := login.ParseWish(v.R.URL.Query())
	if !v.SignedIn() {
		return nil
	}
	if w.Callback == "" && !w.ShowCode {
		return ps.showClientForm(v, http.StatusOK, w, "")
	}
	return ps.askFor(v, http.StatusOK, w, "")
}

func (ps *Pages) askFor(v *page.Visit, status int, w login.Wish, problem string) error {
	offer, err := ps.Login.Offer(v.R.Context(), v.Session.Holder, w)
	if err != nil {
		return err
	}
	c := consent{
		Asker: "A program on another machine", ClientID: offer.ClientID, About: w.Description, Expires: offer.Expires, Areas: login.InWords(offer.Scopes),
		Action: "/auth/clients/create", Fields: page.FieldsOf(wishQuery(w)), Problem: problem, Lacking: lacking(w.Scopes, v),
	}
	if w.Callback != "" {
		target, err := login.Loopback(w.Callback)
		if err != nil {
			return err
		}
		c.Asker, c.Address = "A program on this machine", target.Scheme+"://"+target.Host
		allowTarget(v.W, target)
	}
	return v.Show(status, page.View{Title: "Sign in a program", Name: "consent", Main: "narrow", Body: c}, nil)
}

// lacking are the scopes that are asked for and not there to give. A pattern of which a part is there
// is not among them.
func lacking(asked []string, v *page.Visit) []string {
	var out []string
	for _, s := range asked {
		if len(login.Intersect([]string{s}, v.Session.Scopes)) == 0 {
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

func (ps *Pages) showClientForm(v *page.Visit, status int, w login.Wish, problem string) error {
	f := clientForm{Wish: w, Below: login.Below(v.Session.ClientID), Scopes: strings.Join(w.Scopes, "\n"), Problem: problem}
	return v.Show(status, page.View{Title: "Create a client", Name: "client", Main: "narrow", Body: f}, nil)
}

// handed is what somebody has to carry to a program by hand.
type handed struct {
	ClientID, Token, Code string
	Expires               time.Time
	Next                  string // page of the client; "" for the profile
}

func (ps *Pages) clientDecision(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxConsentForm)
	if err := v.Post(); err != nil {
		return err
	}
	if !v.SignedIn() {
		return nil
	}
	f := v.R.PostForm
	w := login.ParseWish(f)
	byHand := f.Has("scopes_text")
	if byHand {
		w.Scopes = lines(f.Get("scopes_text"))
		if w.Callback != "" || w.ShowCode {
			return fault.New(fault.Invalid, "The form is damaged; load the page again.")
		}
	}
	if f.Get("decision") == "deny" {
		return ps.denied(v, w)
	}
	if target, err := login.Loopback(w.Callback); err == nil && w.Callback != "" {
		allowTarget(v.W, target) // for the page that asks to sign in again
	}
	if err := v.Fresh(); err != nil {
		return err
	}
	ticked := f["approve"]
	if byHand {
		ticked = w.Scopes
		if missing := lacking(w.Scopes, v); len(missing) > 0 {
			return ps.showClientForm(v, http.StatusForbidden, w, "You do not have these scopes, so you cannot give them: "+strings.Join(missing, ", "))
		}
	}
	asked, err := ps.Login.Approve(v.R.Context(), v.Session.Holder, w, ticked)
	if err == nil {
		err = ps.handOver(v, w, asked)
	}
	if kind := fault.KindOf(err); byHand && (kind == fault.Invalid || kind == fault.Conflict || kind == fault.Forbidden) {
		return ps.showClientForm(v, page.StatusOf(err), w, fault.Message(err))
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
func (ps *Pages) denied(v *page.Visit, w login.Wish) error {
	if err := w.Check(); err != nil {
		return err
	}
	if w.Callback != "" && w.Challenge != "" {
		return ps.callBack(v, w, url.Values{"error": {"access_denied"}})
	}
	return v.Redirect("/profile")
}

// handOver gives the program what was approved: the credentials themselves, as the field's does it, or
// a code that is worth something to that program only.
func (ps *Pages) handOver(v *page.Visit, w login.Wish, asked login.Asked) error {
	ctx, l, holder := v.R.Context(), ps.Login, v.Session.Holder
	if w.Challenge != "" {
		code, err := l.CLICode(ctx, holder, w, asked)
		if err != nil {
			return err
		}
		if w.ShowCode {
			return ps.show(v, handed{ClientID: asked.ClientID, Code: code, Expires: asked.Expires})
		}
		return ps.callBack(v, w, url.Values{"code": {code}})
	}
	token, err := l.Make(ctx, holder, asked)
	if err != nil {
		return err
	}
	ps.Log.InfoContext(ctx, "somebody made a client", "clientId", v.Session.ClientID, "made", asked.ClientID, "scopes", len(asked.Scopes))
	if w.Callback == "" {
		return ps.show(v, handed{ClientID: asked.ClientID, Token: token, Expires: asked.Expires})
	}
	return ps.callBack(v, w, url.Values{"clientId": {asked.ClientID}, "accessToken": {token}})
}

func (ps *Pages) show(v *page.Visit, h handed) error {
	return v.Show(http.StatusOK, page.View{Title: "Done", Name: "handed", Main: "narrow", Body: h}, nil)
}

// callBack sends the browser to the program on its machine.
func (ps *Pages) callBack(v *page.Visit, w login.Wish, answer url.Values) error {
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
	v.W.Header().Set("Referrer-Policy", "no-referrer")
	return v.Redirect(target.String())
}

// siteAsks is where another site sends people (taskcluster-map 15.3).
func (ps *Pages) siteAsks(v *page.Visit) error {
	r, err := ps.Login.ParseRequest(v.R.URL.Query())
	if err != nil {
		return ps.refuse(v, err)
	}
	if !v.SignedIn() {
		return nil
	}
	if r.Site.Whitelisted {
		return ps.grant(v, r, nil)
	}
	return v.Redirect("/third-party?" + r.Query().Encode())
}

// refuse tells the site what it did wrong, if it can be trusted to be the site.
func (ps *Pages) refuse(v *page.Visit, err error) error {
	if refusal, ok := errors.AsType[*login.Refusal](err); ok {
		ps.Log.InfoContext(v.R.Context(), "a site's request was refused", "site", v.R.FormValue("client_id"), "error", refusal)
		return v.Redirect(refusal.To)
	}
	return err
}

func (ps *Pages) grant(v *page.Visit, r login.Request, ticked []string) error {
	if target, err := url.Parse(r.RedirectURI); err == nil {
		allowTarget(v.W, target) // for the page that asks to sign in again
	}
	if err := v.Fresh(); err != nil {
		return err
	}
	to, err := ps.Login.Grant(v.R.Context(), v.Session.Holder, r, ticked)
	if err != nil {
		return err
	}
	ps.Log.InfoContext(v.R.Context(), "somebody let a site in", "clientId", v.Session.ClientID, "site", r.Site.ClientID)
	v.W.Header().Set("Referrer-Policy", "no-referrer")
	return v.Redirect(to)
}

// sitePage asks whether another site may have what it asks for.
func (ps *Pages) sitePage(v *page.Visit) error {
	r, err := ps.Login.ParseRequest(v.R.URL.Query())
	if err != nil {
		return ps.refuse(v, err)
	}
	if !v.SignedIn() {
		return nil
	}
	offer, err := ps.Login.SiteOffer(v.R.Context(), v.Session.Holder, r)
	if err != nil {
		return err
	}
	target, err := url.Parse(r.RedirectURI)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The address of the site cannot be read.")
	}
	allowTarget(v.W, target)
	id, _ := strings.CutSuffix(offer.ClientID, offer.ClientID[strings.LastIndex(offer.ClientID, "-"):])
	c := consent{
		Asker: r.Site.Title, Address: target.Scheme + "://" + target.Host, ClientID: id + "-…", Expires: offer.Expires,
		Areas: login.InWords(offer.Scopes), Lacking: lacking(r.Scopes, v), Action: "/login/oauth/authorize/decision", Fields: page.FieldsOf(r.Query()),
	}
	return v.Show(http.StatusOK, page.View{Title: "Let a site in", Name: "consent", Main: "narrow", Body: c}, nil)
}

func (ps *Pages) siteDecision(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxConsentForm)
	if err := v.Post(); err != nil {
		return err
	}
	r, err := ps.Login.ParseRequest(v.R.PostForm)
	if err != nil {
		return ps.refuse(v, err)
	}
	if !v.SignedIn() {
		return nil
	}
	if v.R.PostFormValue("decision") != "allow" {
		return v.Redirect(r.Deny())
	}
	return ps.grant(v, r, append([]string{}, v.R.PostForm["approve"]...))
}
