package ui_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// signin is what the field's command line opens.
const signin = "/auth/clients/create?scope=%2A&name=cli-AbCd12&expires=1d&callback_url=http%3A%2F%2Flocalhost%3A4321&description=Temporary+client+for+use+on+the+command+line"

func TestSigningAProgramIn(t *testing.T) {
	g := newGate(t)
	w := g.walker(t)
	t.Run("who is not signed in does that first, and comes back", func(t *testing.T) {
		at := w.get(signin)
		want := "/login?" + url.Values{"next": {signin}}.Encode()
		if at.status != http.StatusSeeOther || at.to != want {
			t.Fatalf("got status %d to %s", at.status, at.to)
		}
		if back := w.get(w.prove("ada", "correct horse", signin)); back.to != signin {
			t.Errorf("got %s", back.to)
		}
	})
	page := w.get(signin)
	form := fields(t, page.body)
	t.Run("the page says what is asked, and may lead to that program only", func(t *testing.T) {
		if page.status != http.StatusOK || !strings.Contains(page.body, ada+"/cli-AbCd12") || !strings.Contains(page.body, "http://localhost:4321") {
			t.Errorf("got status %d", page.status)
		}
		if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' http://localhost:4321;") {
			t.Errorf("got %s", policy)
		}
		if !slices.Contains(form["approve"], "queue:rerun-task:*") {
			t.Errorf("got %v", form["approve"])
		}
	})
	t.Run("without the page's proof nothing is given", func(t *testing.T) {
		forged := url.Values{"name": {"x"}, "scope": {"*"}, "approve": {"queue:rerun-task:*"}, "callback_url": {"http://localhost:4321"}, "decision": {"allow"}}
		if at := w.post("/auth/clients/create", forged); at.status != http.StatusForbidden {
			t.Errorf("got status %d", at.status)
		}
	})
	t.Run("a callback elsewhere is refused before anybody is asked, and after", func(t *testing.T) {
		if at := w.get(strings.Replace(signin, "localhost", "evil.example.com", 1)); at.status != http.StatusBadRequest || at.to != "" {
			t.Errorf("got status %d to %s", at.status, at.to)
		}
		evil := url.Values{}
		for k, v := range form {
			evil[k] = v
		}
		evil.Set("callback_url", "https://evil.example.com")
		evil.Set("decision", "allow")
		if at := w.post("/auth/clients/create", evil); at.status != http.StatusBadRequest || at.to != "" {
			t.Errorf("got status %d to %s", at.status, at.to)
		}
	})
	t.Run("as the field does it: the credentials come back to the program, with what stayed ticked", func(t *testing.T) {
		form["approve"] = []string{"queue:rerun-task:*", "secrets:get:*"}
		form.Set("decision", "allow")
		at := w.post("/auth/clients/create", form)
		back, err := url.Parse(at.to)
		if err != nil || at.status != http.StatusSeeOther || back.Host != "localhost:4321" {
			t.Fatalf("got status %d to %s: %v", at.status, at.to, err)
		}
		if _, err := g.Auth.CheckToken(t.Context(), hawk.Credentials{ClientID: back.Query().Get("clientId"), AccessToken: back.Query().Get("accessToken")}); err != nil {
			t.Error(err)
		}
		c, err := g.Auth.Client(t.Context(), ada+"/cli-AbCd12")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"queue:rerun-task:*"}, c.Scopes); diff != "" || c.Description != "Temporary client for use on the command line" {
			t.Error(diff, c.Description)
		}
	})
	t.Run("the profile shows it, and takes it back", func(t *testing.T) {
		page := w.get("/profile").body
		if !strings.Contains(page, ada+"/cli-AbCd12") {
			t.Fatal("it does not")
		}
		w.post("/profile/clients", url.Values{"csrf": {fields(t, page).Get("csrf")}, "id": {ada + "/cli-AbCd12"}})
		if _, err := g.Auth.Client(t.Context(), ada+"/cli-AbCd12"); err == nil {
			t.Error("it is there still")
		}
		if at := w.post("/profile/clients", url.Values{"csrf": {fields(t, page).Get("csrf")}, "id": {uitest.Dev}}); at.status != http.StatusForbidden {
			t.Errorf("somebody else's client: got status %d", at.status)
		}
	})
	t.Run("denying gives nothing, and the field's program is not called", func(t *testing.T) {
		form.Set("csrf", fields(t, w.get(signin).body).Get("csrf"))
		form.Set("decision", "deny")
		if at := w.post("/auth/clients/create", form); at.to != "/profile" {
			t.Errorf("got %s", at.to)
		}
	})
	t.Run("by hand: what one does not have cannot be given, and the text stays", func(t *testing.T) {
		csrf := fields(t, w.get("/auth/clients/create").body).Get("csrf")
		at := w.post("/auth/clients/create", url.Values{"csrf": {csrf}, "name": {"bot"}, "expires": {"1 week"}, "scopes_text": {"queue:rerun-task:*\nsecrets:get:x\n"}})
		if at.status != http.StatusForbidden || !strings.Contains(at.body, "secrets:get:x") || !strings.Contains(at.body, `value="bot"`) {
			t.Errorf("got status %d", at.status)
		}
		at = w.post("/auth/clients/create", url.Values{"csrf": {csrf}, "name": {"bot"}, "expires": {"1 week"}, "scopes_text": {"queue:rerun-task:*\n"}})
		if at.status != http.StatusOK || !strings.Contains(at.body, ada+"/bot") || !strings.Contains(at.body, `id="token"`) {
			t.Errorf("got status %d", at.status)
		}
		at = w.post("/auth/clients/create", url.Values{"csrf": {csrf}, "name": {"bot"}, "expires": {"1 week"}, "scopes_text": {""}})
		if at.status != http.StatusConflict {
			t.Errorf("a second time: got status %d", at.status)
		}
	})
}

