package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

// lone is a directory with one client.
type lone struct{ *clientCopy }

func (l lone) used(context.Context, *clientCopy, bool) {}

func (l lone) find(_ context.Context, id string) (*clientCopy, error) {
	if id != l.ID {
		return nil, fault.New(fault.Unauthenticated, "Client ID %s does not exist.", id)
	}
	return l.clientCopy, nil
}

// known returns a way to authenticate that knows one client and some roles, and needs no database.
func known(at time.Time) (func(context.Context, web.AuthRequest) (web.AuthResult, error), hawk.Credentials) {
	ann := hawk.Credentials{ClientID: "ann", AccessToken: strings.Repeat("a", 44)}
	a := &Auth{log: slog.New(slog.DiscardHandler), now: func() time.Time { return at }}
	a.copies = copies{
		checked: time.Now().Add(time.Hour), // the roles are not asked for
		clients: map[string]*clientCopy{},
		roles: &rolesCopy{memo: map[string][]string{}, Resolver: newResolver([]Role{
			{ID: "anonymous", Scopes: []string{"public:*"}}, {ID: "dev:*", Scopes: []string{"dev:<..>:*"}},
		})},
	}
	clients := lone{&clientCopy{token: ann.AccessToken, Client: Client{
		ID: "ann", Scopes: []string{"x:*", "assume:dev:ann", "auth:create-client:ann/*"}, Expires: at.Add(time.Hour), LastUsed: at,
	}}}
	return func(ctx context.Context, r web.AuthRequest) (web.AuthResult, error) {
		return a.authenticate(ctx, r, clients)
	}, ann
}

// FuzzAuthenticate sends headers and addresses that nobody signed: whatever they are, they are not
// taken for credentials, and do no harm.
func FuzzAuthenticate(f *testing.F) {
	at := time.Unix(1_800_000_000, 0)
	authenticate, ann := known(at)
	other := ann
	other.AccessToken = strings.Repeat("b", 44)
	header, err := hawk.Header(other, "GET", "http://tc:80/x", at, "nonce", "", "")
	if err != nil {
		f.Fatal(err)
	}
	signed, err := hawk.SignURL(other, "http://tc:80/x?y=1", at.Add(time.Minute))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("GET", header, "/x", "tc", 80)
	f.Add("GET", "", strings.TrimPrefix(signed, "http://tc:80"), "tc", 80)
	f.Add("HEAD", "", "/x?bewit=YW5uXDE4MDAwMDAwNjBcbVw", "tc", 443)
	f.Add("POST", `Hawk id="ann", ts="1800000000", nonce="n", mac="bQ==", ext="e30=", hash="h"`, "/", "", 0)
	f.Fuzz(func(t *testing.T, method, authorization, resource, host string, port int) {
		got, err := authenticate(t.Context(), web.AuthRequest{Method: method, Resource: resource, Host: host, Port: port, Authorization: authorization})
		switch {
		case err != nil && !errors.Is(err, fault.Unauthenticated):
			t.Fatal(err)
		case err == nil && (!got.Anonymous() || authorization != "" || hawk.HasBewit(resource)):
			t.Fatalf("%q for %q is taken for the credentials of %q", authorization, resource, got.ClientID)
		}
	})
}

// FuzzNoEscalation lets somebody with temporary credentials write what they like into the part of a
// request that carries the certificate, sign it with the token they have, and looks for power that
// they were not given.
func FuzzNoEscalation(f *testing.F) {
	at := time.Unix(1_800_000_000, 0)
	authenticate, ann := known(at)
	var given []hawk.Credentials
	for _, name := range []string{"", "ann/ci"} {
		c, err := hawk.CreateTemporary(ann, hawk.TempOptions{ClientID: name, Scopes: []string{"x:1", "x:2"}, Start: at, Expiry: at.Add(time.Minute)})
		if err != nil {
			f.Fatal(err)
		}
		given = append(given, c)
		for _, limited := range [][]string{nil, {"x:1"}, {"x:*"}, {"public:*", "assume:dev:ann"}} {
			c.AuthorizedScopes = limited
			ext, err := hawk.Ext(c)
			if err != nil {
				f.Fatal(err)
			}
			text, err := base64.StdEncoding.DecodeString(ext)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(c.ClientID, text, name != "")
			f.Add("ann", text, name != "")
			f.Add("ann/other", slices.Clone(text), name != "")
		}
	}
	allowed := scope.NewSet([]string{"x:1", "x:2", "public:*", "assume:anonymous"})
	f.Fuzz(func(t *testing.T, id string, ext []byte, named bool) {
		mine := given[0]
		if named {
			mine = given[1]
		}
		attempt := hawk.Credentials{ClientID: id, AccessToken: mine.AccessToken}
		header, err := hawk.Header(attempt, "GET", "http://tc:80/x", at, "nonce", base64.StdEncoding.EncodeToString(ext), "")
		if err != nil {
			return // not even a client of ours can send this
		}
		got, err := authenticate(t.Context(), web.AuthRequest{Method: "GET", Resource: "/x", Host: "tc", Port: 80, Authorization: header})
		if err != nil {
			if !errors.Is(err, fault.Unauthenticated) {
				t.Fatal(err)
			}
			return
		}
		if got.ClientID != mine.ClientID || !allowed.Satisfies(scope.Strings(got.Scopes...)) {
			t.Fatalf("%s became %s with %q by %s", mine.ClientID, got.ClientID, got.Scopes, ext)
		}
	})
}

// TestEscalationWouldBeSeen holds the fuzz test above to its purpose: what it looks for would be found.
func TestEscalationWouldBeSeen(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	authenticate, ann := known(at)
	c, err := hawk.CreateTemporary(ann, hawk.TempOptions{ClientID: "ann/ci", Scopes: []string{"x:*"}, Start: at, Expiry: at.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	ext, err := hawk.Ext(c)
	if err != nil {
		t.Fatal(err)
	}
	header, err := hawk.Header(c, "GET", "http://tc:80/x", at, "nonce", ext, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := authenticate(t.Context(), web.AuthRequest{Method: "GET", Resource: "/x", Host: "tc", Port: 80, Authorization: header})
	if err != nil || got.ClientID != "ann/ci" || !scope.Satisfies(got.Scopes, scope.Strings("x:3", "public:y")) {
		t.Errorf("%+v, %v", got, err)
	}
}
