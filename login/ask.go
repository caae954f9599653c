package login

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Asked is the client that somebody consented to. It is made when it is fetched, under the rights that
// the holder has then.
type Asked struct {
	ClientID    string    `json:"clientId"`
	Description string    `json:"description"`
	Scopes      []string  `json:"scopes"`
	Expires     time.Time `json:"expires"`
}

// Wish is what a program asks for by the address /auth/clients/create, which the field's command line
// opens (taskcluster-map 15.3), or what a form of ours says.
type Wish struct {
	Name        string
	Description string
	Expires     string // a span, such as "1d"
	Scopes      []string
	Callback    string // where the browser takes the credentials, or a code; "" shows them
	Challenge   string // of PKCE (S256): what is given is a code that only who began can redeem
	State       string // comes back with the code
	ShowCode    bool   // the code is shown, for a program on another machine
}

const (
	maxScopes   = 1000
	maxWish     = 64 << 10 // characters in all scopes
	maxName     = 200
	defaultSpan = "1d"
)

// ParseWish reads the query of the address.
func ParseWish(q url.Values) Wish {
	w := Wish{
		Name: q.Get("name"), Description: q.Get("description"), Expires: q.Get("expires"), Callback: q.Get("callback_url"),
		Challenge: q.Get("code_challenge"), State: q.Get("state"), ShowCode: q.Get("show_code") == "1",
	}
	// With their libraries' spellings of lists.
	for _, key := range []string{"scope", "scope[]", "scopes"} {
		w.Scopes = append(w.Scopes, q[key]...)
	}
	if w.Expires == "" {
		w.Expires = defaultSpan
	}
	return w
}

