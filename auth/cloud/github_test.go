package cloud_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestGitHub(t *testing.T) {
	key, text := newKey(t)
	answers := map[string]func(http.ResponseWriter, *http.Request, []byte){}
	hub := serve(t, func(r *http.Request, _ []byte) error {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		found, err := claims(token, "RS256", byRSA(key))
		if err != nil {
			return err
		}
		if iat, exp := found["iat"].(float64), found["exp"].(float64); found["iss"] != "42" || exp-iat > 600 || iat > float64(now.Add(4*time.Hour).Unix()) {
			return fmt.Errorf("claims %v", found)
		}
		if r.Header.Get("Accept") != "application/vnd.github+json" {
			return errors.New("no version of the API is asked for")
		}
		return nil
	}, answers)
	answers["GET /orgs/team/installation"] = reply(200, `{"id": 7, "account": {"login": "Team"}}`)
	answers["GET /users/person/installation"] = reply(200, `{"id": 8, "account": {"login": "person"}}`)
	answers["GET /orgs/renamed/installation"] = reply(200, `{"id": 9, "account": {"login": "new-name"}}`)
	const create, expires = "POST /app/installations/7/access_tokens", `"2026-11-21T13:30:15Z"`
	granted := func(w http.ResponseWriter, r *http.Request, body []byte) {
		var got any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[string]any{"repositories": []any{"web", "docs"}, "permissions": map[string]any{"contents": "read"}}, got); diff != "" {
			t.Error(diff)
		}
		reply(201, `{"token": "ghs_1", "expires_at": `+expires+`}`)(w, r, body)
	}
	answers[create], answers["POST /app/installations/8/access_tokens"] = granted, granted
	c := newCloud(t, cloud.Config{GitHub: cloud.GitHubConfig{API: hub.URL, Apps: map[string]cloud.GitHubApp{"bot": {AppID: 42, PrivateKey: text}}}})
	ask := func(at time.Time, app, owner string) (cloud.GitHubToken, error) {
		return c.GitHub(t.Context(), at, app, owner, []string{"web", "docs"}, map[string]string{"contents": "read"})
	}
	want := cloud.GitHubToken{Token: "ghs_1", Expires: time.Date(2026, 11, 21, 13, 30, 15, 0, time.UTC)}
	for _, s := range []struct {
		name, owner string
		at          time.Time
		asked       []string
	}{
		{"an organization's installation is found", "team", now, []string{"GET /orgs/team/installation", create}},
		{"and remembered", "team", now.Add(59 * time.Minute), []string{create}},
		{"for an hour", "team", now.Add(61 * time.Minute), []string{"GET /orgs/team/installation", create}},
		{"a person's is looked for next", "person", now, []string{"GET /orgs/person/installation", "GET /users/person/installation", "POST /app/installations/8/access_tokens"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			hub.asked()
			got, err := ask(s.at, "bot", s.owner)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if asked := hub.asked(); !slices.Equal(asked, s.asked) {
				t.Errorf("asked %v", asked)
			}
		})
	}
	for _, f := range []struct {
		name, app, owner string
		kind             fault.Kind
	}{
		{"an app that is not configured", "none", "team", fault.NotFound},
		{"an app that is not installed", "bot", "stranger", fault.NotFound},
		{"an owner that was renamed", "bot", "renamed", fault.Invalid},
	} {
		t.Run(f.name, func(t *testing.T) {
			if _, err := ask(now, f.app, f.owner); !errors.Is(err, f.kind) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, f := range []struct {
		name    string
		answer  func(http.ResponseWriter, *http.Request, []byte)
		limited bool
		kind    fault.Kind
	}{
		{"permissions that the app does not have", reply(422, `{"message": "not granted to this installation"}`), false, fault.Invalid},
		{"an installation that is gone", reply(404, `{}`), false, fault.NotFound},
		{"the plain limit", reply(429, `{}`), true, 0},
		{"the limit of an hour", withHeader("X-RateLimit-Remaining", "0", reply(403, `{}`)), true, 0},
		{"a limit that says when", withHeader("Retry-After", "60", reply(403, `{}`)), true, 0},
		{"a secondary limit", reply(403, `{"message": "You have exceeded a secondary rate limit"}`), true, 0},
		{"an app that was suspended", reply(403, `{"message": "This installation has been suspended"}`), false, fault.Internal},
		{"a fault that may pass", reply(502, `{}`), false, fault.Unavailable},
	} {
		t.Run(f.name, func(t *testing.T) {
			answers[create] = f.answer
			_, err := ask(now.Add(61*time.Minute), "bot", "team")
			if _, limited := errors.AsType[*cloud.RateLimited](err); limited != f.limited || !f.limited && fault.KindOf(err) != f.kind {
				t.Errorf("%v", err)
			}
			if f.kind == fault.Invalid && !strings.Contains(fault.Message(err), "not granted") {
				t.Errorf("GitHub's reason is missing in %v", err)
			}
		})
	}
	t.Run("an installation that is gone is looked for again", func(t *testing.T) {
		at := now.Add(3 * time.Hour)
		for _, step := range []struct {
			answer func(http.ResponseWriter, *http.Request, []byte)
			kind   fault.Kind
			asked  []string
		}{
			{granted, 0, []string{"GET /orgs/team/installation", create}},
			{reply(404, `{}`), fault.NotFound, []string{create}},
			{granted, 0, []string{"GET /orgs/team/installation", create}},
		} {
			answers[create] = step.answer
			hub.asked()
			if _, err := ask(at, "bot", "team"); fault.KindOf(err) != step.kind || (err == nil) != (step.kind == 0) {
				t.Errorf("%v", err)
			}
			if asked := hub.asked(); !slices.Equal(asked, step.asked) {
				t.Errorf("asked %v, want %v", asked, step.asked)
			}
		}
	})
}
