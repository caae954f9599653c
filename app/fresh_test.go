package app

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// What Config.FreshSignIn says is what the pages of a server ask for.
func TestAServerAsksForAFreshSignIn(t *testing.T) {
	w := walk(t)
	do := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, w.address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(w.cookie)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := w.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	_, page := do("GET", "/auth/new-role", "")
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page)
	if csrf == nil {
		t.Fatal("the page has no form")
	}
	create := func(id string) (int, string) {
		t.Helper()
		return do("POST", "/auth/new-role", url.Values{"csrf": {csrf[1]}, "id": {id}, "scopes": {"a"}, "act": {"save"}}.Encode())
	}
	if status, _ := create("one"); status != http.StatusSeeOther {
		t.Errorf("a fresh session: status %d", status)
	}
	if _, err := w.app.pool.Exec(t.Context(), `UPDATE ui_sessions SET proved = now() - interval '61 minutes'`); err != nil {
		t.Fatal(err)
	}
	if status, page := create("two"); status != http.StatusForbidden || !strings.Contains(page, "it takes a sign-in of the last 1 h") {
		t.Errorf("a stale one: status %d: %.200s", status, page)
	}
	if status, _ := do("GET", "/auth/roles/one", ""); status != http.StatusOK {
		t.Errorf("looking: status %d", status)
	}
}
