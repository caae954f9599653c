package web_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// Whatever is wrong with a body that holds secrets, neither the answer nor the log repeats any of it.
func TestErrorsRepeatNothingOfASecretBody(t *testing.T) {
	const value = "hunter2hunter2"
	var log bytes.Buffer
	service := sample()
	service.Endpoints = []web.Endpoint{{
		Name: "ring", Method: http.MethodPost, Route: "/ring/<id>/<token>/now", Title: "Ring", Description: "Rings.", Category: "Sample", Stability: "stable",
		Secret: []string{"token"},
		Handle: func(_ context.Context, r *web.Request) (any, error) {
			if r.Params["token"] == value {
				return nil, errors.New("broken")
			}
			return nil, fault.New(fault.Unauthenticated, "no")
		},
	}, {
		Name: "keep", Method: http.MethodPut, Route: "/keep/<name*>", Title: "Keep", Description: "Keeps it.", Category: "Sample", Stability: "stable",
		Input: "thing.json", Secret: []string{web.AllSecret}, MaxBody: 200, Scopes: scope.Text("sample:keep:<name>"),
		Handle: func(_ context.Context, r *web.Request) (any, error) {
			var out struct{ Name int }
			return nil, r.Decode(&out) // a string is no int
		},
	}}
	service.Params = map[string]string{"name": "^[a-z]+$", "token": "^[a-z0-9]+$"}
	h, err := web.Mount([]web.Service{service}, webtest.As("someone", "sample:keep:*"), web.Options{
		RootURL: "https://ci.example/", CheckOutput: true, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"a value too long":            `{"name": "` + value + `"}`,
		"a value of another type":     `{"name": {"` + value + `": "` + value + `"}}`,
		"an unknown member":           `{"` + value + `": 1}`,
		"a date that is none":         `{"name": "x", "at": "` + value + `"}`,
		"no quotes":                   `{"name": ` + value + `}`,
		"no end":                      `{"name": "` + value,
		"something behind it":         `{} ` + value,
		"a scalar":                    `"` + value + `"`,
		"too large":                   `{"name": "` + strings.Repeat(value, 20) + `"}`,
		"what the handler cannot use": `{"name": "h2"}`,
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			w := call{method: http.MethodPut, path: "/api/sample/v1/keep/it", body: body}.do(h)
			if w.Code < 400 || w.Code > 499 {
				t.Errorf("status %d", w.Code)
			}
			for where, text := range map[string]string{"answer": w.Body.String(), "log": log.String()} {
				if strings.Contains(text, "hunter2") || strings.Contains(text, "h2") {
					t.Errorf("the %s repeats it: %s", where, text)
				}
			}
		})
	}
	for path, status := range map[string]int{
		"/ring/a%2Fb/" + value + "/now": 500, "/ring/a/" + value + "h2/now": 401, "/ring/a/" + value + "%20/now": 400, "/ring/a/" + value + "/now?x=1": 400,
	} {
		log.Reset()
		w := call{method: http.MethodPost, path: "/api/sample/v1" + path}.do(h)
		if w.Code != status || !strings.Contains(log.String(), "/api/sample/v1/ring/a") || !strings.Contains(log.String(), "OMITTED") {
			t.Errorf("%s: status %d, log %s", path, w.Code, log.String())
		}
		if strings.Contains(w.Body.String()+log.String(), "hunter2") {
			t.Errorf("%s: %s\n%s", path, w.Body, log.String())
		}
	}
}
