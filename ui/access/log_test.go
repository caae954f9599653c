package access_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/ui/access"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/session"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestWhatIsTypedIsNotLogged signs in with a token in the field of the client.
func TestWhatIsTypedIsNotLogged(t *testing.T) {
	site := uitest.New(t)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sessions := &session.Store{Pool: site.Pool, Auth: site.Auth, Login: site.Login, Log: logger}
	kit, err := page.New(page.Deps{Sessions: sessions, Repositories: site.Push.Repositories, Assets: &page.Assets{}, RootURL: site.URL, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	pages := &access.Pages{Auth: site.Auth, Login: site.Login, Sessions: sessions, Settings: &home.Settings{Pool: site.Pool}, Log: logger}
	if err := pages.Register(kit); err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]url.Values{
		"in the field of the client": {"clientId": {uitest.AdminToken}, "accessToken": {uitest.AdminToken}},
		"a wrong one":                {"clientId": {uitest.Admin}, "accessToken": {uitest.DevToken}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		kit.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if text := log.String(); !strings.Contains(text, "a sign-in was refused") || strings.Contains(text, uitest.AdminToken) || strings.Contains(text, uitest.DevToken) {
		t.Errorf("the log says %s", text)
	}
}
