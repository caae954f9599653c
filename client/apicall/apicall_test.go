package apicall_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/client/apicall"
	"github.com/treeline-ci/treeline/internal/fault"
)

// elsewhere is a server of somebody else's, with a service that we do not have, described as a
// Taskcluster does.
func elsewhere(t *testing.T) (*apicall.Caller, *[]string) {
	t.Helper()
	asked := &[]string{}
	mux := http.NewServeMux()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.RequestURI())
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	answer := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.ReplaceAll(text, "ROOT", server.URL))) // a caller who left misses it
		})
	}
	answer("/references/manifest.json", `{"references": ["ROOT/references/hooks/v1/api.json", "ROOT/references/hooks/v1/exchanges.json"]}`)
	answer("/references/hooks/v1/api.json", `{"apiVersion": "v1", "serviceName": "hooks", "entries": [
		{"type": "function", "name": "listHooks", "title": "List hooks", "description": "All of a group.", "method": "get", "route": "/hooks/<hookGroupId>",
			"args": ["hookGroupId"], "query": ["continuationToken", "limit"], "scopes": "hooks:list-hooks:<hookGroupId>", "stability": "stable", "output": "v1/list.json#"},
		{"type": "function", "name": "triggerHook", "title": "Trigger", "description": "Now.", "method": "post", "route": "/hooks/<hookGroupId>/<hookId>/trigger",
			"args": ["hookGroupId", "hookId"], "query": [], "scopes": {"AllOf": ["hooks:trigger-hook:<hookGroupId>/<hookId>"]}, "stability": "stable", "input": "v1/trigger.json#"}]}`)
	answer("/schemas/hooks/v1/trigger.json", `{"$id": "ROOT/schemas/hooks/v1/trigger.json#", "type": "object", "required": ["why", "level"], "properties": {
		"why": {"$ref": "ROOT/schemas/hooks/v1/parts.json#/definitions/why"}, "level": {"$ref": "parts.json#/definitions/level"},
		"far": {"$ref": "https://elsewhere.example/x.json#"}, "at": {"type": "string", "format": "date-time", "description": "When. Not before."}}}`)
	answer("/schemas/hooks/v1/parts.json", `{"definitions": {"why": {"type": "string", "description": "The reason."}, "level": {"type": "integer", "minimum": 3}}}`)
	mux.HandleFunc("/api/hooks/v1/hooks/{group}", func(w http.ResponseWriter, r *http.Request) {
		text := map[string]string{
			"": `{"hooks": [1, 2], "of": "first", "continuationToken": "a"}`, "a": `{"hooks": [], "continuationToken": "b"}`, "b": `{"hooks": [3], "of": "last"}`,
			"loop": `{"hooks": [], "continuationToken": "loop"}`,
		}[r.URL.Query().Get("continuationToken")]
		_, _ = w.Write([]byte(text))
	})
	mux.HandleFunc("/api/hooks/v1/hooks/{group}/{hook}/trigger", func(w http.ResponseWriter, r *http.Request) {
		var body any
		_ = json.NewDecoder(r.Body).Decode(&body)
		_ = json.NewEncoder(w).Encode(map[string]any{"group": r.PathValue("group"), "hook": r.PathValue("hook"), "body": body})
	})
	c, err := client.New(client.Config{RootURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return &apicall.Caller{Client: c.WithPatience(-1), Cache: t.TempDir()}, asked
}

func TestCallsAServerAsItDescribesItself(t *testing.T) {
	c, asked := elsewhere(t)
	services, err := c.Services(t.Context())
	if err != nil || !cmp.Equal(services, []string{"hooks"}) {
		t.Fatalf("%v, %v", services, err)
	}
	call := func(method string, args []string, body string, pages bool, query url.Values) (string, error) {
		var data []byte
		if body != "" {
			data = []byte(body)
		}
		answer, err := c.Do(t.Context(), apicall.Call{Service: "hooks", Method: method, Args: args, Body: data, AllPages: pages, Query: query})
		return strings.TrimSpace(string(answer)), err
	}
	for _, tt := range []struct {
		name, method string
		args         []string
		body         string
		pages        bool
		query        url.Values
		want         string
		kind         fault.Kind
	}{
		{name: "a slash in an argument stays in it", method: "triggerHook", args: []string{"a/b", "ü"}, body: `{"why":"x"}`, want: `{"body":{"why":"x"},"group":"a/b","hook":"ü"}`},
		{name: "an empty body is sent where one belongs", method: "triggerHook", args: []string{"a", "b"}, want: `{"body":{},"group":"a","hook":"b"}`},
		{name: "one page", method: "listHooks", args: []string{"a"}, want: `{"hooks": [1, 2], "of": "first", "continuationToken": "a"}`},
		{name: "all pages", method: "listHooks", args: []string{"a"}, pages: true, want: `{"hooks":[1,2,3],"of":"last"}`},
		{name: "all pages from one on", method: "listHooks", args: []string{"a"}, pages: true, query: url.Values{"continuationToken": {"b"}}, want: `{"hooks":[3],"of":"last"}`},
		{name: "a server that gives the same page for ever", method: "listHooks", args: []string{"a"}, pages: true, query: url.Values{"continuationToken": {"loop"}}, kind: fault.Internal},
		{name: "pages of what has none", method: "triggerHook", args: []string{"a", "b"}, pages: true, kind: fault.BadArguments},
		{name: "too few arguments", method: "triggerHook", args: []string{"a"}, kind: fault.BadArguments},
		{name: "an unknown query", method: "listHooks", args: []string{"a"}, query: url.Values{"colour": {"blue"}}, kind: fault.BadArguments},
		{name: "a body that does not belong", method: "listHooks", args: []string{"a"}, body: `{}`, kind: fault.BadArguments},
		{name: "an unknown method", method: "nonsense", kind: fault.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := call(tt.method, tt.args, tt.body, tt.pages, tt.query)
			if tt.want == "" {
				if !errors.Is(err, tt.kind) && (tt.kind != fault.Internal || err == nil) {
					t.Errorf("%s, %v", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
	if n := count(*asked, "GET /references/hooks/v1/api.json"); n != 1 {
		t.Errorf("the description was asked for %d times", n)
	}
	c.Refresh = true
	if _, err := c.Reference(t.Context(), "hooks"); err != nil || count(*asked, "GET /references/hooks/v1/api.json") != 2 {
		t.Errorf("asked anew: %v", err)
	}
	if _, err := c.Reference(t.Context(), "nonsense"); !errors.Is(err, fault.NotFound) {
		t.Errorf("a service that is not there: %v", err)
	}
}

func count(list []string, what string) (n int) {
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}

func TestDescribesAMethod(t *testing.T) {
	c, _ := elsewhere(t)
	text, err := c.Describe(t.Context(), "hooks", "triggerHook")
	if err != nil {
		t.Fatal(err)
	}
	want := `Trigger (stable)

Now.

Usage:
  treeline api hooks triggerHook <hookGroupId> <hookId> --body <json>

Request:
  POST /api/hooks/v1/hooks/<hookGroupId>/<hookId>/trigger

Scopes:
  {
    "AllOf": [
      "hooks:trigger-hook:<hookGroupId>/<hookId>"
    ]
  }

Body:
  level  integer    required  
  why    string     required  The reason.
  at     date-time            When.
  far    any                  

Examples:
  treeline api hooks triggerHook HOOKGROUPID HOOKID --body @body.json
  treeline api hooks triggerHook HOOKGROUPID HOOKID --body '{"level": 3, "why": "…"}'
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	if text, err = c.Describe(t.Context(), "hooks", "listHooks"); err != nil || !strings.Contains(text, "--paginate") || !strings.Contains(text, "/schemas/hooks/v1/list.json") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestCompletes(t *testing.T) {
	c, _ := elsewhere(t)
	for _, tt := range []struct {
		words []string
		begun string
		ask   func(*apicall.Caller, context.Context, []string, string) []string
		want  []string
	}{
		{nil, "h", (*apicall.Caller).Complete, []string{"hooks"}},
		{nil, "x", (*apicall.Caller).Complete, []string{}},
		{[]string{"hooks"}, "tri", (*apicall.Caller).Complete, []string{"triggerHook\tTrigger"}},
		{[]string{"hooks", "listHooks"}, "", (*apicall.Caller).Complete, nil},
		{[]string{"hooks", "listHooks"}, "", (*apicall.Caller).CompleteQuery, []string{"continuationToken=", "limit="}},
		{[]string{"hooks", "listHooks"}, "li", (*apicall.Caller).CompleteQuery, []string{"limit="}},
		{[]string{"nonsense"}, "", (*apicall.Caller).Complete, nil},
	} {
		if diff := cmp.Diff(tt.want, tt.ask(c, t.Context(), tt.words, tt.begun)); diff != "" {
			t.Errorf("%q %q: %s", tt.words, tt.begun, diff)
		}
	}
}
