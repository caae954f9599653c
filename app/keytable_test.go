package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
)

// deployed is a server whose file of secrets is changed, and which is started again, as an operator does.
type deployed struct {
	t       *testing.T
	file    string
	config  Config
	app     *App
	address string
}

// localWorkers are those of treeline dev, which gives them a client of the configuration.
const localWorkers = "static/treeline/worker"

func deploy(t *testing.T) *deployed {
	t.Helper()
	dir := t.TempDir()
	d := &deployed{t: t, file: filepath.Join(dir, "secrets.json")}
	d.config = Config{RootURL: "http://ci.example.com", DatabaseURL: pgtest.URL(t), DataDir: filepath.Join(dir, "objects"), Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(d.stop)
	d.restart(func(*Secrets) {})
	return d
}

func (d *deployed) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployed) stop() {
	if d.app == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), 20*time.Second)
	defer cancel()
	if err := d.app.Stop(ctx); err != nil {
		d.t.Error(err)
	}
	d.app = nil
}

// restart writes the file of secrets anew, and starts the server with it.
func (d *deployed) restart(change func(*Secrets)) {
	d.t.Helper()
	d.stop()
	secrets, err := LoadSecrets(d.file)
	d.must(err)
	change(&secrets)
	text, err := json.Marshal(secrets)
	d.must(err)
	d.must(os.WriteFile(d.file, text, 0o600))
	d.config.Secrets, err = LoadSecrets(d.file)
	d.must(err)
	d.config.StaticClients = []auth.StaticClient{{ClientID: localWorkers, AccessToken: d.config.Secrets.WorkerToken, Scopes: []string{"queue:claim-work:built-in/*"}}}
	d.config.Listener, err = net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	d.address = "http://" + d.config.Listener.Addr().String()
	d.app, err = Start(d.t.Context(), d.config)
	d.must(err)
}

// call makes a signed call and returns its status.
func (d *deployed) call(as hawk.Credentials, method, path string, in, out any) int {
	d.t.Helper()
	c, err := client.New(client.Config{RootURL: d.address, Credentials: as, Patience: -1})
	d.must(err)
	service, path, _ := strings.Cut(path, ":")
	path, text, _ := strings.Cut(path, "?")
	query, err := url.ParseQuery(text)
	d.must(err)
	err = c.Call(d.t.Context(), service, method, path, query, in, out)
	if said, ok := errors.AsType[*client.Error](err); ok {
		return said.Status
	}
	d.must(err)
	return http.StatusOK
}

// holds asks whether credentials hold.
func (d *deployed) holds(what string, as hawk.Credentials, want bool) {
	d.t.Helper()
	if got := d.call(as, http.MethodGet, "auth:/scopes/current", nil, nil); (got == http.StatusOK) != want || !want && got != http.StatusUnauthorized {
		d.t.Errorf("%s: %d, want it to hold: %v", what, got, want)
	}
}

// get reads a page or a file.
func (d *deployed) get(path string, cookie *http.Cookie) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.address+path, nil)
	d.must(err)
	if cookie != nil {
		r.AddCookie(cookie)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	d.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	d.must(err)
	return resp.StatusCode, string(text)
}

// signIn signs in on the page and returns the session's cookie.
func (d *deployed) signIn(as hawk.Credentials) *http.Cookie {
	d.t.Helper()
	form := url.Values{"clientId": {as.ClientID}, "accessToken": {as.AccessToken}}
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.address+"/login", strings.NewReader(form.Encode()))
	d.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(r)
	d.must(err)
	resp.Body.Close()
	for _, c := range resp.Cookies() {
		if strings.Contains(c.Name, "session") && c.Value != "" {
			return c
		}
	}
	d.t.Fatalf("%s is not signed in: %s", as.ClientID, resp.Status)
	return nil
}

// signed reports whether a session holds: its profile names its client.
func (d *deployed) signed(what string, as hawk.Credentials, cookie *http.Cookie, want bool) {
	d.t.Helper()
	if status, body := d.get("/profile", cookie); strings.Contains(body, as.ClientID) != want {
		d.t.Errorf("%s: the profile is answered with %d, want it to name %s: %v", what, status, as.ClientID, want)
	}
}

