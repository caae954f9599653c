package cloud_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/fault"
)

// now is the time that signatures are made at.
var now = time.Date(2026, 11, 21, 12, 30, 15, 0, time.UTC)

func newCloud(t *testing.T, c cloud.Config) *cloud.Cloud {
	t.Helper()
	out, err := cloud.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// server is another system: it answers by method and path, and keeps what it was asked.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

// serve starts a system. check looks at each request, whose body it gets; routes are "GET /path".
func serve(t *testing.T, check func(r *http.Request, body []byte) error, routes map[string]func(w http.ResponseWriter, r *http.Request, body []byte)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		route := r.Method + " " + r.URL.EscapedPath()
		s.mu.Lock()
		s.seen = append(s.seen, route)
		s.mu.Unlock()
		if err := check(r, body); err != nil {
			t.Errorf("%s: %v", route, err)
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		answer := routes[route]
		if answer == nil {
			http.NotFound(w, r)
			return
		}
		answer(w, r, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// asked returns what the system was asked since the last time.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.seen
	s.seen = nil
	return out
}

func reply(status int, body string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// newKey makes an RSA key and its PEM.
func newKey(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// claims verifies a JSON web token as its receiver would.
func claims(token, algorithm string, verify func(text, signature []byte) error) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("a token has three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return nil, err
		}
	}
	var header struct{ Alg, Typ string }
	if err := json.Unmarshal(raw[0], &header); err != nil || header.Alg != algorithm || header.Typ != "JWT" {
		return nil, errors.New("the token's header is " + string(raw[0]))
	}
	if err := verify([]byte(parts[0]+"."+parts[1]), raw[2]); err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(raw[1], &out)
}

func byRSA(key *rsa.PrivateKey) func(text, signature []byte) error {
	return func(text, signature []byte) error {
		sum := sha256.Sum256(text)
		return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature)
	}
}

func TestWebsocktunnel(t *testing.T) {
	secret := "a secret of the tunnel's"
	c := newCloud(t, cloud.Config{Websocktunnel: cloud.WebsocktunnelConfig{Secret: secret}})
	got, err := c.Websocktunnel(now, "me", "live-logs", "workers.1~a")
	if err != nil {
		t.Fatal(err)
	}
	found, err := claims(got.Token, "HS256", func(text, signature []byte) error {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(text)
		if !hmac.Equal(mac.Sum(nil), signature) {
			return errors.New("the signature is wrong")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at := float64(now.Unix())
	want := map[string]any{"tid": "workers.1~a", "aud": "live-logs", "sub": "me", "iat": at, "nbf": at - 900, "exp": at + 96*3600, "iss": "taskcluster-auth"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	if !got.Expires.Equal(now.Add(96 * time.Hour)) {
		t.Errorf("expires %s", got.Expires)
	}
}

func TestWhatIsNotConfiguredSaysWhatToSet(t *testing.T) {
	c, ctx := newCloud(t, cloud.Config{}), t.Context()
	only := func(_ any, err error) error { return err }
	listed := func(_ []string, _ string, err error) error { return err }
	for section, err := range map[string]error{
		"aws":           only(c.S3(ctx, cloud.ReadOnly, "bucket", "")),
		"gcp":           only(c.GCP(ctx, "p", "s")),
		"azure":         only(c.AzureAccounts()),
		"sentry":        only(c.Sentry(ctx, now, "p")),
		"websocktunnel": only(c.Websocktunnel(now, "me", "a", "c")),
		"github":        only(c.GitHub(ctx, now, "a", "o", nil, nil)),
	} {
		text := fault.Message(err)
		if !errors.Is(err, fault.NotFound) || !strings.Contains(text, `"`+section+`"`) || !strings.Contains(text, cloud.Setting) || !strings.Contains(text, "docs/how-to/cloud-credentials.md") {
			t.Errorf("%s: %v", section, err)
		}
	}
	for _, err := range []error{
		listed(c.AzureTables(ctx, "account", "")), listed(c.AzureContainers(ctx, "account", "")),
		only(c.AzureTable(ctx, now, "account", "table", cloud.ReadOnly)), only(c.AzureContainer(ctx, now, "account", "container", cloud.ReadOnly)),
	} {
		if !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "not configured") {
			t.Errorf("azure: %v", err)
		}
	}
	c.Start(ctx)
	c.Stop()
}

func TestConfig(t *testing.T) {
	key, text := newKey(t)
	indented := "      " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ")
	good := `
aws:
  accounts:
    - {accessKeyId: AKIA, secretAccessKey: hush, buckets: [one, two]}
gcp:
  projects:
    website:
      allowedServiceAccounts: [deploy@website.example]
      credentials: {"type": "service_account", "client_email": "us@x", "private_key_id": "1", "private_key": ` + quote(text) + `, "universe_domain": "googleapis.com"}
azure:
  accounts:
    storage1: {key: aHVzaA==}
sentry: {token: hush, organization: us, team: all}
websocktunnel: {secret: 0123456789012345678901}
github:
  apps:
    bot:
      appId: 7
      privateKey: |
  ` + strings.ReplaceAll(indented, "\n", "\n  ") + "\n"
	dir := t.TempDir()
	path := filepath.Join(dir, "cloud.yml")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cloud.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if accounts, err := newCloud(t, c).AzureAccounts(); err != nil || len(accounts) != 1 {
		t.Errorf("accounts %v, %v", accounts, err)
	}
	if block, _ := pem.Decode([]byte(c.GitHub.Apps["bot"].PrivateKey)); block == nil || len(block.Bytes) != len(x509.MarshalPKCS1PrivateKey(key)) {
		t.Error("the key in the file is not that in the configuration")
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c)
	if strings.Contains(log.String(), "hush") || strings.Contains(c.String(), "hush") {
		t.Error("secrets are in the log")
	}
	for _, empty := range []string{"", "\n", "# nothing\n", "{}"} {
		if c, err := cloud.ParseConfig([]byte(empty)); err != nil {
			t.Errorf("%q: %v", empty, err)
		} else {
			newCloud(t, c)
		}
	}
	if c, err := cloud.LoadConfig(""); err != nil || c.AWS.Region != "" {
		t.Errorf("no file: %v", err)
	}
	if _, err := cloud.LoadConfig(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), cloud.Setting) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestDocumentedConfig reads the example that operators start from.
func TestDocumentedConfig(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../docs/how-to/cloud-credentials.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	c, err := cloud.ParseConfig([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.AWS.Accounts[0].Buckets) != 2 || c.GCP.Projects["website-1234"].Credentials["type"] != "service_account" || c.GitHub.Apps["release-bot"].AppID != 123456 {
		t.Errorf("the example says something else: %v accounts of AWS, %v apps", len(c.AWS.Accounts), len(c.GitHub.Apps))
	}
	if _, err := cloud.New(cloud.Config{AWS: c.AWS, Azure: c.Azure, Sentry: c.Sentry, Websocktunnel: c.Websocktunnel}, nil); err != nil {
		t.Error(err)
	}
}

func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestBadConfigIsRefusedWithoutRepeatingIt(t *testing.T) {
	_, key := newKey(t)
	for _, c := range []struct{ name, text, want string }{
		{"a setting that does not exist", "aws:\n  bucket: [hush]\n", `line 2: there is no setting "bucket" here`},
		{"a value of the wrong form", "aws:\n  accounts: hush\n", "line 2: cannot unmarshal !!str (a value)"},
		{"no YAML", "aws: [hush\n", "line 1"},
		{"AWS without its key", "aws: {accounts: [{accessKeyId: a, buckets: [hush]}]}", "aws: account 1 needs"},
		{"a bucket with a dot", "aws: {accounts: [{accessKeyId: a, secretAccessKey: hush, buckets: [a.b]}]}", `bucket name "a.b"`},
		{"a bucket twice", "aws: {accounts: [{accessKeyId: a, secretAccessKey: hush, buckets: [abc, abc]}]}", "bucket abc is listed twice"},
		{"a region that is none", "aws: {region: 'evil.example/?'}", "aws: region"},
		{"an address of STS that is none", "aws: {sts: 'ftp://hush'}", "aws: region or address"},
		{"a key file of Google Cloud of another kind", "gcp: {projects: {p: {credentials: {type: authorized_user, private_key: hush}}}}", "gcp: project p: credentials must be"},
		{"a key of Google Cloud that is none", "gcp: {projects: {p: {credentials: {type: service_account, client_email: a, private_key: hush}}}}", "gcp: project p: private_key: it must be a private key in PEM"},
		{"an address with a password", "gcp: {iamCredentials: 'https://me:hush@x'}", "gcp: iamCredentials"},
		{"an Azure key that is not base64", "azure: {accounts: {abc: {key: 'hush!'}}}", `azure: account "abc"`},
		{"an Azure account's name", "azure: {accounts: {A: {key: aHVzaA==}}}", `azure: account "A"`},
		{"Sentry without a team", "sentry: {token: hush, organization: o}", "sentry: token, organization and team"},
		{"a short secret of websocktunnel", "websocktunnel: {secret: hush}", "websocktunnel: the secret needs"},
		{"a GitHub key that is none", "github: {apps: {bot: {appId: 1, privateKey: hush}}}", `github: app "bot": privateKey`},
		{"a GitHub App without its id", "github: {apps: {bot: {privateKey: " + quote(key) + "}}}", `github: app "bot": it needs an appId`},
		{"a GitHub App's name", "github: {apps: {'a/b': {appId: 1, privateKey: " + quote(key) + "}}}", `github: app "a/b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := cloud.ParseConfig([]byte(c.text))
			if err == nil {
				_, err = cloud.New(config, nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

// FuzzParseConfig looks for configurations that are taken and then end the program.
func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{
		"aws: {accounts: [{accessKeyId: a, secretAccessKey: b, buckets: [abc]}]}", "azure: {accounts: {abc: {key: aGk=}}}",
		"gcp: {projects: {p: {credentials: {type: service_account, client_email: a, private_key: x}}}}", "github: {api: 'http://x', apps: {a: {appId: 1}}}",
		"sentry: {token: a, organization: b, team: c, url: 'https://x'}", "websocktunnel: {secret: x}", "a: &a [*a]", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := cloud.ParseConfig(data)
		if err != nil {
			return
		}
		if c, err := cloud.New(config, nil); err == nil && c == nil {
			t.Error("neither a result nor an error")
		}
	})
}
