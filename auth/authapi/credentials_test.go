package authapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/auth/hawk"
)

// elsewhere plays all other systems at once; auth/cloud has the tests of what they are asked.
func elsewhere(t *testing.T) *cloud.Cloud {
	t.Helper()
	limited := false
	answers := map[string]func(w http.ResponseWriter){}
	say := func(route, body string) {
		answers[route] = func(w http.ResponseWriter) { _, _ = io.WriteString(w, body) }
	}
	say("POST /", `<GetFederationTokenResponse><GetFederationTokenResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>hush</SecretAccessKey>
<SessionToken>session</SessionToken><Expiration>2026-11-21T13:30:15Z</Expiration></Credentials></GetFederationTokenResult></GetFederationTokenResponse>`)
	say("POST /token", `{"access_token": "own", "token_type": "Bearer"}`)
	say("POST /v1/projects/-/serviceAccounts/s@p:generateAccessToken", `{"accessToken": "ya29", "expireTime": "2026-11-21T13:30:15Z"}`)
	say("GET /Tables", `{"value": [{"TableName": "tab"}]}`)
	say("GET /api/0/projects/us/web/keys/", `[]`)
	say("POST /api/0/projects/us/web/keys/", `{"dsn": {"secret": "https://k:hush@s/1", "public": "https://k@s/1"}}`)
	say("GET /orgs/team/installation", `{"id": 7, "account": {"login": "team"}}`)
	answers["GET /"] = func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, `<EnumerationResults><Containers><Container><Name>con</Name></Container></Containers><NextMarker>/acc/next</NextMarker></EnumerationResults>`)
	}
	answers["POST /app/installations/7/access_tokens"] = func(w http.ResponseWriter) {
		if limited {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		limited = true // from the second time on
		_, _ = io.WriteString(w, `{"token": "ghs", "expires_at": "2026-11-21T13:30:15Z"}`)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := answers[r.Method+" "+r.URL.Path]
		if answer == nil {
			t.Errorf("asked %s %s", r.Method, r.URL)
			http.NotFound(w, r)
			return
		}
		answer(w)
	}))
	t.Cleanup(s.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	c, err := cloud.New(cloud.Config{
		AWS: cloud.AWSConfig{STS: s.URL, Accounts: []cloud.AWSAccount{{AccessKeyID: "AKIA", SecretAccessKey: "x", Buckets: []string{"bucket"}}}},
		GCP: cloud.GCPConfig{IAMCredentials: s.URL, Projects: map[string]cloud.GCPProject{"p": {AllowedServiceAccounts: []string{"s@p"},
			Credentials: map[string]string{"type": "service_account", "client_email": "us@p", "private_key": text, "token_uri": s.URL + "/token"}}}},
		Azure:         cloud.AzureConfig{Accounts: map[string]cloud.AzureAccount{"acc": {Key: base64.StdEncoding.EncodeToString([]byte("key")), Blobs: s.URL, Tables: s.URL}}},
		Sentry:        cloud.SentryConfig{URL: s.URL, Token: "x", Organization: "us", Team: "all"},
		Websocktunnel: cloud.WebsocktunnelConfig{Secret: strings.Repeat("w", 22)},
		GitHub:        cloud.GitHubConfig{API: s.URL, Apps: map[string]cloud.GitHubApp{"bot": {AppID: 1, PrivateKey: text}}},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const until = "2026-11-21T13:30:15.000Z"

func TestCredentialsOfOtherSystems(t *testing.T) {
	b := serve(t, authapi.WithCloud(elsewhere(t)))
	for _, c := range []struct {
		path string
		want object // members that are compared
	}{
		{"/aws/s3/read-only/bucket/a/b", object{"expires": until, "credentials": object{"accessKeyId": "ASIA", "secretAccessKey": "hush", "sessionToken": "session"}}},
		{"/aws/s3/read-write/bucket/", object{"expires": until}},
		{"/aws/s3/read-only/bucket/a?format=iam-role-compat", object{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIA", "SecretAccessKey": "hush", "Token": "session", "Expiration": until}},
		{"/gcp/credentials/p/s@p", object{"accessToken": "ya29", "expireTime": until}},
		{"/azure/accounts", object{"accounts": []any{"acc"}}},
		{"/azure/acc/tables", object{"tables": []any{"tab"}}},
		{"/azure/acc/containers", object{"containers": []any{"con"}, "continuationToken": "/acc/next"}},
		{"/azure/acc/containers?continuationToken=" + url.QueryEscape("/acc/next"), object{"containers": []any{"con"}}},
		{"/azure/acc/table/tab/read-only", nil},
		{"/azure/acc/containers/con/read-only", nil},
		{"/sentry/web/dsn", object{"project": "web", "dsn": object{"secret": "https://k:hush@s/1", "public": "https://k@s/1"}}},
		{"/websocktunnel/logs/w.1~2", object{"wstAudience": "logs", "wstClient": "w.1~2"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			got := bench{t, b.auth, b.url}.want(200, root, "GET", c.path, nil)
			for name, value := range c.want {
				if diff := cmp.Diff(value, got[name]); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
	t.Run("a signature is a query string that ends within half an hour", func(t *testing.T) {
		for _, path := range []string{"/azure/acc/table/tab/read-only", "/azure/acc/containers/con/read-only"} {
			got := bench{t, b.auth, b.url}.want(200, root, "GET", path, nil)
			values, err := url.ParseQuery(got["sas"].(string))
			end, err2 := time.Parse(time.RFC3339, got["expiry"].(string))
			if err != nil || err2 != nil || values.Get("sig") == "" || time.Until(end) > 25*time.Minute || time.Until(end) < 24*time.Minute {
				t.Errorf("%s: %v, %v, %v", path, got, err, err2)
			}
		}
	})
}

func TestReadWriteGivesReadOnly(t *testing.T) {
	b := serve(t, authapi.WithCloud(elsewhere(t)))
	for _, c := range []struct{ path, what string }{
		{"/aws/s3/%s/bucket/a", "auth:aws-s3:%s:bucket/a"}, {"/azure/acc/table/tab/%s", "auth:azure-table:%s:acc/tab"},
		{"/azure/acc/containers/con/%s", "auth:azure-container:%s:acc/con"},
	} {
		at := func(text, level string) string { return strings.ReplaceAll(text, "%s", level) }
		reader := b.client("reader-of-"+at(c.what, "x"), at(c.what, "read-only"))
		writer := b.client("writer-of-"+at(c.what, "x"), at(c.what, "read-write"))
		b.want(200, reader, "GET", at(c.path, "read-only"), nil)
		b.want(200, writer, "GET", at(c.path, "read-only"), nil)
		b.want(403, reader, "GET", at(c.path, "read-write"), nil)
		b.want(400, root, "GET", at(c.path, "read"), nil)
	}
}

func TestWhatCannotBeAsked(t *testing.T) {
	b := serve(t, authapi.WithCloud(elsewhere(t)))
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/aws/s3/read-only/bucket/%2Fa", 400, "InputError"},
		{"/aws/s3/read-only/other/a", 404, "ResourceNotFound"},
		{"/aws/s3/read-only/a.b/a", 400, "InvalidRequestArguments"},
		{"/aws/s3/read-only/bucket/a%00", 400, "InvalidRequestArguments"},
		{"/aws/s3/read-only/bucket/a?format=other", 400, "InvalidRequestArguments"},
		{"/gcp/credentials/p/other@p", 404, "ResourceNotFound"},
		{"/azure/other/tables", 404, "ResourceNotFound"},
		{"/azure/ACC/tables", 400, "InvalidRequestArguments"},
		{"/azure/acc/table/1tab/read-only", 400, "InvalidRequestArguments"},
		{"/azure/acc/containers/a--b/read-only", 400, "InvalidRequestArguments"},
		{"/azure/acc/containers/-ab/read-only", 400, "InvalidRequestArguments"},
		{"/sentry/a.b/dsn", 400, "InvalidRequestArguments"},
		{"/websocktunnel/a.b/c", 400, "InvalidRequestArguments"},
		{"/websocktunnel/a/b%2Fc", 400, "InvalidRequestArguments"},
	} {
		t.Run(c.path, func(t *testing.T) {
			if got := (bench{t, b.auth, b.url}).want(c.status, root, "GET", c.path, nil); got["code"] != c.code {
				t.Errorf("code %v", got["code"])
			}
		})
	}
}

func TestGitHubTokens(t *testing.T) {
	b := serve(t, authapi.WithCloud(elsewhere(t)))
	const path = "/github/bot/Team/repo-token"
	ask := func(level string, repositories ...string) object {
		return object{"repositories": repositories, "permissions": object{"contents": level}}
	}
	bot := b.client("bot", "auth:github-repo-token:bot/team/web:contents:write", "auth:github-repo-token:bot/team/docs:contents:*")
	b.want(403, bot, "POST", path, ask("read", "web"))          // write does not stand for read
	b.want(403, bot, "POST", path, ask("write", "web", "else")) // every repository counts
	b.want(400, bot, "POST", path, ask("admin", "web"))
	b.want(400, bot, "POST", path, object{"repositories": []string{}, "permissions": object{"contents": "read"}})
	b.want(400, bot, "POST", path, object{"repositories": []string{"web"}, "permissions": object{}})
	b.want(400, bot, "POST", path, object{"repositories": []string{"a/b"}, "permissions": object{"contents": "read"}})
	if got := b.want(200, bot, "POST", path, ask("write", "Web", "DOCS")); got["token"] != "ghs" || got["expires"] != until {
		t.Errorf("%v", got)
	}
	if got := b.want(429, bot, "POST", path, ask("read", "docs")); got["code"] != "TooManyRequests" {
		t.Errorf("%v", got)
	}
	b.want(404, root, "POST", "/github/none/team/repo-token", ask("read", "web"))
	b.want(403, hawk.Credentials{}, "POST", path, ask("read", "web"))
}

// TestNotConfigured has every endpoint answer, to those who hold the scope, what is missing.
func TestNotConfigured(t *testing.T) {
	b := serve(t)
	nobody := b.client("nobody")
	for path, section := range map[string]string{
		"/aws/s3/read-only/bucket/a": "aws", "/gcp/credentials/p/s@p": "gcp", "/azure/accounts": "azure", "/azure/acc/tables": "azure",
		"/azure/acc/containers": "azure", "/azure/acc/table/tab/read-only": "azure", "/azure/acc/containers/con/read-write": "azure",
		"/sentry/web/dsn": "sentry", "/websocktunnel/logs/w": "websocktunnel",
	} {
		t.Run(path, func(t *testing.T) {
			b := bench{t, b.auth, b.url}
			b.want(403, nobody, "GET", path, nil)
			got := b.want(404, root, "GET", path, nil)
			if text := got["message"].(string); got["code"] != "ResourceNotFound" || !strings.Contains(text, "it is not configured") || !strings.Contains(text, `"`+section+`"`) {
				t.Errorf("%v", got)
			}
		})
	}
}
