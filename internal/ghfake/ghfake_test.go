package ghfake_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake"
)

const secret = "It's a Secret to Everybody"

type received struct {
	event, guid string
	body        []byte
}

// hook is a double with an App whose webhooks are received here.
type hook struct {
	server       *ghfake.Server
	app          *ghfake.App
	installation *ghfake.Installation
	repo         *ghfake.Repository
	now          time.Time

	mu  sync.Mutex
	got []received
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{now: time.Now()}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.Header.Get("X-Hub-Signature-256") != want {
			t.Errorf("signature %s, want %s", r.Header.Get("X-Hub-Signature-256"), want)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, received{r.Header.Get("X-GitHub-Event"), r.Header.Get("X-GitHub-Delivery"), body})
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(receiver.Close)
	var err error
	h.server, err = ghfake.Start(ghfake.Options{Dir: t.TempDir(), Now: func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }})
	check(err)
	t.Cleanup(func() { check(h.server.Close()) })
	h.app, err = h.server.AddApp("treeline", receiver.URL, secret)
	check(err)
	h.repo, err = h.server.AddRepository("acme/app", true)
	check(err)
	h.installation = h.app.Install("acme", h.repo)
	return h
}

func (h *hook) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *hook) deliveries(t *testing.T) []received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.server.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]received(nil), h.got...)
}

