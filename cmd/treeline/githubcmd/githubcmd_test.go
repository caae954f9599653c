package githubcmd_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/githubcmd"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/ghfake/ghspec"
)

// screen is what a command prints while it runs.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func startDouble(t *testing.T) *ghfake.Server {
	t.Helper()
	for _, name := range []string{settings.AppIDSetting, settings.KeySetting, settings.KeyFileSetting, settings.SecretsSetting, settings.APISetting, settings.StoredSetting, "TREELINE_ROOT_URL"} {
		t.Setenv(name, "")
	}
	spec, err := ghspec.Load(t.Context(), ghfake.Routes())
	must(t, err)
	gh, err := ghfake.Start(ghfake.Options{Dir: t.TempDir(), Inspector: spec})
	must(t, err)
	t.Cleanup(func() {
		for _, what := range gh.Complaints() {
			t.Errorf("not as GitHub: %s", what)
		}
		must(t, gh.Close())
	})
	return gh
}

// treeline runs the command and returns what it printed.
func treeline(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd, out := githubcmd.New(), &screen{}
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func visit(t *testing.T, method, address string, form url.Values) (page, location string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := browser.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	return string(text), answer.Header.Get("Location")
}

func find(t *testing.T, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("there is no %s in\n%s", pattern, text)
	}
	return html.UnescapeString(m[1])
}

// person goes where setup leads, presses the buttons, and returns the last page.
func person(t *testing.T, out *screen, gh *ghfake.Server, stop func(address string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(out.String(), "/ and press") {
		select {
		case <-ctx.Done():
			t.Fatalf("no address: %s", out.String())
		case <-tick.C:
		}
	}
	here := find(t, `Open (http://\S+) `, out.String())
	page, _ := visit(t, http.MethodGet, here, nil)
	github, _ := visit(t, http.MethodPost, find(t, `<form action="([^"]+)"`, page), url.Values{"manifest": {find(t, `name="manifest" value="([^"]+)"`, page)}})
	_, back := visit(t, http.MethodPost, gh.URL()+"/settings/apps/confirm", url.Values{"code": {find(t, `name="code" value="([^"]+)"`, github)}})
	if stop != nil && stop(back) {
		return ""
	}
	last, _ := visit(t, http.MethodGet, back, nil)
	return last
}

func TestSetupMakesAnAppThatTheServerCanBe(t *testing.T) {
	gh := startDouble(t)
	dir := filepath.Join(t.TempDir(), "kept")
	out, ended := &screen{}, make(chan error, 1)
	go func() {
		cmd := githubcmd.New()
		cmd.SetArgs([]string{"setup", "https://ci.example.com", "--org", "acme", "--ghes", gh.URL(), "--no-browser", "--dir", dir, "--name", "Treeline of acme"})
		cmd.SetOut(out)
		ended <- cmd.ExecuteContext(t.Context())
	}()
	last := person(t, out, gh, func(back string) bool {
		u, err := url.Parse(back)
		must(t, err)
		q := u.Query()
		q.Set("state", "forged")
		if page, _ := visit(t, http.MethodGet, "http://"+u.Host+u.Path+"?"+q.Encode(), nil); !strings.Contains(page, "not one that GitHub led to") {
			t.Errorf("a forged state is taken:\n%s", page)
		}
		return false
	})
	must(t, <-ended)
	if !strings.Contains(last, "Treeline of acme is made") {
		t.Error(last)
	}
	for _, secret := range []string{"PRIVATE KEY", gh.Apps()[0].Slug + "-secret"} {
		if strings.Contains(out.String()+last, secret) {
			t.Errorf("it shows %s", secret)
		}
	}
	app := gh.Apps()[0]
	hook, secret := app.Hook()
	if hook != "https://ci.example.com/api/github/v1/github" || app.Permissions["checks"] != "write" || len(app.Events) < 10 || secret == "" {
		t.Errorf("%s %v %v", hook, app.Permissions, app.Events)
	}
	if strings.Contains(out.String()+last, secret) {
		t.Error("it shows the webhook secret")
	}
	for _, name := range []string{"app.pem", "webhook-secrets", "github.env"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v: others may read it", name, err, info)
		}
	}
	written, err := os.ReadFile(filepath.Join(dir, "github.env"))
	must(t, err)
	for line := range strings.Lines(string(written)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		t.Setenv(name, strings.Trim(value, "'"))
	}
	c, err := settings.LoadConfig()
	must(t, err)
	if c.AppID != app.ID || len(c.Secrets) != 1 || c.Secrets[0] != secret || c.API != gh.APIURL() {
		t.Errorf("%+v", c.AppID)
	}

	t.Run("status says what is missing", func(t *testing.T) {
		text, err := treeline(t, "status", "--root-url", "https://ci.example.com")
		if !errors.Is(err, exit.Told) || !strings.Contains(text, "The App is installed nowhere: install it at") {
			t.Errorf("%v\n%s", err, text)
		}
		repo, err := gh.AddRepository("acme/app", true)
		must(t, err)
		_, err = repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "1"}})
		must(t, err)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
		defer server.Close()
		app.SetHook(server.URL+"/api/github/v1/github", secret)
		in := app.Install("acme", repo)
		must(t, gh.Drain(t.Context()))
		text, err = treeline(t, "status", "--root-url", server.URL)
		if err != nil || !strings.Contains(text, "All is well.") || !strings.Contains(text, "acme/app") {
			t.Errorf("%v\n%s", err, text)
		}
		app.Permissions = map[string]string{"checks": "read", "metadata": "read", "contents": "read", "issues": "write", "members": "read", "pull_requests": "write", "statuses": "write"}
		app.Events = []string{"push"}
		server.Close()
		_, err = repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "2"}})
		must(t, err)
		must(t, gh.Drain(t.Context()))
		text, err = treeline(t, "status", "--root-url", "https://elsewhere.example.com")
		for _, want := range []string{
			"The App lacks the permission checks: write", "The App lacks the permission merge queues: read", "does not subscribe pull_request events", "this server hears at https://elsewhere.example.com",
			"webhooks did not arrive, the newest (push)",
		} {
			if !errors.Is(err, exit.Told) || !strings.Contains(text, want) {
				t.Errorf("%v: it does not say %q:\n%s", err, want, text)
			}
		}
		in.Suspend()
		text, err = treeline(t, "status", "--json")
		if !errors.Is(err, exit.Told) || !strings.Contains(text, `"suspended": true`) {
			t.Errorf("%v\n%s", err, text)
		}
	})
	t.Run("what is there is not written over", func(t *testing.T) {
		if _, err := treeline(t, "setup", "https://ci.example.com", "--dir", dir); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Error(err)
		}
	})
	t.Run("a wrong key is told", func(t *testing.T) {
		other, err := gh.AddApp("other", "https://example.com/hook", "x")
		must(t, err)
		key := filepath.Join(t.TempDir(), "key.pem")
		must(t, os.WriteFile(key, other.PrivateKey(), 0o600))
		t.Setenv(settings.KeyFileSetting, key)
		if _, err := treeline(t, "status"); err == nil || !strings.Contains(err.Error(), "is it the App's newest key") || strings.Contains(err.Error(), "PRIVATE") {
			t.Error(err)
		}
	})
}

