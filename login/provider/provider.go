// Package provider knows the places where people prove who they are: OpenID Connect providers,
// GitHub, and, for development only, a fixed person. Each turns a sign-in there into an identity and
// roles in the forms of the field (taskcluster-map 15.2), and tells later whether both still hold.
//
// A provider keeps no state of a sign-in: what must return unchanged travels in a Flow, which the room
// above binds to the browser. Errors carry a fault.Kind and hold no secrets.
package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// ErrGone says that a provider has taken back its word: the person is no longer there, has been
// blocked, or has withdrawn the permission. Errors of Renew wrap it.
var ErrGone = errors.New("the provider does not vouch for this person any more")

// Person is who somebody is by a provider's word.
type Person struct {
	Subject  string // the provider's own name, which never changes and is never given to another
	Identity string // as a client id: provider/subject|readable
	Name     string // for people
	Roles    []string
	Grant    []byte // a secret with which the provider is asked again; nil when it cannot be
	// Proved is when the person showed the provider who they are, where it says so; zero: not known.
	Proved time.Time
}

// Flow is what one sign-in holds from its beginning to its end.
type Flow struct {
	State    string // returns with the browser
	Nonce    string // returns in the ID token
	Verifier string // PKCE: proves to the provider that who began asks for the token
	Callback string // where the provider sends the browser
	// Again has the provider ask the person anew, whoever is signed in there, as far as it knows how to.
	Again bool
}

// Provider vouches for people.
type Provider interface {
	// Begin returns the address to send the browser to.
	Begin(ctx context.Context, f Flow) (string, error)
	// Finish tells who came back with these parameters.
	Finish(ctx context.Context, f Flow, q url.Values) (Person, error)
	// Renew asks again about a person with the grant of an earlier answer. An error that wraps ErrGone
	// is final; others mean that the provider could not be asked.
	Renew(ctx context.Context, grant []byte) (Person, error)
	// RolePrefixes begin all roles that it gives.
	RolePrefixes() []string
}

// patience is how long a provider may take for one answer.
const patience = 15 * time.Second

// maxAnswer is far more bytes than an answer of a provider has.
const maxAnswer = 1 << 20

// newClient returns the client for a provider's machine-to-machine calls. It follows no redirect: a
// token must not travel to a place that the configuration does not name.
func newClient() *http.Client {
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
