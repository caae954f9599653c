package shell

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), Statements...) }

func TestPassesBetweenServers(t *testing.T) {
	p := &Peers{Key: []byte(strings.Repeat("k", 32))}
	const path = "/shell/peer/a/0/socket"
	good, err := p.issue(path, Who{ClientID: "someone", Scopes: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	who, err := p.check(good, path)
	if err != nil || who.ClientID != "someone" || len(who.Scopes) > 0 {
		t.Errorf("%+v, %v", who, err)
	}
	old, err := json.Marshal(pass{path, Who{ClientID: "someone"}, time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(old)
	other := &Peers{Key: []byte(strings.Repeat("o", 32))}
	for name, c := range map[string]struct {
		peers      *Peers
		pass, path string
	}{
		"none":               {p, "", path},
		"for another path":   {p, good, "/shell/peer/b/0/socket"},
		"of another key":     {other, good, path},
		"too old":            {p, text + "." + p.sign(text), path},
		"changed on its way": {p, "x" + good, path},
		"without signature":  {p, strings.Split(good, ".")[0], path},
	} {
		if _, err := c.peers.check(c.pass, c.path); !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOffersAreKnownToAllServers(t *testing.T) {
	ctx := t.Context()
	p := &Peers{Pool: pgtest.DB(t), Address: "http://10.0.0.1:80"}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetPathValue("task", "a")
	r.SetPathValue("run", "0")
	found := func(want string) {
		t.Helper()
		if got, err := p.find(ctx, "a", "0"); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	found("")
	must(p.note(ctx, r, "one"))
	found("http://10.0.0.1:80")
	next := &Peers{Pool: p.Pool, Address: "http://10.0.0.2:80"}
	must(next.note(ctx, r, "two")) // the worker has come again, to another server
	must(p.forget(ctx, r, "one"))
	found("http://10.0.0.2:80")
	_, err := p.Pool.Exec(ctx, "UPDATE shell_offers SET seen = now() - interval '5 minutes'")
	must(err)
	found("") // its server has gone without a word
	must(next.note(ctx, r, "two"))
	must(next.forget(ctx, r, "two"))
	found("")
}

func TestServersThatCannotBeReached(t *testing.T) {
	for address, key := range map[string]string{"10.0.0.1:80": strings.Repeat("k", 32), "http://10.0.0.1": "short", "ftp://x": strings.Repeat("k", 32)} {
		if err := (&Hub{}).Among(Peers{Address: address, Key: []byte(key)}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