var (
	wishName  = regexp.MustCompile(`^[A-Za-z0-9!@:.+|_-][A-Za-z0-9!@/:.+|_-]*$`)
	challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// Check reports what is wrong with a wish before anybody is asked about it.
func (w Wish) Check() error {
	if !wishName.MatchString(w.Name) || len(w.Name) > maxName {
		return fault.New(fault.Invalid, "A client needs a name of letters, digits and any of !@/:.+|_- and not %.40q.", w.Name)
	}
	if w.Callback != "" {
		if _, err := Loopback(w.Callback); err != nil {
			return err
		}
	}
	if w.Challenge != "" && !challenge.MatchString(w.Challenge) {
		return fault.New(fault.Invalid, "code_challenge must be the base64url form of a SHA-256.")
	}
	if w.ShowCode && (w.Challenge == "" || w.Callback != "") {
		return fault.New(fault.Invalid, "A code is shown only with a code_challenge, and without a callback_url.")
	}
	if w.Challenge != "" && !w.ShowCode && w.Callback == "" {
		return fault.New(fault.Invalid, "A code_challenge needs a callback_url or show_code=1.")
	}
	if len(w.Description) > 5000 {
		return fault.New(fault.Invalid, "The description has more than 5000 characters.")
	}
	if _, err := ParseSpan(w.Expires); err != nil {
		return err
	}
	return checkScopes(w.Scopes)
}

func checkScopes(scopes []string) error {
	size := 0
	for _, s := range scopes {
		if size += len(s); !validScope(s) {
			return fault.New(fault.Invalid, "%.60q is no scope.", s)
		}
	}
	if len(scopes) > maxScopes || size > maxWish {
		return fault.New(fault.Invalid, "These are too many scopes; at most %d, of %d characters together.", maxScopes, maxWish)
	}
	return nil
}

// Loopback returns the address of a program on the machine of the browser; any other is refused, as
// credentials must not leave it (taskcluster-map 15.3).
func Loopback(callback string) (*url.URL, error) {
	u, err := url.Parse(callback)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !loopback(u.Hostname()) || u.User != nil || u.Fragment != "" ||
		strings.ContainsAny(callback, "\\\r\n\t") {
		return nil, fault.New(fault.Invalid, "The callback_url %.100q is not allowed: only an address of this machine is, such as http://localhost:1234.", callback)
	}
	return u, nil
}

// Below returns the id that clients of a holder begin with. Ids of clients that come from the
// configuration cannot be continued, so these get a prefix.
func Below(holder string) string {
	if rest, ok := strings.CutPrefix(holder, "static/"); ok {
		return "of-static/" + rest + "/"
	}
	return holder + "/"
}

// Offer is what a holder can give of what a program wants: a list to choose from.
type Offer struct {
	ClientID string
	Expires  time.Time
	Scopes   []string
}

// Offer says what the holder could give of a wish. Scopes that the holder lacks are left out.
func (l *Login) Offer(ctx context.Context, h Holder, w Wish) (Offer, error) {
	if err := w.Check(); err != nil {
		return Offer{}, err
	}
	caller, err := l.Caller(ctx, h)
	if err != nil {
		return Offer{}, err
	}
	span, err := ParseSpan(w.Expires)
	if err != nil {
		return Offer{}, err
	}
	own, err := l.Beyond(ctx, Intersect(w.Scopes, caller.Scopes))
	if err != nil {
		return Offer{}, err
	}
	o := Offer{ClientID: Below(h.ClientID) + w.Name, Expires: time.Now().Add(span).UTC().Truncate(time.Second), Scopes: own}
	return o, mayMake(caller, o.ClientID, nil)
}

// Beyond returns the scopes that not everybody has.
func (l *Login) Beyond(ctx context.Context, scopes []string) ([]string, error) {
	everybody, err := l.deps.Auth.AnonymousCaller(ctx)
	if err != nil {
		return nil, fmt.Errorf("login: what everybody may: %w", err)
	}
	public := scope.NewSet(everybody.Scopes)
	return slices.DeleteFunc(slices.Clone(scopes), public.Has), nil
}

// mayMake reports whether a caller may make a client with these scopes.
func mayMake(caller auth.Caller, clientID string, scopes []string) error {
	if strings.HasPrefix(clientID, "task-client/") {
		return forbidden("A task cannot make clients.")
	}
	return scope.Check(caller.ClientID, false, caller.Scopes, scope.AllOf(scope.String("auth:create-client:"+clientID), scope.Strings(scopes...)))
}

// Approve makes what was asked of a wish and of the scopes that the holder has left ticked.
func (l *Login) Approve(ctx context.Context, h Holder, w Wish, ticked []string) (Asked, error) {
	o, err := l.Offer(ctx, h, w)
	if err != nil {
		return Asked{}, err
	}
	scopes, err := l.kept(ctx, o.Scopes, ticked)
	return Asked{ClientID: o.ClientID, Description: w.Description, Expires: o.Expires, Scopes: scopes}, err
}

// kept returns the offered scopes that are ticked. A role is not among them when it would give what is
// not ticked.
func (l *Login) kept(ctx context.Context, offered, ticked []string) ([]string, error) {
	out, denied := []string{}, []string{}
	for _, s := range offered {
		if slices.Contains(ticked, s) {
			out = append(out, s)
		} else {
			denied = append(denied, s)
		}
	}
	if len(denied) == 0 {
		return out, nil
	}
	var failed error
	out = slices.DeleteFunc(out, func(s string) bool {
		all, err := l.deps.Auth.Expand(ctx, []string{s})
		if err != nil {
			failed = fmt.Errorf("login: what %s gives: %w", s, err)
		}
		gives := scope.NewSet(all)
		return slices.ContainsFunc(denied, gives.Has)
	})
	return out, failed
}

// Make creates a client under the rights that its holder has at this moment, and returns its token.
func (l *Login) Make(ctx context.Context, h Holder, a Asked) (token string, err error) {
	caller, err := l.Caller(ctx, h)
	if err != nil {
		return "", err
	}
	scopes := Intersect(a.Scopes, caller.Scopes)
	if err := mayMake(caller, a.ClientID, scopes); err != nil {
		return "", err
	}
	_, token, err = l.deps.Auth.CreateClient(ctx, h.ClientID, a.ClientID, auth.ClientInput{
		Description: a.Description, Expires: a.Expires, DeleteOnExpiration: true, Scopes: scopes,
	})
	if err != nil {
		return "", fmt.Errorf("login: make %s: %w", a.ClientID, err)
	}
	return token, nil
}

// suffix tells clients of one site apart.
func suffix() string { return slug.New()[:6] }
