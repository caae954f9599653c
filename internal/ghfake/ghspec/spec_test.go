package ghspec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bradleyfalzon/ghinstallation/v2"

	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/ghfake/ghspec"
)

// world is a double whose every exchange is held against GitHub's description.
type world struct {
	t       *testing.T
	gh      *ghfake.Server
	app     *ghfake.App
	in      *ghfake.Installation
	repo    *ghfake.Repository
	asApp   *http.Client
	install *http.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	spec, err := ghspec.Load(t.Context(), ghfake.Routes())
	must(t, err)
	w := &world{t: t}
	w.gh, err = ghfake.Start(ghfake.Options{Dir: t.TempDir(), Inspector: spec})
	must(t, err)
	t.Cleanup(func() { must(t, w.gh.Close()) })
	w.app, err = w.gh.AddApp("treeline", "http://127.0.0.1:1/hook", "secret")
	must(t, err)
	w.repo, err = w.gh.AddRepository("acme/app", false)
	must(t, err)
	w.repo.Grant("ada", "write")
	_, err = w.repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"README.md": "hello\n", "dir/a.txt": "a\n"}, Message: "begin"})
	must(t, err)
	w.in = w.app.Install("acme", w.repo)
	w.reach()
	return w
}

// reach makes the clients anew, with tokens of the permissions that there are now.
func (w *world) reach() {
	w.t.Helper()
	t := w.t
	apps, err := ghinstallation.NewAppsTransport(http.DefaultTransport, w.app.ID, w.app.PrivateKey())
	must(t, err)
	apps.BaseURL = strings.TrimSuffix(w.gh.APIURL(), "/")
	tokens := ghinstallation.NewFromAppsTransport(apps, w.in.ID)
	tokens.BaseURL = apps.BaseURL
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.asApp, w.install = &http.Client{Transport: apps, CheckRedirect: stay}, &http.Client{Transport: tokens, CheckRedirect: stay}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do makes a request below the API's root, wants a status and returns the answer.
func (w *world) do(c *http.Client, method, path string, body any, want int) map[string]any {
	w.t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		must(w.t, err)
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.gh.APIURL()+path, in)
	must(w.t, err)
	answer, err := c.Do(r)
	must(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(w.t, err)
	if answer.StatusCode != want {
		w.t.Errorf("%s %s: %s, want %d\n%.600s", method, path, answer.Status, want, text)
	}
	out := map[string]any{}
	if bytes.HasPrefix(text, []byte("{")) {
		must(w.t, json.Unmarshal(text, &out))
	}
	return out
}

func id(v map[string]any, key string) string {
	n, _ := v[key].(float64)
	return fmt.Sprintf("%.0f", n)
}

type m = map[string]any

func TestEveryRouteOfTheDoubleIsAsGitHubDescribesIt(t *testing.T) {
	w := newWorld(t)
	head := w.repo.Head("main")
	_, err := w.repo.Push("ada", "topic", ghfake.Change{Files: map[string]string{"dir/b.txt": "b\n"}, Remove: []string{"README.md"}, Message: "change"})
	must(t, err)
	p, err := w.repo.OpenPull("ada", w.repo, "topic", "main", "a change")
	must(t, err)
	comment := w.repo.Comment("ada", p.Number, "words")
	_, err = w.repo.Release("ada", "v1", "main")
	must(t, err)
	must(t, w.gh.Drain(t.Context()))

	w.do(w.asApp, "GET", "app", nil, 200)
	w.do(w.asApp, "GET", "app/hook/config", nil, 200)
	w.do(w.asApp, "GET", "app/installations?per_page=100", nil, 200)
	in := w.do(w.asApp, "GET", "repos/acme/app/installation", nil, 200)
	w.do(w.asApp, "GET", "app/installations/"+id(in, "id"), nil, 200)
	w.do(w.asApp, "POST", "app/installations/"+id(in, "id")+"/access_tokens", m{"repositories": []string{"app"}, "permissions": m{"contents": "read"}}, 201)
	w.do(w.asApp, "POST", "app/installations/"+id(in, "id")+"/access_tokens", nil, 201)
	w.do(w.asApp, "GET", "app/hook/deliveries", nil, 200)
	delivery := fmt.Sprint(w.gh.Delivered()[0].ID)
	w.do(w.asApp, "GET", "app/hook/deliveries/"+delivery, nil, 200)
	w.do(w.asApp, "POST", "app/hook/deliveries/"+delivery+"/attempts", nil, 202)

	get := func(path string) map[string]any { t.Helper(); return w.do(w.install, "GET", path, nil, 200) }
	for _, path := range []string{"meta", "rate_limit", "users/ada", "installation/repositories"} {
		get(path)
	}
	repo := get("repos/acme/app")
	get("repositories/" + id(repo, "id"))
	tree := ""
	for _, path := range []string{
		"branches", "branches/main", "contents/README.md", "contents/dir", "git/ref/heads/main", "git/matching-refs/heads/", "commits", "commits/main", "compare/main...topic",
		"pulls?state=all", fmt.Sprintf("pulls/%d", p.Number), fmt.Sprintf("pulls/%d/files", p.Number), fmt.Sprintf("pulls/%d/commits", p.Number), "collaborators/ada/permission",
		fmt.Sprintf("issues/%d/comments", p.Number), "releases", "releases/tags/v1", "git/commits/" + head, "git/trees/" + head + "?recursive=1",
	} {
		out := get("repos/acme/app/" + path)
		if list, ok := out["tree"].([]any); ok && len(list) > 0 {
			for _, e := range list {
				if e, ok := e.(m); ok && e["type"] == "blob" {
					tree, _ = e["sha"].(string)
				}
			}
		}
	}
	get("repos/acme/app/git/blobs/" + tree)
	w.do(w.install, "GET", "repos/acme/app/tarball/main", nil, 302)
	w.do(w.install, "GET", "repos/acme/app/collaborators/ada", nil, 204)
	w.do(w.install, "GET", "repos/acme/app/contents/missing", nil, 404)

	post := func(path string, body any, status int) map[string]any {
		t.Helper()
		return w.do(w.install, "POST", "repos/acme/app/"+path, body, status)
	}
	post(fmt.Sprintf("issues/%d/comments", p.Number), m{"body": "words"}, 201)
	w.do(w.install, "PATCH", fmt.Sprintf("repos/acme/app/issues/comments/%d", comment.ID), m{"body": "other words"}, 200)
	post(fmt.Sprintf("issues/comments/%d/reactions", comment.ID), m{"content": "eyes"}, 201)
	post("commits/"+head+"/comments", m{"body": "words"}, 201)
	post("statuses/"+head, m{"state": "pending", "context": "ci", "description": "words", "target_url": "https://example.com"}, 201)
	get("repos/acme/app/commits/" + head + "/statuses")
	get("repos/acme/app/commits/" + head + "/status")
	w.proposes(head)
	run := post("check-runs", m{"name": "tests", "head_sha": head, "status": "in_progress", "started_at": "2026-11-21T12:00:00Z", "details_url": "https://example.com", "external_id": "x"}, 201)
	at := "repos/acme/app/check-runs/" + id(run, "id")
	w.do(w.install, "PATCH", at, m{
		"name": "tests", "status": "completed", "conclusion": "failure", "completed_at": "2026-11-21T12:01:00Z",
		"output":  m{"title": "It failed", "summary": "words", "text": "more", "annotations": []m{{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "wrong"}}},
		"actions": []m{{"label": "Rerun", "description": "Again", "identifier": "rerun"}},
	}, 200)
	get(at)
	get(at + "/annotations")
	w.do(w.install, "POST", at+"/rerequest", nil, 201)
	get("repos/acme/app/commits/" + head + "/check-runs?filter=all&per_page=100")
	suites := get("repos/acme/app/commits/" + head + "/check-suites")
	list, _ := suites["check_suites"].([]any)
	suite, _ := list[0].(m)
	get("repos/acme/app/check-suites/" + id(suite, "id"))
	get("repos/acme/app/check-suites/" + id(suite, "id") + "/check-runs")
	post("check-suites/"+id(suite, "id")+"/rerequest", nil, 201)

	w.manifest()

	asked := map[string]bool{}
	for _, c := range w.gh.Calls() {
		asked[c.Route] = true
	}
	for _, r := range ghfake.Routes() {
		if !asked[r] {
			t.Errorf("nothing asks for %s", r)
		}
	}
	for _, c := range w.gh.Complaints() {
		t.Error(c)
	}
}

// proposes makes a pull request out of contents.
func (w *world) proposes(head string) {
	w.t.Helper()
	post := func(path string, body any, status int) map[string]any {
		w.t.Helper()
		return w.do(w.install, "POST", "repos/acme/app/"+path, body, status)
	}
	post("git/commits", m{"message": "x", "tree": head}, 403)
	w.app.Permissions["contents"] = "write"
	w.reach()
	tree := post("git/trees", m{"base_tree": w.do(w.install, "GET", "repos/acme/app/git/commits/"+head, nil, 200)["tree"].(m)["sha"], "tree": []m{
		{"path": "dir/new.txt", "mode": "100644", "type": "blob", "content": "new\n"}}}, 201)
	commit := post("git/commits", m{"message": "Add a file", "tree": tree["sha"], "parents": []string{head}}, 201)
	post("git/refs", m{"ref": "refs/heads/made/here", "sha": commit["sha"]}, 201)
	post("git/refs", m{"ref": "refs/heads/made/here", "sha": commit["sha"]}, 422)
	post("git/refs", m{"ref": "refs/heads/made/here/below", "sha": commit["sha"]}, 422)
	post("git/trees", m{"tree": []m{{"path": "../x", "mode": "100644", "type": "blob", "content": "x"}}}, 422)
	w.do(w.install, "PATCH", "repos/acme/app/git/refs/heads/made/here", m{"sha": head, "force": false}, 422)
	w.do(w.install, "PATCH", "repos/acme/app/git/refs/heads/made/here", m{"sha": commit["sha"], "force": false}, 200)
	post("pulls", m{"title": "A file", "head": "made/here", "base": "main", "body": "words"}, 201)
	post("pulls", m{"title": "A file", "head": "made/here", "base": "main", "body": "words"}, 422)
	post("pulls", m{"title": "A file", "head": "main", "base": "main"}, 422)
	post("pulls", m{"title": "A file", "head": "nowhere", "base": "main"}, 422)
}

// manifest makes an App as `treeline github setup` does.
func (w *world) manifest() {
	w.t.Helper()
	form := url.Values{"manifest": {`{"name": "Other", "url": "https://ci.example.com", "hook_attributes": {"url": "https://ci.example.com/hook"}, "redirect_url": "http://127.0.0.1:1/back",
		"public": false, "default_permissions": {"checks": "write"}, "default_events": ["push"]}`}}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(path string, form url.Values) (page, location string) {
		r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.gh.URL()+path, strings.NewReader(form.Encode()))
		must(w.t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := browser.Do(r)
		must(w.t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		must(w.t, err)
		return string(text), answer.Header.Get("Location")
	}
	page, _ := send("/organizations/acme/settings/apps/new?state=s", form)
	_, code, _ := strings.Cut(page, `name="code" value="`)
	code, _, _ = strings.Cut(code, `"`)
	_, location := send("/settings/apps/confirm", url.Values{"code": {code}})
	if location != "http://127.0.0.1:1/back?code="+code+"&state=s" {
		w.t.Errorf("it leads back to %s\n%s", location, page)
	}
	out := w.do(http.DefaultClient, "POST", "app-manifests/"+code+"/conversions", nil, 201)
	if key, _ := out["pem"].(string); !strings.Contains(key, "PRIVATE KEY") || out["webhook_secret"] == "" {
		w.t.Errorf("%v", out)
	}
	w.do(http.DefaultClient, "POST", "app-manifests/"+code+"/conversions", nil, 404)
}

func TestWhatGitHubWouldNotTakeIsRefusedAndTold(t *testing.T) {
	w := newWorld(t)
	head := w.repo.Head("main")
	for _, c := range []struct {
		name, path string
		body       any
	}{
		{"a status that there is none of", "check-runs", m{"name": "x", "head_sha": head, "status": "sleeping"}},
		{"no revision", "check-runs", m{"name": "x"}},
		{"a conclusion without meaning", "check-runs", m{"name": "x", "head_sha": head, "status": "completed", "conclusion": "great"}},
		{"four buttons", "check-runs", m{"name": "x", "head_sha": head, "actions": []m{
			{"label": "a", "description": "a", "identifier": "a"}, {"label": "b", "description": "b", "identifier": "b"},
			{"label": "c", "description": "c", "identifier": "c"}, {"label": "d", "description": "d", "identifier": "d"},
		}}},
		{"a long label", "check-runs", m{"name": "x", "head_sha": head, "actions": []m{{"label": strings.Repeat("a", 21), "description": "a", "identifier": "a"}}}},
		{"a state of a status", "statuses/" + head, m{"state": "fine"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.gh.Complaints())
			w.do(w.install, "POST", "repos/acme/app/"+c.path, c.body, 422)
			if len(w.gh.Complaints()) != before+1 || len(w.repo.CheckRuns(head)) != 0 {
				t.Errorf("%v", w.gh.Complaints()[before:])
			}
		})
	}
}

func TestARouteThatGitHubDoesNotDescribeIsTold(t *testing.T) {
	if _, err := ghspec.Load(t.Context(), []string{"GET /app", "GET /app/nonsense"}); err == nil || !strings.Contains(err.Error(), "GitHub describes no GET /app/nonsense") {
		t.Error(err)
	}
}
