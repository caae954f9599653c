package e2e_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake"
)

// bringGitHub puts the double in GitHub's place, and a person in front of the browser, who presses what there is to press
// when an App is made.
func (r *reader) bringGitHub() {
	r.t.Helper()
	gh, err := ghfake.Start(ghfake.Options{Dir: r.t.TempDir()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := gh.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.github = gh
	r.literal["--org acme"] = "--org acme --ghes " + gh.URL()
	r.opens(r.makesAnApp)
}

// opens says what becomes of an address that a program opens the browser at.
func (r *reader) opens(visit func(address string)) {
	r.t.Helper()
	browser := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { visit(q.URL.Query().Get("open")) }))
	r.t.Cleanup(browser.Close)
	r.program("xdg-open", "exec curl -s --get --data-urlencode \"open=$1\" "+browser.URL)
}

// bringInstallation installs the App at a repository, and pushes to it.
func (r *reader) bringInstallation() {
	r.t.Helper()
	repo, err := r.github.AddRepository("acme/app", true)
	if err != nil {
		r.t.Fatal(err)
	}
	r.github.Apps()[0].Install("acme", repo)
	if _, err := repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "1"}}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.github.Drain(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// makesAnApp goes from the page of "treeline github setup" to GitHub and back.
func (r *reader) makesAnApp(here string) {
	page, _ := r.visit(http.MethodGet, here, nil)
	manifest := r.field(`name="manifest" value="([^"]+)"`, page)
	page, _ = r.visit(http.MethodPost, r.field(`<form action="([^"]+)"`, page), url.Values{"manifest": {manifest}})
	_, back := r.visit(http.MethodPost, r.github.URL()+"/settings/apps/confirm", url.Values{"code": {r.field(`name="code" value="([^"]+)"`, page)}})
	r.visit(http.MethodGet, back, nil)
}

// visit opens a page, and returns it with where it leads to.
func (r *reader) visit(method, address string, form url.Values) (page, location string) {
	q, err := http.NewRequestWithContext(r.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Error(err)
		return "", ""
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Do(q)
	if err != nil {
		r.t.Error(err)
		return "", ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Error(err)
	}
	return string(text), answer.Header.Get("Location")
}

func (r *reader) field(pattern, page string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if m == nil {
		r.t.Errorf("there is no %s in\n%s", pattern, page)
		return ""
	}
	return html.UnescapeString(m[1])
}
