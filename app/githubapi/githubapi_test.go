package githubapi_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what must not be taken
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/githubapi"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/npmtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/templates"
)

const secret = "It's a Secret to Everybody"

type door struct {
	http.Handler
	room *github.GitHub
	pool *pgxpool.Pool
}

func open(t testing.TB) *door {
	t.Helper()
	gh, err := ghfake.Start(ghfake.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gh.Close(); err != nil {
			t.Error(err)
		}
	})
	app, err := gh.AddApp("treeline", "http://nowhere.invalid", secret)
	if err != nil {
		t.Fatal(err)
	}
	pool, log := pgtest.DB(t), slog.New(slog.DiscardHandler)
	feed := event.NewFeed(pool, log)
	room, err := github.New(github.Deps{
		Config: github.Config{AppID: app.ID, Key: app.PrivateKey(), Secrets: []string{"an older one", secret}, API: gh.APIURL()},
		Pool:   pool, Push: push.New(pool, feed.Wake, log), Feed: feed, Log: log, RootURL: "https://tc.example",
		Create: func(context.Context, string, []templates.Task, func(string) error, ...string) error {
			return errors.New("no example's repository is there")
		},
		Level:  func(string) int { return 3 },
		Expand: func(_ context.Context, scopes []string) ([]string, error) { return scopes, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := web.Mount([]web.Service{githubapi.Service(room, "https://tc.example")}, webtest.As("me", "github:*"), web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	return &door{Handler: handler, room: room, pool: pool}
}

func sign(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (d *door) send(t testing.TB, event, guid, signature string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://tc.example/api/github/v1/github", bytes.NewReader(body))
	for name, value := range map[string]string{"X-GitHub-Event": event, "X-GitHub-Delivery": guid, "X-Hub-Signature-256": signature, "Content-Type": "application/json"} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func TestSignaturesAreOfTheBytesThatCame(t *testing.T) {
	d := open(t)
	// GitHub's own example of a signature.
	if got := sign([]byte("Hello, World!"), secret); got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Fatal(got)
	}
	old := hmac.New(sha1.New, []byte(secret))
	for i, c := range []struct {
		name, body, signature, event string
		want                         int
	}{
		{"good", `{"zen":"x"}`, "", "ping", 202},
		{"with another of the secrets", `{}`, sign([]byte(`{}`), "an older one"), "ping", 202},
		{"spaces and escapes", "{ \"a\" : \"\\u00e9\", \"b\":1.0 ,\"c\": 9007199254740993 }\n", "", "ping", 202},
		{"not ASCII", `{"a":"é"}`, "", "ping", 202},
		{"an unknown event", `{}`, "", "sponsorship", 202},
		{"upper case", `{}`, "sha256=" + strings.ToUpper(strings.TrimPrefix(sign([]byte(`{}`), secret), "sha256=")), "ping", 202},
		{"of another secret", `{}`, sign([]byte(`{}`), "wrong"), "ping", 401},
		{"of an empty secret", `{}`, sign([]byte(`{}`), ""), "ping", 401},
		{"of other bytes", `{} `, sign([]byte(`{}`), secret), "ping", 401},
		{"none", `{}`, "none", "ping", 401},
		{"SHA-1", `{}`, "sha1=" + hex.EncodeToString(old.Sum(nil)), "ping", 401},
		{"not JSON", `payload=%7B%7D`, "", "ping", 400},
		{"no event", `{}`, "", "", 400},
	} {
		if c.signature == "" {
			c.signature = sign([]byte(c.body), secret)
		}
		if got := d.send(t, c.event, fmt.Sprint("guid-", i), c.signature, []byte(c.body)); got.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, got.Code, c.want, got.Body)
		}
	}
	large := append([]byte(`{"a":"`), bytes.Repeat([]byte("x"), github.MaxBody)...)
	if got := d.send(t, "ping", "large", sign(large, secret), large); got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of %d bytes: %d", len(large), got.Code)
	}
}

// TestEveryExampleOfGitHubIsTaken posts all example webhooks of api.github.com: each is stored, and each has an
// outcome that says what it came to. Their repositories are not there, so none makes tasks.
func TestEveryExampleOfGitHubIsTaken(t *testing.T) {
	modules, err := npmtest.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(modules, "@octokit", "webhooks-examples", "api.github.com", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatal(err)
	}
	d := open(t)
	names := map[string]string{}
	for _, e := range events {
		for i, body := range e.Examples {
			guid := fmt.Sprintf("%s-%d", e.Name, i)
			names[guid] = e.Name
			for range 2 { // a second time changes nothing
				if got := d.send(t, e.Name, guid, sign(body, secret), body); got.Code != http.StatusAccepted {
					t.Errorf("%s: %d %s", guid, got.Code, got.Body)
				}
			}
		}
	}
	if len(names) != 329 {
		t.Errorf("%d examples", len(names))
	}
	for n := 1; n > 0; {
		if n, err = d.room.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	outcomes := map[string]int{}
	for _, guid := range slices.Sorted(maps.Keys(names)) {
		o, err := d.room.OutcomeOf(t.Context(), guid)
		if err != nil || o.State != "done" || o.Outcome == "" {
			t.Errorf("%s: %+v %v", guid, o, err)
		}
		outcomes[names[guid]+": "+o.Outcome]++
	}
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%3d %s", outcomes[o], o)
	}
}

func TestFilesAreRenderedForMadeUpEvents(t *testing.T) {
	d := open(t)
	render := func(file string, event map[string]any) (int, map[string]any) {
		t.Helper()
		text, err := json.Marshal(map[string]any{"body": file, "fakeEvent": event, "organization": "acme", "repository": "app"})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://tc.example/api/github/v1/taskcluster-yml", bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return w.Code, out
	}
	const file = `version: 1
reporting: checks-v1
tasks:
  $if: event.repository.full_name == "acme/app"
  then:
    - taskQueueId: proj/linux
      deadline: {$fromNow: 1 day}
      metadata: {name: "${tasks_for}", description: d, owner: o@example.com, source: "${event.repository.html_url}"}
      payload: {}
`
	for role, event := range map[string]map[string]any{
		"branch:main":            {"type": "github-push"},
		"tag:v2":                 {"type": "github-push", "overrides": map[string]any{"ref": "refs/tags/v2"}},
		"pull-request":           {"type": "github-pull-request", "action": "opened"},
		"pull-request-untrusted": {"type": "github-pull-request-untrusted", "action": "synchronize"},
		"release:published":      {"type": "github-release", "action": "published"},
	} {
		code, out := render(file, event)
		tasks, _ := out["tasks"].([]any)
		want := []any{"assume:repo:github.com/acme/app:" + role, "queue:route:checks", "queue:scheduler-id:taskcluster-github"}
		scopes, _ := out["scopes"].([]any)
		if code != 200 || len(tasks) != 1 || !slices.Equal(scopes, want) {
			t.Errorf("%s: %d %v", role, code, out)
			continue
		}
		one, _ := tasks[0].(map[string]any)
		about, _ := one["metadata"].(map[string]any)
		if about["name"] != event["type"] || one["taskId"] != one["taskGroupId"] {
			t.Errorf("%s: %v", role, one)
		}
	}
	if code, out := render("version: 1\ntasks: [1]\n", map[string]any{"type": "github-push"}); code != 400 || !strings.Contains(fmt.Sprint(out["message"]), ".taskcluster.yml:2") {
		t.Errorf("%d %v", code, out)
	}
	if code, _ := render(file, map[string]any{"type": "github-push", "action": "opened"}); code != 400 {
		t.Errorf("an event of no form: %d", code)
	}
}
