package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pg"
)

// mistakes makes every kind of error that the API has, with secrets where they belong and where they do
// not.
func (s *stage) mistakes(canary, value string, people []hawk.Credentials, hook, bewit string) {
	s.Helper()
	stranger := s.client("secrecy/stranger", "may nothing")
	put := func(body string) ask {
		return ask{method: "PUT", path: "/api/secrets/v1/secret/" + url.PathEscape(secretName), body: body, as: s.root}
	}
	body := func(v any) string {
		data, err := json.Marshal(v)
		s.check(err)
		return string(data)
	}
	good := body(secretBody(map[string]string{"password": value}))
	with := func(a ask, change func(*ask)) ask { change(&a); return a }
	forged := hawk.Credentials{ClientID: s.root.ClientID, AccessToken: value}
	hookPath := "/api/hooks/v1/hooks/secrecy/hook/trigger/"
	for name, c := range map[string]struct {
		ask    ask
		status int
	}{
		"no JSON":                    {put(`{"secret": {"password": ` + value + `}}`), 400},
		"no end":                     {put(`{"secret": {"password": "` + value), 400},
		"something behind":           {put(good + value), 400},
		"a text for an object":       {put(body(secretBody(value))), 400},
		"a list for an object":       {put(body(secretBody([]string{value}))), 400},
		"no expiry":                  {put(body(map[string]any{"secret": map[string]string{"password": value}})), 400},
		"the value for the expiry":   {put(body(map[string]any{"secret": map[string]string{}, "expires": value})), 400},
		"the value alone":            {put(body(map[string]string{"password": value})), 400},
		"the value as a member":      {put(body(map[string]any{value: 1})), 400},
		"a scalar":                   {put(`"` + value + `"`), 400},
		"another content type":       {with(put(value), func(a *ask) { a.contentType = "text/plain" }), 400},
		"a query that is not known":  {with(put(good), func(a *ask) { a.path += "?x=1" }), 400},
		"a name that cannot be":      {with(put(good), func(a *ask) { a.path += "%00" }), 400},
		"too large":                  {put(`{"secret": {"password": "` + value + strings.Repeat("x", 11<<20) + `"}}`), 413},
		"no credentials":             {with(put(good), func(a *ask) { a.as = hawk.Credentials{} }), 403},
		"credentials without scopes": {with(put(good), func(a *ask) { a.as = stranger }), 403},
		"a token that is wrong":      {with(put(good), func(a *ask) { a.as = forged }), 401},
		"a token for a password":     {with(put(good), func(a *ask) { a.as, a.header = hawk.Credentials{}, basic(s.root.ClientID, s.root.AccessToken) }), 401},
		"a token for a bearer": {with(put(good), func(a *ask) {
			a.as, a.header = hawk.Credentials{}, map[string]string{"Authorization": "Bearer " + s.root.AccessToken}
		}), 401},
		"no such method":               {with(put(good), func(a *ask) { a.path = "/api/secrets/v1/nothing/" + canary }), 404},
		"no such service":              {with(put(good), func(a *ask) { a.path = "/api/nothing/v1/x?token=" + value }), 404},
		"no such page":                 {ask{path: "/nothing/" + canary, header: map[string]string{"Referer": s.url + "/?token=" + value}}, 404},
		"none of that name":            {ask{path: "/api/secrets/v1/secret/none", as: s.root}, 404},
		"no such entry":                {ask{path: "/api/index/v1/task/" + canary, as: s.root}, 404},
		"a signature of another URL":   {ask{path: "/api/secrets/v1/secret/other?bewit=" + bewit}, 401},
		"a signature and credentials":  {ask{path: "/api/secrets/v1/secret/other?bewit=" + bewit, as: s.root}, 401},
		"a hook's wrong token":         {ask{method: "POST", path: hookPath + value, body: "{}"}, 401},
		"a hook's token, no JSON":      {ask{method: "POST", path: hookPath + hook, body: "{"}, 400},
		"a hook's token, a wrong body": {ask{method: "POST", path: hookPath + hook, body: `{"x": 1}`}, 400},
		"a hook's token, a query":      {ask{method: "POST", path: hookPath + hook + "?x=1", body: `{}`}, 400},
		"another hook's":               {ask{method: "POST", path: "/api/hooks/v1/hooks/secrecy/none/trigger/" + hook, body: "{}"}, 404},
		"signing in with it":           {ask{method: "POST", path: "/login", contentType: "application/x-www-form-urlencoded", body: url.Values{"clientId": {"root"}, "accessToken": {value}}.Encode()}, 401},
		"the session's cookie":         {ask{path: "/profile", header: map[string]string{"Cookie": "treeline_session=" + value}}, 0},
		"the signature to be judged":   {ask{method: "POST", path: "/api/auth/v1/authenticate-hawk", as: s.root, body: body(map[string]any{"method": "get", "resource": "/", "host": "x", "port": 80, "authorization": "Bearer " + value, "more": ""})}, 400},
	} {
		if status, text := s.send(c.ask); c.status != 0 && status != c.status {
			s.Errorf("%s: %d, want %d: %.300s", name, status, c.status, text)
		}
	}
	for _, as := range people {
		for _, a := range []ask{
			{method: "PUT", path: "/api/secrets/v1/secret/" + canary, body: "{", as: as}, {path: "/api/secrets/v1/secret/none", as: as},
			{method: "POST", path: "/api/queue/v1/task/" + canary + "/cancel", as: as}, {path: "/api/auth/v1/nothing", as: as},
		} {
			s.send(a)
		}
	}
}