func TestACodeThatGitHubDoesNotKnowIsTold(t *testing.T) {
	gh := startDouble(t)
	out, ended := &screen{}, make(chan error, 1)
	dir := filepath.Join(t.TempDir(), "kept")
	go func() {
		cmd := githubcmd.New()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"setup", "https://ci.example.com", "--ghes", gh.URL(), "--no-browser", "--dir", dir})
		cmd.SetOut(out)
		ended <- cmd.ExecuteContext(t.Context())
	}()
	person(t, out, gh, func(back string) bool {
		u, err := url.Parse(back)
		must(t, err)
		q := u.Query()
		q.Set("code", "stale")
		page, _ := visit(t, http.MethodGet, "http://"+u.Host+u.Path+"?"+q.Encode(), nil)
		if !strings.Contains(page, "counts once, and for an hour") {
			t.Error(page)
		}
		return true
	})
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "counts once, and for an hour") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "github.env")); err == nil {
		t.Error("it wrote settings")
	}
}

func TestWhatSetupRefusesAtOnce(t *testing.T) {
	startDouble(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"give scheme and host", []string{"setup", "ci.example.com"}},
		{"give scheme and host", []string{"setup", "https://ci.example.com", "--ghes", "https://example.com/api/v3"}},
		{"GitHub takes 1 to 34", []string{"setup", "https://ci.example.com", "--name", strings.Repeat("x", 35)}},
		{"nobody pressed the buttons", []string{"setup", "https://ci.example.com", "--no-browser", "--wait", "10ms", "--dir", t.TempDir()}},
		{"TREELINE_GITHUB_APP_ID is not set", []string{"status"}},
	} {
		if _, err := treeline(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", fmt.Sprint(c.args), err)
		}
	}
}
