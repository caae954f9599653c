package authapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
)

// TestStaticClientsStayAsConfigured asks for each change of a client that the configuration made.
func TestStaticClientsStayAsConfigured(t *testing.T) {
	b := serve(t)
	body := object{"expires": tomorrow(), "description": "", "scopes": []string{}}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"PUT", "", body}, {"POST", "", body}, {"POST", "/reset", nil}, {"POST", "/enable", nil}, {"POST", "/disable", nil}, {"DELETE", "", nil},
	} {
		for _, id := range []string{"static%2Ftest%2Froot", "static%2Fnone"} {
			if got := b.want(400, root, c.method, "/clients/"+id+c.path, c.body); got["code"] != "InputError" {
				t.Errorf("%s %s%s: %v", c.method, id, c.path, got)
			}
		}
	}
	if got := b.want(200, root, "GET", "/clients/static%2Ftest%2Froot", nil); got["disabled"] != false || got["expandedScopes"].([]any)[0] != "*" {
		t.Errorf("%v", got)
	}
}

// TestScopesThatMayBeGiven walks through who may give what: a client's scopes are compared as texts,
// a role's with what it expanded to before.
func TestScopesThatMayBeGiven(t *testing.T) {
	b := serve(t)
	for id, scopes := range map[string][]string{"team": {"deploy:*", "assume:base"}, "base": {"read:*"}} {
		if err := b.auth.EnsureRole(t.Context(), id, scopes, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.client("worker", "read:*", "assume:team")
	editor := b.client("editor", "auth:*", "own:*", "assume:base")
	client := func(scopes ...string) object {
		return object{"expires": tomorrow(), "description": "", "scopes": scopes}
	}
	role := func(scopes ...string) object { return object{"description": "", "scopes": scopes} }
	for _, c := range []struct {
		name, method, path string
		body               object
		status             int
	}{
		{"what one holds by a role may be given", "PUT", "/clients/a", client("own:1", "read:x"), 200},
		{"a role one has may be given", "PUT", "/clients/b", client("assume:base"), 200},
		{"a role one has not may not", "PUT", "/clients/c", client("assume:team"), 403},
		{"nor a star over what one holds in part", "PUT", "/clients/c", client("own*"), 403},
		{"nothing is asked of who gives nothing", "PUT", "/clients/c", object{"expires": tomorrow(), "description": ""}, 200},
		{"what a client has may stay, and be given up", "POST", "/clients/worker", client("assume:team"), 200},
		{"what it has by a role is not listed: that is an addition", "POST", "/clients/worker", client("assume:team", "deploy:1"), 403},
		{"what it gave up is an addition, fine for who holds it", "POST", "/clients/worker", client("assume:team", "read:*"), 200},
		{"what a role has may stay", "POST", "/roles/team", role("deploy:*"), 200},
		{"what a pattern of it covered may be listed", "POST", "/roles/team", role("deploy:1", "own:2"), 200},
		{"what it gave up is an addition", "POST", "/roles/team", role("deploy:2"), 403},
		{"a new role needs all", "PUT", "/roles/mine", role("own:1", "deploy:1"), 403},
		{"a new role of one's own scopes", "PUT", "/roles/mine", role("own:1", "assume:base"), 200},
		{"two stars at the end mean nothing", "PUT", "/clients/d", client("own:**"), 400},
		{"nor in a role", "PUT", "/roles/d", role("own:**"), 400},
		{"a parameter twice in a scope", "PUT", "/roles/d*", role("own:<..>:<..>"), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			bench{t, b.auth, b.url}.want(c.status, editor, c.method, c.path, c.body)
		})
	}
}

// TestAuthorizedScopesOverHTTP limits a request to some of what its credentials hold.
func TestAuthorizedScopesOverHTTP(t *testing.T) {
	b := serve(t)
	for id, scopes := range map[string][]string{"anonymous": {"auth:current-scopes"}, "dev:*": {"dev:<..>:*"}} {
		if err := b.auth.EnsureRole(t.Context(), id, scopes, ""); err != nil {
			t.Fatal(err)
		}
	}
	ann := b.client("ann", "assume:dev:ann", "x:*")
	everybody := []any{"assume:anonymous", "auth:current-scopes"}
	for _, c := range []struct {
		name       string
		authorized []string
		status     int
		scopes     []any
	}{
		{"to one", []string{"x:1"}, 200, append(everybody[:2:2], "x:1")},
		{"to none: what everybody may do remains", []string{}, 200, everybody},
		{"to a role, which is expanded", []string{"assume:dev:ann"}, 200, []any{"assume:anonymous", "assume:dev:ann", "auth:current-scopes", "dev:ann:*"}},
		{"to what a role gives", []string{"dev:ann:7"}, 200, append(everybody[:2:2], "dev:ann:7")},
		{"to what is not held", []string{"y"}, 401, nil},
		{"to a star over what is held", []string{"x*"}, 401, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			limited := ann
			limited.AuthorizedScopes = c.authorized
			got := bench{t, b.auth, b.url}.want(c.status, limited, "GET", "/scopes/current", nil)
			if c.status != 200 {
				return
			}
			if diff := cmp.Diff(c.scopes, got["scopes"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAuthenticateHawkTakes checks what authenticateHawk is asked for, and that it answers 200 to all
// that it understands.
func TestAuthenticateHawkTakes(t *testing.T) {
	b := serve(t)
	one := b.client("one", "a")
	signed, err := hawk.SignURL(one, "https://tc.example/x?y=1", time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	bewit := strings.TrimPrefix(signed, "https://tc.example")
	for _, c := range []struct {
		name, status string
		code         int
		change       object
	}{
		{"no credentials", "no-auth", 200, nil},
		{"a bewit", "auth-success", 200, object{"resource": bewit}},
		{"a bewit with HEAD", "auth-success", 200, object{"resource": bewit, "method": "head"}},
		{"a bewit with POST", "auth-failed", 200, object{"resource": bewit, "method": "post"}},
		{"a bewit of another host", "auth-failed", 200, object{"resource": bewit, "host": "evil.example"}},
		{"a bewit and a header", "auth-failed", 200, object{"resource": bewit, "authorization": "Hawk x"}},
		{"a header of another scheme", "auth-failed", 200, object{"authorization": "Bearer x"}},
		{"a header of Hawk with nothing in it", "auth-failed", 200, object{"authorization": "Hawk"}},
		{"the address of who called", "no-auth", 200, object{"sourceIp": "2001:db8::1"}},
		{"the greatest port", "no-auth", 200, object{"port": 65535}},
		{"a port too many", "", 400, object{"port": 65536}},
		{"a port that is a text", "", 400, object{"port": "443"}},
		{"a method in capitals", "", 400, object{"method": "GET"}},
		{"a method that does not exist", "", 400, object{"method": "steal"}},
		{"something else", "", 400, object{"more": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := object{"method": "get", "resource": "/x", "host": "tc.example", "port": 443}
			for name, value := range c.change {
				request[name] = value
			}
			got := bench{t, b.auth, b.url}.want(c.code, hawk.Credentials{}, "POST", "/authenticate-hawk", request)
			if c.status != "" && got["status"] != c.status {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestExpansionHasALimit asks for what roles would expand without end, nearly: the server says no.
func TestExpansionHasALimit(t *testing.T) {
	b := serve(t)
	for i := range 20 {
		id := string(rune('a' + i))
		next := string(rune('a' + i + 1))
		if err := b.auth.EnsureRole(t.Context(), id+"-*", []string{"assume:" + next + "-<..>0", "assume:" + next + "-<..>1"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	got := b.want(400, root, "POST", "/scopes/expand", object{"scopes": []string{"assume:a-x"}})
	if got["code"] != "InputError" || !strings.Contains(got["message"].(string), "simplify") {
		t.Errorf("%v", got)
	}
	b.want(200, root, "POST", "/scopes/expand", object{"scopes": []string{"assume:n-x"}})
	b.want(400, root, "POST", "/scopes/expand", object{"scopes": []string{"ä"}})
	b.want(400, root, "POST", "/scopes/expand", object{"scopes": "a"})
}

// TestTryingOutWithLimits is what client libraries check of their temporary credentials and
// authorizedScopes (taskcluster-map 4.10).
func TestTryingOutWithLimits(t *testing.T) {
	b := serve(t)
	tester := hawk.Credentials{ClientID: "tester", AccessToken: "no-secret"}
	temporary := func(name string, scopes ...string) hawk.Credentials {
		t.Helper()
		c, err := hawk.CreateTemporary(tester, hawk.TempOptions{ClientID: name, Scopes: scopes, Start: time.Now(), Expiry: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	limited := func(c hawk.Credentials, scopes ...string) hawk.Credentials {
		c.AuthorizedScopes = scopes
		return c
	}
	for _, c := range []struct {
		name     string
		who      hawk.Credentials
		required string
		status   int
		clientID string
	}{
		{"limited to what is asked", limited(tester, "test:a"), "test:a", 200, "tester"},
		{"limited to something else", limited(tester, "test:b"), "test:a", 403, ""},
		{"limited beyond what is held", limited(tester, "other"), "test:a", 401, ""},
		{"unnamed temporary credentials", temporary("", "test:a"), "test:a", 200, "tester"},
		{"with less than is asked", temporary("", "test:b"), "test:a", 403, ""},
		{"with more than the issuer holds", temporary("", "other"), "test:a", 401, ""},
		{"named ones", temporary("try/one", "test:*"), "test:a", 200, "try/one"},
		{"with a name that may not be given", temporary("else/one", "test:*"), "test:a", 401, ""},
		{"named ones, limited", limited(temporary("try/one", "test:*"), "test:a"), "test:a", 200, "try/one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := object{"clientScopes": []string{"test:*", "auth:create-client:try/*"}, "requiredScopes": []string{c.required}}
			got := bench{t, b.auth, b.url}.want(c.status, c.who, "POST", "/test-authenticate", body)
			if c.status == 200 && got["clientId"] != c.clientID {
				t.Errorf("%v", got)
			}
		})
	}
}