// proofs are the rows of the table of keys, with what shows that their steps do what they say.
var proofs = map[string]string{
	"encryption key":                         "TestTheKeyOfADeploymentIsChangedWhileItServes",
	"`queueAccessToken`":                     "TestKeysAreChangedAsTheirTableSays",
	"`urlKey`":                               "TestKeysAreChangedAsTheirTableSays",
	"`rootAccessToken`, `workerAccessToken`": "TestKeysAreChangedAsTheirTableSays",
	"access token of a client":               "TestKeysAreChangedAsTheirTableSays",
	"trigger token of a hook":                "TestKeysAreChangedAsTheirTableSays",
	"secret of GitHub's webhooks":            "TestTheSecretOfWebhooksIsChanged",
	"secret of an OpenID Connect sign-in":    "TestPeopleAndReplicas",
	"secret of a GitHub sign-in":             "TestTheSecretOfAGitHubSignInIsChanged",
	"sessions":                               "TestKeysAreChangedAsTheirTableSays",
	"key of the GitHub App":                  "TestTheKeyOfTheAppIsChanged",
	"password at RabbitMQ":                   "TestAServerPublishesOnRabbitMQ",
	"TLS certificate":                        "TestACertificateIsRenewedWhileTheProxyServes", // in deploy/deploytest
}

func TestEveryRowOfTheTableOfKeysIsShown(t *testing.T) {
	page, err := os.ReadFile("../docs/operations/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## All keys and credentials")
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(table, -1)[1:] {
		rows[row[1]] = true
		if proofs[row[1]] == "" {
			t.Errorf("nothing shows how %s is changed", row[1])
		}
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	behind, err := filepath.Glob("../deploy/deploytest/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	source := ""
	for _, f := range append(files, behind...) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source += string(text)
	}
	for row, test := range proofs {
		if !rows[row] {
			t.Errorf("%s is no row of the table", row)
		}
		if !strings.Contains(source, "func "+test+"(") {
			t.Errorf("there is no %s", test)
		}
	}
}

// TestKeysAreChangedAsTheirTableSays does what docs/operations/keys.md says, on a server that is started again.
func TestKeysAreChangedAsTheirTableSays(t *testing.T) {
	d := deploy(t)
	first := d.config.Secrets
	root := hawk.Credentials{ClientID: RootClient, AccessToken: first.RootToken}
	worker := hawk.Credentials{ClientID: localWorkers, AccessToken: first.WorkerToken}
	temporary := func(token string) hawk.Credentials {
		t.Helper()
		c, err := hawk.CreateTemporary(hawk.Credentials{ClientID: queueClient, AccessToken: token}, hawk.TempOptions{Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour)})
		d.must(err)
		return c
	}
	// What there is before: a client, who has signed in, a hook, and a file with a signed URL.
	var made struct{ AccessToken string }
	bot := hawk.Credentials{ClientID: "people/bot"}
	if got := d.call(root, http.MethodPut, "auth:/clients/people%2Fbot", map[string]any{"expires": "2100-01-01T00:00:00.000Z", "description": "x", "scopes": []string{"a"}}, &made); got != http.StatusOK {
		t.Fatal(got)
	}
	bot.AccessToken = made.AccessToken
	session := d.signIn(bot)
	d.must(d.app.hooks.Ensure(t.Context(), RootClient, testHook("kept")))
	trigger, err := d.app.hooks.Token(t.Context(), "project-a", "kept")
	d.must(err)
	d.must(d.app.objects.Keep(t.Context(), "kept", "p", "text/plain", time.Now().Add(time.Hour), []byte("the content")))
	signed, err := d.app.objects.DownloadURL(t.Context(), "kept")
	d.must(err)
	signed = strings.TrimPrefix(signed, d.config.RootURL)
	content := func(what string, want int) {
		t.Helper()
		if status, body := d.get(signed, nil); status != want || want == http.StatusOK && body != "the content" {
			t.Errorf("%s: %d %.100s", what, status, body)
		}
	}
	task := temporary(first.QueueToken)
	d.holds("what the queue signed", task, true)
	content("a signed URL", http.StatusOK)
	d.signed("at first", bot, session, true)

	fresh := func() string { return slug.New() + slug.New() }
	d.restart(func(s *Secrets) {
		s.QueueToken, s.RootToken, s.WorkerToken = fresh(), fresh(), fresh()
		s.RetiredURLKeys, s.URLKey = [][]byte{s.URLKey}, make([]byte, 32)
		rand.Read(s.URLKey)
	})
	t.Run("rootAccessToken and workerAccessToken: the old ones end at once", func(t *testing.T) {
		d.holds("the old token of the operator", root, false)
		d.holds("the old one of workers", worker, false)
		root.AccessToken, worker.AccessToken = d.config.Secrets.RootToken, d.config.Secrets.WorkerToken
		d.holds("the new token of the operator", root, true)
		d.signed("a session after that", bot, session, true)
		d.holds("the new one of workers", worker, true)
	})
	t.Run("queueAccessToken: what the old one signed holds until it is ended", func(t *testing.T) {
		d.holds("what was signed before", task, true)
		d.holds("what is signed now", temporary(d.config.Secrets.QueueToken), true)
		if got := d.call(root, http.MethodPost, "auth:/clients/static%2Ftaskcluster%2Fqueue/end-old-token", nil, nil); got != http.StatusOK {
			t.Errorf("endOldAccessToken: %d", got)
		}
		d.holds("what was signed before, after its end", task, false)
		d.holds("what is signed now", temporary(d.config.Secrets.QueueToken), true)
	})
	t.Run("access token of a client: both hold for a while, the old one is ended early", func(t *testing.T) {
		old := bot
		if got := d.call(root, http.MethodPost, "auth:/clients/people%2Fbot/reset?overlapHours=1", nil, &made); got != http.StatusOK {
			t.Fatalf("resetAccessToken: %d", got)
		}
		bot.AccessToken = made.AccessToken
		d.holds("the old token", old, true)
		d.holds("the new token", bot, true)
		if got := d.call(root, http.MethodPost, "auth:/clients/people%2Fbot/end-old-token", nil, nil); got != http.StatusOK {
			t.Errorf("endOldAccessToken: %d", got)
		}
		d.holds("the old token, after its end", old, false)
		d.holds("the new token", bot, true)
	})
	t.Run("trigger token of a hook: the old one ends at once", func(t *testing.T) {
		fire := func(token string) int {
			return d.call(hawk.Credentials{}, http.MethodPost, "hooks:/hooks/project-a/kept/trigger/"+url.PathEscape(token), map[string]any{}, nil)
		}
		if got := fire(trigger); got == http.StatusUnauthorized {
			t.Errorf("before: %d", got)
		}
		var reset struct{ Token string }
		if got := d.call(root, http.MethodPost, "hooks:/hooks/project-a/kept/token", nil, &reset); got != http.StatusOK || reset.Token == trigger {
			t.Errorf("resetTriggerToken: %d", got)
		}
		if old, now := fire(trigger), fire(reset.Token); old != http.StatusUnauthorized || now == http.StatusUnauthorized {
			t.Errorf("the old one: %d, the new one: %d", old, now)
		}
	})
	t.Run("sessions end with their client, at the latest", func(t *testing.T) {
		session = d.signIn(bot)
		d.signed("a session", bot, session, true)
		if got := d.call(root, http.MethodPost, "auth:/clients/people%2Fbot/disable", nil, nil); got != http.StatusOK {
			t.Fatal(got)
		}
		d.signed("of a client that is disabled", bot, session, false)
	})
	t.Run("urlKey: old URLs hold while the old key is kept, and no longer", func(t *testing.T) {
		content("with the old key retired", http.StatusOK)
		d.restart(func(s *Secrets) { s.RetiredURLKeys = nil })
		content("without the old key", http.StatusUnauthorized)
		again, err := d.app.objects.DownloadURL(t.Context(), "kept")
		d.must(err)
		signed = strings.TrimPrefix(again, d.config.RootURL)
		content("a new URL", http.StatusOK)
	})
}