// jwt is an App's token.
func (h *hook) jwt(t *testing.T, algorithm string, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	if key == nil {
		block, _ := pem.Decode(h.app.PrivateKey())
		var err error
		if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+algorithm+`","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (h *hook) claims(change map[string]any) map[string]any {
	c := map[string]any{"iss": fmt.Sprint(h.app.ID), "iat": h.now.Unix() - 30, "exp": h.now.Unix() + 300}
	for k, v := range change {
		c[k] = v
	}
	return c
}

type result struct {
	status int
	header http.Header
	body   map[string]any
	list   []any
	text   string
}

func (h *hook) call(t *testing.T, method, path, token string, body any, header ...string) result {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, h.server.APIURL()+strings.TrimPrefix(path, "/"), strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := result{status: answer.StatusCode, header: answer.Header, text: string(data)}
	if len(data) > 0 && data[0] == '{' {
		err = json.Unmarshal(data, &out.body)
	} else if len(data) > 0 && data[0] == '[' {
		err = json.Unmarshal(data, &out.list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (h *hook) token(t *testing.T) string {
	t.Helper()
	got := h.call(t, "POST", fmt.Sprintf("app/installations/%d/access_tokens", h.installation.ID), h.jwt(t, "RS256", nil, h.claims(nil)), nil)
	token, _ := got.body["token"].(string)
	if got.status != http.StatusCreated || token == "" {
		t.Fatalf("%d %s", got.status, got.text)
	}
	return token
}

func (h *hook) createRun(t *testing.T, sha string) int64 {
	t.Helper()
	got := h.call(t, "POST", "repos/acme/app/check-runs", h.token(t), map[string]any{
		"name": "build", "head_sha": sha, "external_id": "x", "conclusion": "failure", "output": map[string]any{"title": "a", "summary": "b"},
		"actions": []any{map[string]any{"label": "Rerun", "description": "Run it again", "identifier": "rerun"}},
	})
	id, _ := got.body["id"].(float64)
	if got.status != http.StatusCreated || id <= 1<<31 {
		t.Fatalf("%d %s", got.status, got.text)
	}
	return int64(id)
}

func push(t *testing.T, r *ghfake.Repository, branch string, files map[string]string) string {
	t.Helper()
	sha, err := r.Push("ada", branch, ghfake.Change{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

func TestAppsSignInAsAtGitHub(t *testing.T) {
	h := newHook(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"a good token":             {h.jwt(t, "RS256", nil, h.claims(nil)), 200},
		"one that ended":           {h.jwt(t, "RS256", nil, h.claims(map[string]any{"exp": h.now.Unix() - 1})), 401},
		"one that lasts too long":  {h.jwt(t, "RS256", nil, h.claims(map[string]any{"exp": h.now.Unix() + 1200})), 401},
		"one from the future":      {h.jwt(t, "RS256", nil, h.claims(map[string]any{"iat": h.now.Unix() + 500})), 401},
		"one of another App":       {h.jwt(t, "RS256", nil, h.claims(map[string]any{"iss": "77"})), 401},
		"one signed by a stranger": {h.jwt(t, "RS256", stranger, h.claims(nil)), 401},
		"one of another kind":      {h.jwt(t, "none", nil, h.claims(nil)), 401},
		"none":                     {"", 401},
	} {
		if got := h.call(t, "GET", "app", c.token, nil); got.status != c.want || got.body["message"] == "" {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

func TestInstallationTokensExpireAndAreLimited(t *testing.T) {
	h := newHook(t)
	push(t, h.repo, "main", map[string]string{"a": "1"})
	token := h.token(t)
	read := func(token string) int { return h.call(t, "GET", "repos/acme/app/contents/a", token, nil).status }
	if got := read(token); got != 200 {
		t.Errorf("a fresh token: %d", got)
	}
	h.installation.Suspend()
	if got := read(token); got != 403 {
		t.Errorf("while suspended: %d", got)
	}
	h.installation.Unsuspend()
	h.pass(61 * time.Minute)
	if got := read(token); got != 401 {
		t.Errorf("after an hour: %d", got)
	}
	narrow := h.call(t, "POST", fmt.Sprintf("app/installations/%d/access_tokens", h.installation.ID), h.jwt(t, "RS256", nil, h.claims(nil)),
		map[string]any{"repositories": []string{"app"}, "permissions": map[string]string{"contents": "read"}})
	got, _ := narrow.body["token"].(string)
	if s := read(got); s != 200 {
		t.Errorf("a narrow token reads: %d", s)
	}
	if s := h.call(t, "POST", "repos/acme/app/statuses/"+h.repo.Head("main"), got, map[string]string{"state": "success"}); s.status != 403 {
		t.Errorf("a narrow token writes: %d", s.status)
	}
	if _, err := h.server.AddRepository("acme/hidden", true); err != nil {
		t.Fatal(err)
	}
	if s := h.call(t, "GET", "repos/acme/hidden", h.token(t), nil); s.status != 404 {
		t.Errorf("a repository beyond the installation: %d", s.status)
	}
}

func TestRepositoriesCanBeCloned(t *testing.T) {
	h := newHook(t)
	sha := push(t, h.repo, "main", map[string]string{"a": "1", "dir/b": "2"})
	clone := func(url string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "git", "clone", "-q", url, filepath.Join(t.TempDir(), "clone"))
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null")
		out, err := cmd.CombinedOutput()
		if err == nil {
			head := exec.CommandContext(t.Context(), "git", "-C", cmd.Args[len(cmd.Args)-1], "rev-parse", "HEAD")
			out, err = head.CombinedOutput()
		}
		return out, err
	}
	if out, err := clone(h.repo.CloneURL()); err == nil {
		t.Errorf("a private repository was cloned without a token: %s", out)
	}
	with := strings.Replace(h.repo.CloneURL(), "http://", "http://x-access-token:"+h.token(t)+"@", 1)
	if out, err := clone(with); err != nil || strings.TrimSpace(string(out)) != sha {
		t.Errorf("%v %s, want %s", err, out, sha)
	}
}

func TestAnswersAreConditionalPagedAndLimited(t *testing.T) {
	h := newHook(t)
	files := map[string]string{}
	for i := range 5 {
		push(t, h.repo, fmt.Sprintf("b%d", i), map[string]string{"a": fmt.Sprint(i)})
		files[fmt.Sprintf("f%d", i)] = "x"
	}
	token := h.token(t)
	first := h.call(t, "GET", "repos/acme/app/branches?per_page=2", token, nil)
	if len(first.list) != 2 || !strings.Contains(first.header.Get("Link"), `page=2&per_page=2>; rel="next"`) {
		t.Errorf("%d branches, Link %s", len(first.list), first.header.Get("Link"))
	}
	left := first.header.Get("X-RateLimit-Remaining")
	again := h.call(t, "GET", "repos/acme/app/branches?per_page=2", token, nil, "If-None-Match", first.header.Get("ETag"))
	if again.status != 304 || again.header.Get("X-RateLimit-Remaining") != left || again.text != "" {
		t.Errorf("%d, remaining %s of %s", again.status, again.header.Get("X-RateLimit-Remaining"), left)
	}
	h.installation.LimitRequests(1, h.now.Add(time.Minute), false)
	h.call(t, "GET", "repos/acme/app", token, nil)
	if got := h.call(t, "GET", "repos/acme/app", token, nil); got.status != 403 || got.header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("beyond the limit: %d %v", got.status, got.header)
	}
	h.pass(2 * time.Minute)
	if got := h.call(t, "GET", "repos/acme/app", token, nil); got.status != 200 {
		t.Errorf("in the next window: %d", got.status)
	}
	h.server.SecondaryLimit(time.Minute, false)
	if got := h.call(t, "GET", "repos/acme/app", token, nil); got.status != 403 || got.header.Get("Retry-After") != "60" {
		t.Errorf("secondary: %d %v", got.status, got.header)
	}
	h.pass(2 * time.Minute)
	h.server.FailNext(1, 502)
	if got := h.call(t, "GET", "repos/acme/app", token, nil); got.status != 502 {
		t.Errorf("a failure that was asked for: %d", got.status)
	}
	h.server.Outage(true)
	if got := h.call(t, "GET", "repos/acme/app", token, nil); got.status != 503 {
		t.Errorf("an outage: %d", got.status)
	}
}

func TestBodiesAreHeldAgainstWhatGitHubTakes(t *testing.T) {
	h := newHook(t)
	sha := push(t, h.repo, "main", map[string]string{"a": "1"})
	token := h.token(t)
	actions := make([]any, 4)
	for i := range actions {
		actions[i] = map[string]any{"label": "a", "description": "b", "identifier": fmt.Sprint(i)}
	}
	annotations := make([]any, 51)
	for i := range annotations {
		annotations[i] = map[string]any{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
	}
	for name, change := range map[string]map[string]any{
		"no name":               {"name": nil},
		"an unknown field":      {"colour": "red"},
		"a wrong type":          {"external_id": 7},
		"four actions":          {"actions": actions},
		"a long label":          {"actions": []any{map[string]any{"label": strings.Repeat("x", 21), "description": "b", "identifier": "c"}}},
		"a long text":           {"output": map[string]any{"title": "a", "summary": "b", "text": strings.Repeat("x", 65536)}},
		"51 annotations":        {"output": map[string]any{"title": "a", "summary": "b", "annotations": annotations}},
		"output without title":  {"output": map[string]any{"summary": "b"}},
		"a misspelt conclusion": {"conclusion": "canceled"},
		"completed without one": {"status": "completed"},
		"an unknown revision":   {"head_sha": strings.Repeat("5", 40)},
	} {
		body := map[string]any{"name": "build", "head_sha": sha}
		for k, v := range change {
			body[k] = v
		}
		got := h.call(t, "POST", "repos/acme/app/check-runs", token, body)
		if got.status != 422 || got.body["documentation_url"] == "" {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	if got := h.call(t, "POST", "repos/acme/app/statuses/"+sha, token, map[string]any{"state": "running"}); got.status != 422 {
		t.Errorf("status running: %d", got.status)
	}
}

func TestDeliveriesFailAndAreMadeAgain(t *testing.T) {
	h := newHook(t)
	before := len(h.deliveries(t))
	h.server.Deliveries(ghfake.Fail)
	push(t, h.repo, "main", map[string]string{"a": "1"})
	if got := h.deliveries(t); len(got) != before {
		t.Fatalf("%d deliveries came although they fail", len(got)-before)
	}
	h.server.Deliveries(ghfake.Deliver)
	jwt := h.jwt(t, "RS256", nil, h.claims(nil))
	log := h.call(t, "GET", "app/hook/deliveries?per_page=1", jwt, nil)
	if len(log.list) != 1 || !strings.Contains(log.header.Get("Link"), "cursor=") {
		t.Fatalf("%v, Link %s", log.list, log.header.Get("Link"))
	}
	all := h.call(t, "GET", "app/hook/deliveries?per_page=100", jwt, nil)
	for _, x := range all.list {
		d, _ := x.(map[string]any)
		if d["event"] != "push" {
			continue
		}
		id, _ := d["id"].(float64)
		if d["status"] == "OK" || h.call(t, "POST", fmt.Sprintf("app/hook/deliveries/%.0f/attempts", id), jwt, nil).status != 202 {
			t.Errorf("%v", d)
		}
		got := h.deliveries(t)
		if len(got) != before+1 || got[before].event != "push" || got[before].guid != d["guid"] {
			t.Errorf("redelivered %d", len(got)-before)
		}
		return
	}
	t.Error("the log has no push")
}

func TestPullRequestsFromForks(t *testing.T) {
	h := newHook(t)
	push(t, h.repo, "main", map[string]string{"a": "1"})
	fork, err := h.repo.Fork("stranger")
	if err != nil {
		t.Fatal(err)
	}
	sha := push(t, fork, "patch", map[string]string{"b": "2"})
	p, err := h.repo.OpenPull("stranger", fork, "patch", "main", "a patch")
	if err != nil {
		t.Fatal(err)
	}
	token := h.token(t)
	if got := h.call(t, "GET", "repos/acme/app/contents/b?ref="+sha, token, nil); got.status != 200 {
		t.Errorf("the head cannot be read in the base repository: %d", got.status)
	}
	files := h.call(t, "GET", fmt.Sprintf("repos/acme/app/pulls/%d/files", p.Number), token, nil)
	if len(files.list) != 1 {
		t.Errorf("%s", files.text)
	}
	for login, want := range map[string]string{"stranger": "none", "ada": "none", "acme": "admin"} {
		got := h.call(t, "GET", "repos/acme/app/collaborators/"+login+"/permission", token, nil)
		if got.body["permission"] != want {
			t.Errorf("%s: %s", login, got.text)
		}
	}
	h.repo.Grant("ada", "maintain")
	if got := h.call(t, "GET", "repos/acme/app/collaborators/ada/permission", token, nil); got.body["permission"] != "write" || got.body["role_name"] != "maintain" {
		t.Errorf("%s", got.text)
	}
	if got := h.repo.Head("refs/pull/1/merge"); got == "" {
		t.Error("there is no merge of the pull request")
	}
}
