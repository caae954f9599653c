package app

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/push"
)

// browser is somebody who has signed in.
type browser struct {
	h      *hub
	cookie []*http.Cookie
}

func (h *hub) browse(client, token string) *browser {
	h.t.Helper()
	b := &browser{h: h}
	r := b.request(http.MethodPost, "/login", url.Values{"clientId": {client}, "accessToken": {token}})
	answer, err := (&http.Transport{}).RoundTrip(r)
	h.must(err)
	answer.Body.Close()
	if b.cookie = answer.Cookies(); len(b.cookie) == 0 {
		h.t.Fatalf("signing in: %s", answer.Status)
	}
	return b
}

func (b *browser) request(method, path string, form url.Values) *http.Request {
	b.h.t.Helper()
	r, err := http.NewRequestWithContext(b.h.t.Context(), method, b.h.config.RootURL+path, strings.NewReader(form.Encode()))
	b.h.must(err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range b.cookie {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) page(method, path string, form url.Values, want int) string {
	b.h.t.Helper()
	answer, err := (&http.Transport{}).RoundTrip(b.request(method, path, form))
	b.h.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	b.h.must(err)
	if answer.StatusCode != want {
		b.h.t.Errorf("%s %s: %s, want %d\n%.3000s", method, path, answer.Status, want, text)
	}
	return string(text)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// contents changes what the App may do with files; the server gets a token of that.
func (h *hub) contents(level string) {
	h.t.Helper()
	h.settle() // what is under way has the token of before
	h.app.Permissions["contents"] = level
	h.in.RevokeTokens()
	forge, err := h.server.github.Forge(h.t.Context(), push.Repository{Name: "acme.app"})
	h.must(err)
	h.until("a new token", func() bool {
		_, err := forge.Heads(h.t.Context())
		return err == nil
	})
}

func csrfIn(text string) []string {
	if m := csrfField.FindStringSubmatch(text); m != nil {
		return m[1:]
	}
	return nil
}

// start is what the form of the quickstart sends.
func (b *browser) start() url.Values {
	b.h.t.Helper()
	m := csrfField.FindStringSubmatch(b.page("GET", "/quickstart?repo=acme.app", nil, 200))
	if m == nil {
		b.h.t.Fatal("the page has no form")
	}
	return url.Values{"csrf": {m[1]}, "repo": {"acme.app"}}
}

func (b *browser) shows(text string, want ...string) {
	b.h.t.Helper()
	_, main, _ := strings.Cut(text, "<main")
	for _, w := range want {
		if !strings.Contains(main, w) {
			b.h.t.Errorf("the page lacks %q:\n%.6000s", w, main)
		}
	}
}

func TestTheQuickstartOpensAPullRequestAtGitHub(t *testing.T) {
	h := newHub(t, map[string]string{"go.mod": "module example.com/app\n\ngo 1.24\n", "a.go": "package app\n"})
	root := h.browse(RootClient, h.config.Secrets.RootToken)
	const path = "/quickstart?repo=acme.app"
	t.Run("an App that may only read says so, and how files get there all the same", func(t *testing.T) {
		text := root.page("GET", path, nil, 200)
		root.shows(text, `id="lacks"`, "<code>contents</code>", "/acme/app/new/main?filename=.taskcluster.yml&amp;quick_pull=1&amp;value=")
		if strings.Contains(text, `id="propose"`) || strings.Contains(text, "<code>pull_requests</code>") {
			t.Errorf("%.4000s", text)
		}
		form := url.Values{"repo": {"acme.app"}, "csrf": csrfIn(text)}
		root.shows(root.page("POST", "/quickstart", form, 403), "No pull request was opened.", "lacks the permission to write contents at acme")
	})
	h.contents("write")
	h.must(h.server.github.SyncInstallations(t.Context()))
	t.Run("people need a scope, and the form its token", func(t *testing.T) {
		_, token, err := h.server.auth.CreateClient(t.Context(), RootClient, "ada", auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: []string{"events:read", "localgit:fetch:*"}})
		h.must(err)
		ada := h.browse("ada", token)
		text := ada.page("GET", path, nil, 200)
		ada.shows(text, `id="may-not"`, "github:create-pull-request:acme/app")
		form := url.Values{"repo": {"acme.app"}, "csrf": csrfIn(text)}
		ada.shows(ada.page("POST", "/quickstart", form, 403), "github:create-pull-request:acme/app")
		root.page("POST", "/quickstart", url.Values{"repo": {"acme.app"}}, 403)
		if len(h.repo.Pulls()) != 0 {
			t.Error(h.repo.Pulls())
		}
	})
	form := root.start()
	link := `href="` + h.gh.URL() + `/acme/app/pull/1"`
	root.shows(root.page("POST", "/quickstart", form, 200), `id="made"`, link, "Pull request #1")
	p, view := h.repo.Pull(1)
	if view.Author != "treeline[bot]" || view.Base != "main" || !strings.Contains(p.Body(), "| `taskcluster/kinds/test/kind.yml` |") || !strings.Contains(p.Body(), h.config.RootURL+"/docs/how-to/github#give-roles") {
		t.Errorf("%+v\n%s", view, p.Body())
	}
	t.Run("sent again it is the same, and the log says who asked", func(t *testing.T) {
		root.shows(root.page("POST", "/quickstart", form, 200), "It is open already", link)
		list, err := h.server.auth.AuditLog(t.Context(), auth.AuditQuery{EntityType: "repository", Limit: 10})
		h.must(err)
		if len(list) != 2 || list[0].ClientID != RootClient || list[0].EntityID != "acme.app" || !strings.Contains(string(list[0].Change), "treeline/starter") {
			t.Errorf("%+v", list)
		}
	})
	t.Run("what GitHub refuses stands on the page", func(t *testing.T) {
		h.contents("read")
		p.Close("ada")
		root.shows(root.page("POST", "/quickstart", form, 403), "GitHub does not let the App do it: Resource not accessible by integration", `id="propose"`)
		p.Reopen("ada")
	})
	t.Run("merged, the files build what GitHub tells of", func(t *testing.T) {
		work := []string{"queue:create-task:highest:local/*", "queue:create-task:highest:built-in/*", "queue:create-task:project:none", "queue:scheduler-id:*", "queue:route:*", "queue:get-artifact:*", "in-tree:hook-action:*", "generic-worker:cache:acme-app-level-*"}
		for _, role := range []string{"branch:main", "pull-reques*"} {
			h.must(h.server.role(t.Context(), "repo:github.com/acme/app:"+role, work, "test"))
		}
		sha, err := p.Merge("ada")
		h.must(err)
		h.settle()
		group := ""
		for _, b := range h.builds() {
			if b.SHA == sha && b.EventType == "push" {
				group = b.TaskGroupID
			}
		}
		parameters, names := h.decided(group)
		if parameters["head_rev"] != sha || parameters["level"] != "3" || !strings.Contains(strings.Join(names, " "), "test-go") {
			t.Errorf("%v %v", parameters, names)
		}
		head, err := h.repo.Push("ada", "topic", ghfake.Change{Files: map[string]string{"b.go": "package app\n"}})
		h.must(err)
		_, err = h.repo.OpenPull("ada", h.repo, "topic", "main", "more")
		h.must(err)
		h.settle()
		parameters, names = h.decided(h.build("pull_request.opened").TaskGroupID)
		if parameters["head_rev"] != head || parameters["level"] != "1" || !strings.Contains(strings.Join(names, " "), "test-go") {
			t.Errorf("%v %v", parameters, names)
		}
		text := root.page("GET", path, nil, 200)
		root.shows(text, `id="there"`, "No pull request is offered")
		form := url.Values{"repo": {"acme.app"}, "csrf": csrfIn(text)}
		root.shows(root.page("POST", "/quickstart", form, 409), "No pull request was opened.")
	})
}
