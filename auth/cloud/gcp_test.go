package cloud_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestGCP(t *testing.T) {
	key, text := newKey(t)
	const generate = "POST /v1/projects/-/serviceAccounts/deploy@website.example:generateAccessToken"
	answers := map[string]func(http.ResponseWriter, *http.Request, []byte){}
	var google *server
	google = serve(t, func(r *http.Request, body []byte) error {
		if r.URL.Path == "/token" {
			form, err := url.ParseQuery(string(body))
			if err != nil {
				return err
			}
			if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
				return fmt.Errorf("form %v", form)
			}
			found, err := claims(form.Get("assertion"), "RS256", byRSA(key))
			if err != nil {
				return err
			}
			if found["iss"] != "us@website.example" || found["aud"] != google.URL+"/token" || found["scope"] != "https://www.googleapis.com/auth/cloud-platform" {
				return fmt.Errorf("claims %v", found)
			}
			return nil
		}
		var asked any
		if err := json.Unmarshal(body, &asked); err != nil {
			return err
		}
		if diff := cmp.Diff(map[string]any{"scope": []any{"https://www.googleapis.com/auth/cloud-platform"}, "delegates": []any{}, "lifetime": "3600s"}, asked); diff != "" {
			return errors.New(diff)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer own" {
			return fmt.Errorf("authorization %q", got)
		}
		return nil
	}, answers)
	answers["POST /token"] = reply(200, `{"access_token": "own", "token_type": "Bearer", "expires_in": 3600}`)
	answers[generate] = reply(200, `{"accessToken": "ya29.x", "expireTime": "2026-11-21T13:30:15Z"}`)
	c := newCloud(t, cloud.Config{GCP: cloud.GCPConfig{IAMCredentials: google.URL, Projects: map[string]cloud.GCPProject{"website": {
		AllowedServiceAccounts: []string{"deploy@website.example"},
		Credentials:            map[string]string{"type": "service_account", "client_email": "us@website.example", "private_key_id": "1", "private_key": text, "token_uri": google.URL + "/token"},
	}}}})

	got, err := c.GCP(t.Context(), "website", "deploy@website.example")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cloud.GCPToken{AccessToken: "ya29.x", Expires: time.Date(2026, 11, 21, 13, 30, 15, 0, time.UTC)}, got); diff != "" {
		t.Error(diff)
	}
	google.asked()
	for _, other := range [][2]string{{"website", "admin@website.example"}, {"other", "deploy@website.example"}, {"website", "us@website.example"}} {
		if _, err := c.GCP(t.Context(), other[0], other[1]); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v: %v", other, err)
		}
	}
	if asked := google.asked(); asked != nil {
		t.Errorf("Google was asked %v for what is not allowed", asked)
	}
	for _, f := range []struct {
		name, route string
		status      int
		kind        fault.Kind
	}{
		{"our key is refused", "POST /token", 400, fault.Internal},
		{"tokens may come later", "POST /token", 503, fault.Unavailable},
		{"we may not act for the account", generate, 403, fault.Internal},
		{"too many requests", generate, 429, fault.Unavailable},
		{"an answer that is none", generate, 200, fault.Unavailable},
	} {
		t.Run(f.name, func(t *testing.T) {
			before := answers[f.route]
			defer func() { answers[f.route] = before }()
			answers[f.route] = reply(f.status, `{"error": "x"`)
			if _, err := c.GCP(t.Context(), "website", "deploy@website.example"); fault.KindOf(err) != f.kind || err == nil {
				t.Errorf("%v", err)
			}
		})
	}
}
