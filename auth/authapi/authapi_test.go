package authapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
)

var root = hawk.Credentials{ClientID: "static/test/root", AccessToken: strings.Repeat("r", 44)}

// bench is a server with a real auth behind it.
type bench struct {
	*testing.T
	auth *auth.Auth
	url  string
}

func serve(t *testing.T, options ...authapi.Option) bench {
	t.Helper()
	a, err := auth.New(t.Context(), pgtest.DB(t), auth.Config{
		StaticClients: []auth.StaticClient{{ClientID: root.ClientID, AccessToken: root.AccessToken, Scopes: []string{"*"}}},
		Log:           slog.New(slog.DiscardHandler), EncryptionKey: []byte(strings.Repeat("k", 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := web.Mount([]web.Service{authapi.Service(a, options...)}, a, web.Options{RootURL: "http://tc", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return bench{t, a, server.URL + "/api/auth/v1"}
}

// client makes a client that holds scopes.
func (b bench) client(id string, scopes ...string) hawk.Credentials {
	b.Helper()
	_, token, err := b.auth.CreateClient(b.Context(), "test", id, auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: scopes})
	if err != nil {
		b.Fatal(err)
	}
	return hawk.Credentials{ClientID: id, AccessToken: token}
}

// call makes a request, signed when creds have an id, and returns its status and answer.
func (b bench) call(creds hawk.Credentials, method, path string, body any) (int, map[string]any) {
	b.Helper()
	var payload []byte
	hash := ""
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			b.Fatal(err)
		}
		hash = hawk.PayloadHash("application/json", payload)
	}
	req, err := http.NewRequestWithContext(b.Context(), method, b.url+path, bytes.NewReader(payload))
	if err != nil {
		b.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if creds.ClientID != "" {
		ext, err := hawk.Ext(creds)
		if err != nil {
			b.Fatal(err)
		}
		header, err := hawk.Header(creds, method, b.url+path, time.Now(), hawk.Nonce(), ext, hash)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", header)
	}
	return b.send(req)
}

func (b bench) send(req *http.Request) (int, map[string]any) {
	b.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var answer map[string]any
	if len(text) > 0 && json.Unmarshal(text, &answer) != nil {
		answer = map[string]any{"text": string(text)}
	}
	return resp.StatusCode, answer
}

func (b bench) want(status int, creds hawk.Credentials, method, path string, body any) map[string]any {
	b.Helper()
	got, answer := b.call(creds, method, path, body)
	if got != status {
		b.Fatalf("%s %s as %q: %d %v, want %d", method, path, creds.ClientID, got, answer, status)
	}
	return answer
}

type object = map[string]any

func tomorrow() string { return time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339) }

func TestClientsOverHTTP(t *testing.T) {
	b := serve(t)
	editor := b.client("editor", "auth:*", "a:*")
	body := object{"expires": tomorrow(), "description": "d", "scopes": []string{"a:1"}}

	made := b.want(200, editor, "PUT", "/clients/team%2Fone", body)
	one := hawk.Credentials{ClientID: "team/one", AccessToken: made["accessToken"].(string)}
	if len(one.AccessToken) != 44 {
		t.Errorf("token of %d characters", len(one.AccessToken))
	}
	b.want(409, editor, "PUT", "/clients/team%2Fone", body)
	b.want(403, editor, "PUT", "/clients/two", object{"expires": tomorrow(), "description": "", "scopes": []string{"b:1"}})
	b.want(400, editor, "PUT", "/clients/two", object{"description": "no expiry"})
	b.want(400, editor, "PUT", "/clients/static%2Ftwo", body)
	b.want(403, one, "GET", "/clients/team%2Fone", nil)

	if got := b.want(200, editor, "GET", "/clients/team%2Fone", nil); got["accessToken"] != nil || got["clientId"] != "team/one" {
		t.Errorf("client %v", got)
	}
	b.want(404, editor, "GET", "/clients/none", nil)
	b.want(200, editor, "POST", "/clients/team%2Fone", object{"expires": tomorrow(), "description": "e", "scopes": []string{"a:1", "a:2"}})
	b.want(403, editor, "POST", "/clients/team%2Fone", object{"expires": tomorrow(), "description": "e", "scopes": []string{"b"}})
	b.want(404, editor, "POST", "/clients/none", object{"expires": tomorrow(), "description": "e"})
	b.want(403, one, "POST", "/clients/none", object{"expires": tomorrow(), "description": "e"})

	b.want(200, editor, "POST", "/clients/team%2Fone/disable", nil)
	b.want(401, one, "GET", "/scopes/current", nil)
	b.want(200, editor, "POST", "/clients/team%2Fone/enable", nil)
	b.want(200, editor, "POST", "/clients/team%2Fone/reset", nil)
	b.want(401, one, "GET", "/scopes/current", nil)
	if got := b.want(200, editor, "GET", "/audit/client/team%2Fone", nil); len(got["auditHistory"].([]any)) != 5 {
		t.Errorf("history %v", got)
	}
	if got := b.want(200, root, "GET", "/clients/editor/audit?limit=2", nil); len(got["auditHistory"].([]any)) != 2 || got["continuationToken"] == nil {
		t.Errorf("history %v", got)
	}
	b.want(204, editor, "DELETE", "/clients/team%2Fone", nil)
	b.want(204, editor, "DELETE", "/clients/team%2Fone", nil)
}

// all follows continuation tokens and collects what key finds in the entries of a listing.
func (b bench) all(path, list string, key func(any) string) []string {
	b.Helper()
	var found []string
	for token := ""; ; {
		answer := b.want(200, root, "GET", path+token, nil)
		for _, entry := range answer[list].([]any) {
			found = append(found, key(entry))
		}
		next, ok := answer["continuationToken"].(string)
		if !ok {
			return found
		}
		token = "&continuationToken=" + url.QueryEscape(next)
	}
}

func TestListingsHavePages(t *testing.T) {
	b := serve(t)
	for _, id := range []string{"c", "a", "b", "a/1"} {
		b.client("p/" + id)
		if err := b.auth.EnsureRole(t.Context(), "r/"+id, []string{"x"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	name := func(field string) func(any) string {
		return func(entry any) string { return entry.(object)[field].(string) }
	}
	if diff := cmp.Diff([]string{"p/a", "p/a/1", "p/b", "p/c"}, b.all("/clients/?prefix=p/&limit=2", "clients", name("clientId"))); diff != "" {
		t.Error(diff)
	}
	roles := []string{"r/a", "r/a/1", "r/b", "r/c"}
	if diff := cmp.Diff(roles, b.all("/roles2/?limit=3", "roles", name("roleId"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(roles, b.all("/roleids/?limit=1", "roleIds", func(e any) string { return e.(string) })); diff != "" {
		t.Error(diff)
	}
	b.want(400, root, "GET", "/clients/?unknown=1", nil)
	b.want(200, root, "GET", "/roles/", nil)
}

func TestRolesOverHTTP(t *testing.T) {
	b := serve(t)
	editor := b.client("editor", "auth:*", "a:*", "assume:*")
	body := object{"description": "d", "scopes": []string{"a:<..>"}}
	b.want(200, editor, "PUT", "/roles/p%3A*", body)
	b.want(200, editor, "PUT", "/roles/p%3A*", body)
	b.want(409, editor, "PUT", "/roles/p%3A*", object{"description": "other", "scopes": []string{"a:<..>"}})
	b.want(403, editor, "PUT", "/roles/q", object{"description": "", "scopes": []string{"b"}})
	if got := b.want(400, editor, "PUT", "/roles/q", object{"description": "", "scopes": []string{"assume:q"}}); !strings.Contains(got["message"].(string), "assume:q -> assume:q") {
		t.Errorf("%v", got)
	}
	got := b.want(200, editor, "GET", "/roles/p%3A*", nil)
	if diff := cmp.Diff([]any{"a:*", "assume:p:*"}, got["expandedScopes"]); diff != "" {
		t.Error(diff)
	}
	b.want(200, editor, "POST", "/roles/p%3A*", object{"description": "d", "scopes": []string{"a:1", "a:<..>:x"}})
	b.want(403, editor, "POST", "/roles/p%3A*", object{"description": "d", "scopes": []string{"b"}})
	b.want(404, editor, "POST", "/roles/none", body)
	expanded := b.want(200, editor, "POST", "/scopes/expand", object{"scopes": []string{"assume:p:z", "a:1:2"}})
	if diff := cmp.Diff([]any{"a:1", "a:1:2", "a:z:x", "assume:p:z"}, expanded["scopes"]); diff != "" {
		t.Error(diff)
	}
	b.want(204, editor, "DELETE", "/roles/p%3A*", nil)
	b.want(404, editor, "GET", "/roles/p%3A*", nil)
}

func TestScopesAreNeeded(t *testing.T) {
	b := serve(t)
	nobody := b.client("nobody", "x")
	change := object{"expires": tomorrow(), "description": "", "scopes": []string{}}
	role := object{"description": "", "scopes": []string{}}
	for _, c := range []struct {
		method, path, scope string
		body                any
	}{
		{"GET", "/clients/", "auth:list-clients", nil}, {"GET", "/clients/a", "auth:get-client:a", nil}, {"PUT", "/clients/a", "auth:create-client:a", change},
		{"POST", "/clients/a", "auth:update-client:a", change}, {"POST", "/clients/a/reset", "auth:reset-access-token:a", nil},
		{"POST", "/clients/a/enable", "auth:enable-client:a", nil}, {"POST", "/clients/a/disable", "auth:disable-client:a", nil},
		{"DELETE", "/clients/a", "auth:delete-client:a", nil}, {"GET", "/clients/a/audit", "auth:client-audit-history:a", nil},
		{"GET", "/audit/role/a", "auth:audit-history:role", nil}, {"GET", "/roles/", "auth:list-roles", nil}, {"GET", "/roles2/", "auth:list-roles", nil},
		{"GET", "/roleids/", "auth:list-roles", nil}, {"GET", "/roles/a", "auth:get-role:a", nil}, {"PUT", "/roles/a", "auth:create-role:a", role},
		{"POST", "/roles/a", "auth:update-role:a", role}, {"DELETE", "/roles/a", "auth:delete-role:a", nil},
		{"POST", "/scopes/expand", "auth:expand-scopes", object{"scopes": []string{}}}, {"GET", "/scopes/current", "auth:current-scopes", nil},
		{"GET", "/aws/s3/read-write/bucket/a/b%2Fc/", "auth:aws-s3:read-write:bucket/a/b/c/", nil}, {"GET", "/aws/s3/read-write/bucket/", "auth:aws-s3:read-write:bucket/", nil},
		{"GET", "/gcp/credentials/p/s@p", "auth:gcp:access-token:p/s@p", nil}, {"GET", "/sentry/web/dsn", "auth:sentry:web", nil},
		{"GET", "/websocktunnel/logs/w.1~2", "auth:websocktunnel-token:logs/w.1~2", nil},
		{"GET", "/azure/accounts", "auth:azure-table:list-accounts", nil}, {"GET", "/azure/acc/tables", "auth:azure-table:list-tables:acc", nil},
		{"GET", "/azure/acc/containers", "auth:azure-container:list-containers:acc", nil},
		{"GET", "/azure/acc/table/tab/read-write", "auth:azure-table:read-write:acc/tab", nil},
		{"GET", "/azure/acc/containers/con/read-write", "auth:azure-container:read-write:acc/con", nil},
		{"POST", "/github/bot/Team/repo-token", "auth:github-repo-token:bot/team/web:contents:read",
			object{"repositories": []string{"Web"}, "permissions": object{"contents": "read"}}},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			b := bench{t, b.auth, b.url}
			if got := b.want(403, nobody, c.method, c.path, c.body); !strings.Contains(got["message"].(string), "```\n"+c.scope+"\n```") {
				t.Errorf("the missing scope %s does not stand alone in the first block of %v", c.scope, got["message"])
			}
			b.want(403, hawk.Credentials{}, c.method, c.path, c.body)
			limited := root
			limited.AuthorizedScopes = []string{c.scope}
			if status, answer := b.call(limited, c.method, c.path, c.body); status != 200 && status != 204 && status != 404 {
				t.Errorf("with the scope: %d %v", status, answer)
			}
		})
	}
}

func TestAuthenticateHawk(t *testing.T) {
	b := serve(t)
	one := b.client("one", "a")
	header, err := hawk.Header(one, "POST", "https://tc.example/api/queue/v1/x?y=1", time.Now(), "n", "", "aGFzaA==")
	if err != nil {
		t.Fatal(err)
	}
	request := object{"method": "post", "resource": "/api/queue/v1/x?y=1", "host": "tc.example", "port": 443, "sourceIp": "127.0.0.1"}
	none := hawk.Credentials{}

	if got := b.want(200, none, "POST", "/authenticate-hawk", request); got["status"] != "no-auth" || got["scheme"] != "none" {
		t.Errorf("without a header: %v", got)
	}
	request["authorization"] = header
	got := b.want(200, none, "POST", "/authenticate-hawk", request)
	delete(got, "expires")
	want := object{"status": "auth-success", "scheme": "hawk", "clientId": "one", "scopes": []any{"a", "assume:anonymous"}, "hash": "aGFzaA=="}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	request["port"] = 80
	if got := b.want(200, none, "POST", "/authenticate-hawk", request); got["status"] != "auth-failed" || got["message"] == "" {
		t.Errorf("with another port: %v", got)
	}
	request["method"] = "POST"
	if got := b.want(400, none, "POST", "/authenticate-hawk", request); strings.Contains(got["message"].(string), header) {
		t.Errorf("the header is repeated in %v", got)
	}
}

func TestTryingOut(t *testing.T) {
	b := serve(t)
	tester := hawk.Credentials{ClientID: "tester", AccessToken: "no-secret"}
	try := object{"clientScopes": []string{"test:*", "auth:create-client:*"}, "requiredScopes": []string{"test:a"}}

	got := b.want(200, tester, "POST", "/test-authenticate", try)
	if diff := cmp.Diff(object{"clientId": "tester", "scopes": []any{"assume:anonymous", "auth:create-client:*", "test:*"}}, got); diff != "" {
		t.Error(diff)
	}
	b.want(403, tester, "POST", "/test-authenticate", object{"clientScopes": []string{"test:*"}, "requiredScopes": []string{"other"}})
	b.want(401, root, "POST", "/test-authenticate", try)
	b.want(403, hawk.Credentials{}, "POST", "/test-authenticate", try)
	temp, err := hawk.CreateTemporary(tester, hawk.TempOptions{ClientID: "my-client", Scopes: []string{"test:a"}, Start: time.Now(), Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.want(200, temp, "POST", "/test-authenticate", try); got["clientId"] != "my-client" {
		t.Errorf("named temporary credentials: %v", got)
	}
	b.want(200, tester, "GET", "/test-authenticate-get/", nil)
	signed, err := hawk.SignURL(tester, b.url+"/test-authenticate-get/", time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, signed, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := b.send(req); status != 200 {
		t.Errorf("a signed URL: %d %v", status, answer)
	}
	t.Run("a payload hash that does not fit is refused", func(t *testing.T) {
		for _, creds := range []hawk.Credentials{tester, root} {
			path := "/test-authenticate"
			if creds.ClientID == root.ClientID {
				path = "/scopes/expand"
			}
			header, err := hawk.Header(creds, "POST", b.url+path, time.Now(), "n", "", hawk.PayloadHash("application/json", []byte("{}")))
			if err != nil {
				t.Fatal(err)
			}
			body := `{"scopes":[]}`
			if creds.ClientID == tester.ClientID {
				body = `{"clientScopes":[],"requiredScopes":[]}`
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", header)
			if status, answer := (bench{t, b.auth, b.url}).send(req); status != 401 {
				t.Errorf("%s: %d %v", path, status, answer)
			}
		}
	})
}