func TestLettingASiteIn(t *testing.T) {
	g := newGate(t)
	w := g.walker(t)
	ask := func(site, address string) string {
		scope := map[string]string{"herder": "queue:cancel-task:* queue:rerun-task:*", "quick": "queue:rerun-task:*"}[site]
		return "/login/oauth/authorize?" + url.Values{"client_id": {site}, "response_type": {"code"}, "redirect_uri": {address}, "scope": {scope}, "state": {"xyz"}}.Encode()
	}
	const herder, quick = "http://localhost:1/herder", "http://localhost:1/quick"
	if at := w.get(ask("herder", herder)); at.status != http.StatusSeeOther || !strings.HasPrefix(at.to, "/login?next=") {
		t.Fatalf("a visitor: got status %d to %s", at.status, at.to)
	}
	w.signIn("ada", "correct horse")
	t.Run("an address that is not registered gets nobody", func(t *testing.T) {
		if at := w.get(ask("herder", "https://evil.example.com/")); at.status != http.StatusBadRequest || at.to != "" {
			t.Errorf("got status %d to %s", at.status, at.to)
		}
	})
	var code string
	t.Run("the person is asked, and what is not ticked is not given", func(t *testing.T) {
		at := w.get(ask("herder", herder))
		page := w.get(at.to)
		if page.status != http.StatusOK || !strings.Contains(page.body, "Tree Herder asks") || !strings.Contains(page.body, "queue:cancel-task:*") {
			t.Fatalf("got status %d", page.status)
		}
		form := fields(t, page.body)
		if diff := cmp.Diff([]string{"queue:rerun-task:*"}, form["approve"]); diff != "" {
			t.Error(diff)
		}
		form.Set("decision", "allow")
		back, err := url.Parse(w.post("/login/oauth/authorize/decision", form).to)
		if err != nil || back.Query().Get("state") != "xyz" || back.Path != "/herder" {
			t.Fatalf("got %s, %v", back, err)
		}
		code = back.Query().Get("code")
		form.Set("decision", "deny")
		if at := w.post("/login/oauth/authorize/decision", form); at.to != herder+"?error=access_denied&state=xyz" {
			t.Errorf("denied: got %s", at.to)
		}
		form.Set("decision", "allow")
		form.Set("csrf", "")
		if at := w.post("/login/oauth/authorize/decision", form); at.status != http.StatusForbidden {
			t.Errorf("without the proof: got status %d", at.status)
		}
	})
	t.Run("the site's script fetches the credentials, from its own origin only", func(t *testing.T) {
		script := g.walker(t)
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {herder}, "client_id": {"herder"}}
		at := script.send(http.MethodPost, "/login/oauth/token", form, "Origin", "http://localhost:1", "Sec-Fetch-Site", "cross-site")
		var token struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
		}
		if err := json.Unmarshal([]byte(at.body), &token); err != nil || at.status != http.StatusOK || token.TokenType != "Bearer" {
			t.Fatalf("got status %d: %s", at.status, at.body)
		}
		if at.header.Get("Access-Control-Allow-Origin") != "http://localhost:1" {
			t.Errorf("got %v", at.header)
		}
		at = script.send(http.MethodGet, "/login/oauth/credentials", nil, "Authorization", "Bearer "+token.AccessToken, "Origin", "https://evil.example.com")
		var granted struct {
			Expires     string
			Credentials struct{ ClientID, AccessToken string }
		}
		if err := json.Unmarshal([]byte(at.body), &granted); err != nil || at.status != http.StatusOK || granted.Expires == "" {
			t.Fatalf("got status %d: %v", at.status, err)
		}
		if at.header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("another site may read the answer")
		}
		caller, err := g.Auth.CheckToken(t.Context(), hawk.Credentials{ClientID: granted.Credentials.ClientID, AccessToken: granted.Credentials.AccessToken})
		if err != nil || !slices.Contains(caller.Scopes, "queue:rerun-task:*") || slices.Contains(caller.Scopes, "queue:cancel-task:*") {
			t.Errorf("got %v, %v", caller.ClientID, err)
		}
		if at := script.send(http.MethodPost, "/login/oauth/token", form); at.status != http.StatusBadRequest || !strings.Contains(at.body, `"invalid_grant"`) {
			t.Errorf("the code again: got status %d: %s", at.status, at.body)
		}
		if at := script.send(http.MethodGet, "/login/oauth/credentials", nil, "Authorization", "Bearer "+token.AccessToken); at.status != http.StatusUnauthorized {
			t.Errorf("the token after that: got status %d", at.status)
		}
		if at := script.send(http.MethodOptions, "/login/oauth/token", nil, "Origin", "http://localhost:1", "Access-Control-Request-Method", "POST"); at.status != http.StatusNoContent || at.header.Get("Access-Control-Allow-Methods") == "" {
			t.Errorf("the browser's question before: got status %d", at.status)
		}
	})
	t.Run("a whitelisted site asks nobody", func(t *testing.T) {
		at := w.get(ask("quick", quick))
		if !strings.HasPrefix(at.to, quick+"?code=") {
			t.Errorf("got %s", at.to)
		}
	})
	t.Run("who may not make clients is told so", func(t *testing.T) {
		if err := g.Auth.DeleteRole(t.Context(), "test", "login-identity:*"); err != nil {
			t.Fatal(err)
		}
		if at := w.get(w.get(ask("herder", herder)).to); at.status != http.StatusForbidden || !strings.Contains(at.body, "auth:create-client:") {
			t.Errorf("got status %d", at.status)
		}
	})
}
