package ui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func TestSignIn(t *testing.T) {
	s := uitest.New(t)
	id := s.Task(t, task.Pending)
	t.Run("a wrong token is refused, and the page says so", func(t *testing.T) {
		d := s.Browser(t).Post(t, "/login", url.Values{"clientId": {uitest.Admin}, "accessToken": {"wrong"}})
		if d.Status != http.StatusUnauthorized || d.Text(".notice") == "" || strings.Contains(d.Body, "wrong") {
			t.Errorf("got status %d: %s", d.Status, d.Text(".notice"))
		}
	})
	for _, c := range []struct{ next, want string }{
		{"/tasks/" + id + "?tab=log", "/tasks/" + id}, {"https://example.com/", "/"}, {"//example.com/", "/"}, {`/\example.com`, "/"}, {"", "/"},
	} {
		t.Run(fmt.Sprintf("after signing in with next=%q one is at %s", c.next, c.want), func(t *testing.T) {
			b := s.Browser(t)
			d := b.Post(t, "/login", url.Values{"clientId": {uitest.Admin}, "accessToken": {uitest.AdminToken}, "next": {c.next}})
			if d.URL.Path != c.want || "http://"+d.URL.Host != s.URL {
				t.Errorf("got %s", d.URL)
			}
			if got := d.Text("#user"); !strings.Contains(got, "Signed in as "+uitest.Admin) {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("temporary credentials keep their scopes and their end", func(t *testing.T) {
		admin := hawk.Credentials{ClientID: uitest.Admin, AccessToken: uitest.AdminToken}
		now := time.Now()
		for _, c := range []struct {
			expiry time.Duration
			status int
		}{{time.Hour, http.StatusOK}, {-30 * time.Minute, http.StatusUnauthorized}} {
			temporary, err := hawk.CreateTemporary(admin, hawk.TempOptions{Scopes: []string{"queue:cancel-task:*"}, Start: now.Add(-time.Hour), Expiry: now.Add(c.expiry)})
			if err != nil {
				t.Fatal(err)
			}
			b := s.Browser(t)
			d := b.Post(t, "/login", url.Values{
				"clientId": {temporary.ClientID}, "accessToken": {temporary.AccessToken}, "certificate": {temporary.Certificate}, "next": {"/tasks/" + id},
			})
			if d.Status != c.status {
				t.Fatalf("got status %d, want %d: %s", d.Status, c.status, d.Text(".notice"))
			}
			if c.status == http.StatusOK && strings.Contains(d.Text(".why"), "Cancel:") {
				t.Error("cancelling is not allowed")
			}
		}
		var ends time.Time
		if err := s.Pool.QueryRow(t.Context(), `SELECT expires FROM ui_sessions WHERE scopes IS NOT NULL`).Scan(&ends); err != nil {
			t.Fatal(err)
		}
		if d := ends.Sub(now); d < 59*time.Minute || d > 61*time.Minute {
			t.Errorf("the session ends in %v, want an hour", d)
		}
	})
	t.Run("a new access token ends the sessions begun with the old one", func(t *testing.T) {
		_, old, err := s.Auth.CreateClient(t.Context(), uitest.Admin, "ann", auth.ClientInput{Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		b := s.Browser(t)
		b.SignIn(t, "ann", old)
		_, fresh, err := s.Auth.ResetAccessToken(t.Context(), uitest.Admin, "ann", 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := b.Get(t, "/"); len(d.Find("#sign-in")) != 1 {
			t.Error("who has the old token is still signed in")
		}
		b.SignIn(t, "ann", fresh)
		if d := b.Get(t, "/"); len(d.Find("#sign-in")) != 0 {
			t.Error("who has the new one is not")
		}
	})
	for _, c := range []struct {
		name string
		act  func(issuer string) error
	}{
		{"is disabled", func(id string) error { _, err := s.Auth.SetDisabled(t.Context(), uitest.Admin, id, true); return err }},
		{"is deleted", func(id string) error { return s.Auth.DeleteClient(t.Context(), uitest.Admin, id) }},
		{"has another access token", func(id string) error {
			_, _, err := s.Auth.ResetAccessToken(t.Context(), uitest.Admin, id, 0)
			return err
		}},
		{"loses what it gave", func(id string) error {
			_, err := s.Auth.UpdateClient(t.Context(), uitest.Admin, id, auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: []string{"other"}},
				func([]string) error { return nil })
			return err
		}},
		{"has a session of an older version, without its certificate", func(string) error {
			_, err := s.Pool.Exec(t.Context(), `UPDATE ui_sessions SET certificate = NULL`)
			return err
		}},
	} {
		t.Run("a session of temporary credentials ends when their issuer "+c.name, func(t *testing.T) {
			issuer := "issuer-" + slug.New()
			_, token, err := s.Auth.CreateClient(t.Context(), uitest.Admin, issuer, auth.ClientInput{
				Expires: time.Now().Add(time.Hour), Scopes: []string{"auth:create-client:guest", "queue:cancel-task:*"},
			})
			if err != nil {
				t.Fatal(err)
			}
			guest, err := hawk.CreateTemporary(hawk.Credentials{ClientID: issuer, AccessToken: token}, hawk.TempOptions{
				ClientID: "guest", Scopes: []string{"queue:cancel-task:*"}, Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
			b := s.Browser(t)
			b.Post(t, "/login", url.Values{"clientId": {guest.ClientID}, "accessToken": {guest.AccessToken}, "certificate": {guest.Certificate}})
			if d := b.Get(t, "/tasks/"+id); len(d.Find("#sign-in")) != 0 || !strings.Contains(d.Text("#user"), "guest") || strings.Contains(d.Text(".why"), "Cancel:") {
				t.Fatalf("not signed in, or without the right to cancel: %q", d.Text("#user"))
			}
			if err := c.act(issuer); err != nil {
				t.Fatal(err)
			}
			if d := b.Get(t, "/tasks/"+id); len(d.Find("#sign-in")) != 1 {
				t.Errorf("still signed in: %q", d.Text("#user"))
			}
		})
	}
	t.Run("signing out ends the session on the server too", func(t *testing.T) {
		b := s.Browser(t)
		b.SignIn(t, uitest.Admin, uitest.AdminToken)
		d := b.Get(t, "/")
		d = b.Post(t, "/logout", url.Values{"csrf": {uitest.Attr(d.Find("#user input[name=csrf]")[0], "value")}})
		if len(d.Find("#user")) != 0 || len(d.Find("#sign-in")) != 1 {
			t.Error("still signed in")
		}
		var left int
		if err := s.Pool.QueryRow(t.Context(), `SELECT count(*) FROM ui_sessions WHERE client_id = $1 AND scopes IS NULL`, uitest.Admin).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left != 5 {
			t.Errorf("%d sessions are left, want the 5 of the other browsers", left)
		}
	})
	t.Run("the cookie cannot be read by script", func(t *testing.T) {
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		r, err := client.PostForm(s.URL+"/login", url.Values{"clientId": {uitest.Admin}, "accessToken": {uitest.AdminToken}})
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if c := r.Header.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") {
			t.Errorf("got cookie %q", c)
		}
	})
	t.Run("a form from another site is refused", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/login", strings.NewReader("clientId=x&accessToken=y"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("got status %d", response.StatusCode)
		}
	})
}
