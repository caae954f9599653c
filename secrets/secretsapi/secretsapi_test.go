package secretsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/secrets/secretsapi"
)

func TestTheDoor(t *testing.T) {
	ring, err := crypt.NewRing(crypt.Key{Secret: bytes.Repeat([]byte("k"), crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	var deeds []string
	room := secrets.New(secrets.Deps{
		Pool: pgtest.DB(t), Ring: ring, Log: slog.New(slog.DiscardHandler),
		Audit: func(_ context.Context, _ pgx.Tx, name, clientID, action string) error {
			deeds = append(deeds, clientID+" "+action+" "+name)
			return nil
		},
	})
	var log bytes.Buffer
	handler := func(scopes ...string) http.Handler {
		h, err := web.Mount([]web.Service{secretsapi.Service(room)}, webtest.As("me", scopes...), web.Options{
			RootURL: "https://tc.example", CheckOutput: true, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	mine := handler("secrets:get:p/*", "secrets:set:p/*", "secrets:list-secrets")
	body := func(value string, lasts time.Duration) string {
		return `{"secret": ` + value + `, "expires": "` + time.Now().Add(lasts).UTC().Format("2006-01-02T15:04:05.000Z") + `"}`
	}
	const value = `{"v": "hunter2"}`
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string // in the answer
	}{
		{"set with raw slashes", "PUT", "/secret/p/a/b", body(value, time.Hour), 200, "{}"},
		{"get with escaped slashes", "GET", "/secret/p%2Fa%2Fb", "", 200, "hunter2"},
		{"set with escaped slashes", "PUT", "/secret/p%2Fx%3Ay", body(value, time.Hour), 200, "{}"},
		{"get with raw slashes", "GET", "/secret/p/x:y", "", 200, "hunter2"},
		{"the first page", "GET", "/secrets?limit=1", "", 200, `"continuationToken"`},
		{"a token that is none begins anew", "GET", "/secrets?continuationToken=xx", "", 200, "p/x:y"},
		{"an unknown query", "GET", "/secrets?x=1", "", 400, "InvalidRequestArguments"},
		{"none of that name", "GET", "/secret/p/none", "", 404, "ResourceNotFound"},
		{"set to a time past", "PUT", "/secret/p/past", body(value, -time.Hour), 200, "{}"},
		{"which is gone", "GET", "/secret/p/past", "", 404, "ResourceNotFound"},
		{"reading another's, there or not", "GET", "/secret/q/none", "", 403, "secrets:get:q/none"},
		{"setting another's", "PUT", "/secret/q", body(value, time.Hour), 403, "secrets:set:q"},
		{"removing another's", "DELETE", "/secret/q", "", 403, "secrets:set:q"},
		{"a value that is no object", "PUT", "/secret/p/a", body(`"hunter2"`, time.Hour), 400, "InputValidationError"},
		{"no expiry", "PUT", "/secret/p/a", `{"secret": ` + value + `}`, 400, "InputValidationError"},
		{"the value in the wrong place", "PUT", "/secret/p/a", value, 400, "InputValidationError"},
		{"the value in place of the expiry", "PUT", "/secret/p/a", `{"secret": {}, "expires": "hunter2"}`, 400, "InputValidationError"},
		{"no JSON", "PUT", "/secret/p/a", `{"secret": hunter2}`, 400, "MalformedPayload"},
		{"remove", "DELETE", "/secret/p/a/b", "", 200, "{}"},
		{"remove again", "DELETE", "/secret/p/a/b", "", 200, "{}"},
		{"a name that no scope can have", "GET", "/secret/p/%C3%BC", "", 400, "InvalidRequestArguments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), c.method, "https://tc.example/api/secrets/v1"+c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			mine.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d, want %d with %q: %s", w.Code, c.status, c.want, w.Body)
			}
			if w.Code != http.StatusOK && strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("the error shows the value: %s", w.Body)
			}
		})
	}
	want := []string{
		"me created p/a/b", "me read p/a/b", "me created p/x:y", "me read p/x:y", "me created p/past", "me deleted p/a/b",
	}
	if diff := cmp.Diff(want, deeds); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), `"name":"get"`) {
		t.Errorf("the log: %s", log.String())
	}
	t.Run("listing needs its own scope and gives names alone", func(t *testing.T) {
		get := func(h http.Handler) (int, map[string]any) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "https://tc.example/api/secrets/v1/secrets", nil))
			var out map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
			return w.Code, out
		}
		if status, _ := get(handler("secrets:get:*", "secrets:set:*")); status != 403 {
			t.Errorf("%d without the scope", status)
		}
		if status, out := get(mine); status != 200 || !cmp.Equal(out, map[string]any{"secrets": []any{"p/x:y"}}) {
			t.Errorf("%d: %v", status, out)
		}
	})
}