// TestTheSecretOfWebhooksIsChanged: the new secret is told to the server first, then to GitHub, then the old one is taken out.
func TestTheSecretOfWebhooksIsChanged(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "")})
	h.push("main", map[string]string{"a": "1"})
	h.settle()
	deliver := func(secret string) int {
		t.Helper()
		last := h.gh.Delivered()[len(h.gh.Delivered())-1]
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(last.Body)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.config.RootURL+"/api/github/v1/github", bytes.NewReader(last.Body))
		h.must(err)
		for name, value := range map[string]string{"Content-Type": "application/json", "X-GitHub-Event": last.Event, "X-GitHub-Delivery": slug.New(), "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))} {
			r.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(r)
		h.must(err)
		h.must(answer.Body.Close())
		return answer.StatusCode
	}
	for _, step := range []struct {
		what      string
		secrets   []string
		good, bad []string
	}{
		{"with the new one first", h.config.GitHub.Secrets, []string{"first secret", "second secret"}, []string{"x", ""}},
		{"with the old one taken out", []string{"first secret"}, []string{"first secret"}, []string{"second secret"}},
	} {
		if !slices.Equal(step.secrets, h.config.GitHub.Secrets) {
			h.stop()
			h.config.GitHub.Secrets = step.secrets
			h.config.Listen, h.config.Listener = h.config.Listener.Addr().String(), nil
			h.start()
		}
		for _, secret := range step.good {
			if got := deliver(secret); got >= 300 {
				t.Errorf("%s, a webhook signed with %q: %d", step.what, secret, got)
			}
		}
		for _, secret := range step.bad {
			if got := deliver(secret); got < 400 || got >= 500 {
				t.Errorf("%s, a webhook signed with %q: %d", step.what, secret, got)
			}
		}
	}
}
