package hgapi_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/app/hgapi"
	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/push"
)

const secret = "0123456789abcdef"

func sign(secret, body string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func TestHints(t *testing.T) {
	pool := pgtest.DB(t)
	log := slog.New(slog.DiscardHandler)
	// Nobody answers there: the look fails, and a hint makes the next come soon.
	reader, err := forge.Open("http://127.0.0.1:1/mine", forge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo := hg.Repository{Name: "mine", URL: "http://127.0.0.1:1/mine", Reader: reader, Secrets: []string{"the secret before this one", secret}}
	w := hg.New(hg.Deps{Pool: pool, Push: push.New(pool, func() {}, log), Decide: func() {}, Repositories: []hg.Repository{repo, {Name: "silent", URL: repo.URL, Reader: reader}}, Log: log})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Stop()
	if _, err := pool.Exec(t.Context(), `UPDATE hg_repositories SET next_look = clock_timestamp() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	server, err := web.Mount([]web.Service{hgapi.Service(w)}, webtest.As("me", "hg:list-repositories"), web.Options{RootURL: "http://localhost", Log: log, CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"version": 1, "repository": "silent"}`
	for _, c := range []struct {
		name, repository, signature, body string
		status                            int
	}{
		{"none", "mine", "", body, 401},
		{"a wrong secret", "mine", sign("another secret!!", body, time.Now()), body, 401},
		{"an empty secret", "silent", sign("", body, time.Now()), body, 401},
		{"another body", "mine", sign(secret, body, time.Now()), body + " ", 401},
		{"an hour ago", "mine", sign(secret, body, time.Now().Add(-time.Hour)), body, 401},
		{"in an hour", "mine", sign(secret, body, time.Now().Add(time.Hour)), body, 401},
		{"no time", "mine", strings.Replace(sign(secret, body, time.Now()), "t=", "x=", 1), body, 401},
		{"a repository that is not there", "none", sign(secret, body, time.Now()), body, 401},
		{"too large", "mine", "", strings.Repeat("x", hg.MaxHint+1), 413},
		{"good", "mine", sign(secret, body, time.Now()), body, 202},
		{"good with clocks that differ", "mine", sign("the secret before this one", body, time.Now().Add(-4*time.Minute)), body, 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/api/hg/v1/hint/"+c.repository, strings.NewReader(c.body))
			r.Header.Set(hg.HintHeader, c.signature)
			answer := httptest.NewRecorder()
			server.ServeHTTP(answer, r)
			if answer.Code != c.status || strings.Contains(answer.Body.String(), secret) {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	r := httptest.NewRequest(http.MethodGet, "/api/hg/v1/repositories", nil)
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, r)
	var list struct {
		Repositories []struct {
			Name  string
			Hints int
			Next  *time.Time
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil || len(list.Repositories) != 2 {
		t.Fatal(err, answer.Body)
	}
	if mine := list.Repositories[0]; mine.Hints != 2 || mine.Next != nil {
		t.Errorf("%+v", mine)
	}
	if silent := list.Repositories[1]; silent.Hints != 0 || silent.Next == nil {
		t.Errorf("%+v", silent)
	}
}