func basic(user, password string) map[string]string {
	return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// mistakesOnTheCommandLine makes those that people make.
func (s *stage) mistakesOnTheCommandLine(canary, value string, reader hawk.Credentials) {
	s.Helper()
	forged := hawk.Credentials{ClientID: reader.ClientID, AccessToken: value}
	good := fmt.Sprintf(`{"password": %q}`, value)
	s.cli(s.root, value, "secret", "set", secretName)
	s.cli(s.root, `{"password": `+value, "secret", "set", secretName)
	s.cli(reader, good, "secret", "set", canary)
	s.cli(forged, good, "secret", "set", secretName)
	s.cli(forged, "", "secret", "get", secretName)
	s.cli(reader, "", "secret", "get", "project/secrecy/none-"+canary)
	s.cli(reader, "", "secret", "get", secretName, "--key", canary)
	s.cli(s.root, `{"secret": "`+value+`"}`, "api", "secrets", "set", secretName, "--body", "-")
	s.cli(s.root, value, "api", "secrets", "set", secretName, "--body", "-")
	s.cli(reader, "", "task", "create", "--queue", "secrecy/none", "--", "true")
	s.cli(hawk.Credentials{ClientID: reader.ClientID, AccessToken: reader.AccessToken, Certificate: "{" + value[:3]}, "", "secret", "list")
}

// gather ends the deployment and keeps what it leaves.
func (s *stage) gather() {
	s.Helper()
	s.add("the audit trail", fmt.Sprint(
		s.must("GET", "/api/auth/v1/audit/secret/"+url.PathEscape(secretName), nil),
		s.must("GET", "/api/auth/v1/clients/"+url.PathEscape(s.root.ClientID)+"/audit", nil)))
	s.add("the feed", s.feed())
	s.workerStops()
	s.add("the worker's log", s.worker.from(0))
	s.addFiles(s.T, "what the worker leaves on its disk", s.work)
	s.serverStops()
	s.add("the server's log", s.server.from(0))
	s.addFiles(s.T, "what the server leaves on its disk", filepath.Join(s.dir, "data"), "secrets.json")

	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.cluster.URL(pg.DatabaseName))
	s.check(err)
	_, err = conn.Exec(ctx, "CHECKPOINT")
	s.check(err)
	s.check(conn.Close(ctx))
	s.add("a dump of the database", s.dump(ctx))
	s.addFiles(s.T, "the files of the database", filepath.Join(s.dir, "pg", "data"))
	log, err := os.ReadFile(filepath.Join(s.dir, "pg", "postgres.log"))
	s.check(err)
	s.add("PostgreSQL's log", string(log))
}

func (s *stage) dump(ctx context.Context) string {
	s.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	s.check(err)
	program := "pg_dump"
	if len(found) > 0 {
		program = found[len(found)-1]
	}
	at, err := url.Parse(s.cluster.URL(pg.DatabaseName))
	s.check(err)
	cmd := exec.CommandContext(ctx, program, "--host", at.Query().Get("host"), "--username", at.Query().Get("user"), "--no-password", pg.DatabaseName)
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s: %v", program, err)
	}
	return string(out)
}

// feed is all events, as a listener has them.
func (s *stage) feed() string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/events/v1/stream?after=0", nil)
	s.check(err)
	resp, err := http.DefaultClient.Do(req)
	s.check(err)
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // it ends with the time
	return string(text)
}
