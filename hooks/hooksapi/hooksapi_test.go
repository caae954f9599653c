package hooksapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/hooksapi"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/task"
)

// door is a server with hooks behind it and one caller in front of it.
type door struct {
	*testing.T
	hooks  *hooks.Hooks
	url    string
	mu     *sync.Mutex
	refuse *error // what the queue says to tasks
}

func open(t *testing.T, scopes ...string) door {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	d := door{T: t, mu: &sync.Mutex{}, refuse: new(error)}
	d.hooks = hooks.New(hooks.Deps{Pool: pgtest.DB(t), Ring: ring, Create: func(context.Context, hooks.Creation) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		return *d.refuse
	}, States: func(_ context.Context, ids []string) (map[string]task.State, error) {
		return map[string]task.State{ids[0]: task.Pending}, nil
	}})
	return d.as("ada", scopes...)
}

// as is the same hooks with another caller.
func (d door) as(client string, scopes ...string) door {
	d.Helper()
	handler, err := web.Mount([]web.Service{hooksapi.Service(d.hooks)}, webtest.As(client, scopes...), web.Options{RootURL: "http://tc", CheckOutput: true})
	if err != nil {
		d.Fatal(err)
	}
	server := httptest.NewServer(handler)
	d.Cleanup(server.Close)
	d.url = server.URL + "/api/hooks/v1"
	return d
}

func (d door) call(method, path string, body any) (int, map[string]any) {
	d.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			d.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+path, payload)
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		d.Fatal(method, path, err)
	}
	return resp.StatusCode, answer
}

// want expects a status, and of errors a code.
func (d door) want(status int, code, method, path string, body any) map[string]any {
	d.Helper()
	got, answer := d.call(method, path, body)
	if found, _ := answer["code"].(string); got != status || found != code {
		d.Errorf("%s %s: %d %v, want %d %s", method, path, got, answer, status, code)
	}
	return answer
}

type object = map[string]any

func definition(change object) object {
	out := object{
		"metadata": object{"name": "n", "description": "d", "owner": "ada@example.com"},
		"task":     object{"payload": object{"$eval": "payload"}},
	}
	for k, v := range change {
		out[k] = v
	}
	return out
}

const all = "*"

func TestAHooksLife(t *testing.T) {
	d := open(t, all)
	const path = "/hooks/garbage/day%2Fly"
	if got := d.want(200, "", "GET", "/hooks", nil); !cmp.Equal(got["groups"], []any{}) {
		t.Error(got)
	}
	d.want(404, "ResourceNotFound", "GET", "/hooks/garbage", nil)
	d.want(404, "ResourceNotFound", "GET", path, nil)
	d.want(404, "ResourceNotFound", "POST", path, definition(nil))
	d.want(200, "", "DELETE", path, nil)

	made := d.want(200, "", "PUT", path, definition(object{"schedule": []string{"0 3 * * *"}}))
	want := object{
		"hookGroupId": "garbage", "hookId": "day/ly", "schedule": []any{"0 3 * * *"}, "bindings": []any{},
		"metadata":      object{"name": "n", "description": "d", "owner": "ada@example.com", "emailOnError": true},
		"task":          object{"payload": object{"$eval": "payload"}},
		"triggerSchema": object{"type": "object", "additionalProperties": false},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	d.want(200, "", "PUT", path, definition(object{"schedule": []string{"0 3 * * *"}, "hookGroupId": "garbage", "hookId": "day/ly"}))
	d.want(409, "RequestConflict", "PUT", path, definition(nil))
	if got := d.want(200, "", "GET", path, nil); !cmp.Equal(got, want) {
		t.Error(got)
	}
	if got := d.want(200, "", "GET", "/hooks/garbage", nil); !cmp.Equal(got, object{"hooks": []any{want}}) {
		t.Error(got)
	}
	changed := d.want(200, "", "POST", path, definition(object{"triggerSchema": object{"properties": object{"a": object{"type": "integer"}}}}))
	if !cmp.Equal(changed["schedule"], []any{}) {
		t.Error("an update replaces the whole", changed)
	}
	status := d.want(200, "", "GET", path+"/status", nil)
	if !cmp.Equal(status, object{"lastFire": object{"result": "no-fire"}}) {
		t.Error(status)
	}
	d.want(404, "ResourceNotFound", "GET", path+"/last-fires", nil)

	fired := d.want(200, "", "POST", path+"/trigger", object{"a": 1})
	id, _ := fired["taskId"].(string)
	if !slug.Valid(id) || !cmp.Equal(fired["status"], object{"taskId": id}) {
		t.Error(fired)
	}
	d.want(400, "InputError", "POST", path+"/trigger", object{"a": "b"})
	d.want(400, "InputError", "POST", path+"/trigger", object{"taskId": "b"})
	d.want(400, "InputValidationError", "POST", path+"/trigger", []int{1})
	d.want(404, "ResourceNotFound", "POST", "/hooks/garbage/none/trigger", object{})

	token, _ := d.want(200, "", "GET", path+"/token", nil)["token"].(string)
	stranger := d.as("")
	stranger.want(200, "", "POST", path+"/trigger/"+url.PathEscape(token), object{})
	stranger.want(401, "AuthenticationFailed", "POST", path+"/trigger/wrong", object{})
	stranger.want(404, "ResourceNotFound", "POST", "/hooks/garbage/none/trigger/"+token, object{})
	fresh, _ := d.want(200, "", "POST", path+"/token", nil)["token"].(string)
	stranger.want(401, "AuthenticationFailed", "POST", path+"/trigger/"+token, object{})
	stranger.want(200, "", "POST", path+"/trigger/"+fresh, object{})

	fires, _ := d.want(200, "", "GET", path+"/last-fires", nil)["lastFires"].([]any)
	if len(fires) != 3 {
		t.Fatal(fires)
	}
	newest, _ := fires[0].(object)
	if newest["firedBy"] != "triggerHookWithToken" || newest["result"] != "success" || newest["error"] != "" || newest["taskState"] != "pending" || newest["hookId"] != "day/ly" {
		t.Error(newest)
	}
	if oldest, _ := fires[2].(object); oldest["taskId"] != id || oldest["firedBy"] != "triggerHook" || oldest["taskState"] != "unknown" {
		t.Error(oldest)
	}
	d.want(200, "", "DELETE", path, nil)
	d.want(404, "ResourceNotFound", "GET", path+"/last-fires", nil)
	d.want(404, "ResourceNotFound", "GET", path+"/status", nil)
	d.want(404, "ResourceNotFound", "GET", path+"/token", nil)
	d.want(404, "ResourceNotFound", "POST", path+"/token", nil)
}

func TestLastFiresComeInPages(t *testing.T) {
	d := open(t, all)
	d.want(200, "", "PUT", "/hooks/a/b", definition(nil))
	var want []string
	for range 5 {
		id, _ := d.want(200, "", "POST", "/hooks/a/b/trigger", object{})["taskId"].(string)
		want = append([]string{id}, want...)
	}
	for _, limit := range []string{"1", "2", "5", "1000"} {
		var got []string
		for token := ""; ; {
			page := d.want(200, "", "GET", "/hooks/a/b/last-fires?limit="+limit+"&continuationToken="+token, nil)
			fires, _ := page["lastFires"].([]any)
			for _, f := range fires {
				o, _ := f.(object)
				id, _ := o["taskId"].(string)
				got = append(got, id)
			}
			var more bool
			if token, more = page["continuationToken"].(string); !more {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s: %s", limit, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	d := open(t, all)
	for name, tt := range map[string]struct {
		path string
		body any
		code string
	}{
		"another id than the address": {"/hooks/a/b", definition(object{"hookId": "c"}), "InputError"},
		"another group":               {"/hooks/a/b", definition(object{"hookGroupId": "c"}), "InputError"},
		"a bad cron expression":       {"/hooks/a/b", definition(object{"schedule": []string{"0 0 30 2 *"}}), "InputError"},
		"a bad schema":                {"/hooks/a/b", definition(object{"triggerSchema": object{"type": "pie"}}), "InputError"},
		"a denied exchange":           {"/hooks/a/b", definition(object{"bindings": []object{{"exchange": "exchange/taskcluster-hooks/v1/hook-created", "routingKeyPattern": "#"}}}), "InputError"},
		"no owner's address":          {"/hooks/a/b", definition(object{"metadata": object{"name": "n", "description": "d", "owner": "ada"}}), "InputValidationError"},
		"an unknown member":           {"/hooks/a/b", definition(object{"x": 1}), "InputValidationError"},
		"no template":                 {"/hooks/a/b", object{"metadata": definition(nil)["metadata"]}, "InputValidationError"},
		"a group with a dot":          {"/hooks/a.b/c", definition(nil), "InvalidRequestArguments"},
		"a long id":                   {"/hooks/a/" + strings.Repeat("x", 1001), definition(nil), "InvalidRequestArguments"},
	} {
		t.Run(name, func(t *testing.T) {
			d.T = t
			d.want(400, tt.code, "PUT", tt.path, tt.body)
		})
	}
}

func TestErrorsOfTheQueue(t *testing.T) {
	d := open(t, all)
	d.want(200, "", "PUT", "/hooks/a/b", definition(nil))
	*d.refuse = fault.New(fault.Forbidden, "it lacks queue:create-task:x")
	if got := d.want(403, "InsufficientScopes", "POST", "/hooks/a/b/trigger", object{}); !strings.Contains(got["message"].(string), "hook-id:a/b") || !strings.Contains(got["message"].(string), "queue:create-task:x") {
		t.Error(got)
	}
	*d.refuse = fault.New(fault.BadInput, "it has no payload")
	if got := d.want(400, "InputError", "POST", "/hooks/a/b/trigger", object{}); !strings.Contains(got["message"].(string), "createTask failed with InputValidationError:\n\nit has no payload") {
		t.Error(got)
	}
	status := d.want(200, "", "GET", "/hooks/a/b/status", nil)
	last, _ := status["lastFire"].(object)
	if message, _ := last["error"].(object); last["result"] != "error" || !strings.Contains(message["message"].(string), "no payload") {
		t.Error(status)
	}
}

func TestATemplateThatDeclinesGivesAnEmptyAnswer(t *testing.T) {
	d := open(t, all)
	d.want(200, "", "PUT", "/hooks/a/b", definition(object{"task": object{"$if": "false", "then": object{}}}))
	if got := d.want(200, "", "POST", "/hooks/a/b/trigger", object{}); len(got) != 0 {
		t.Error(got)
	}
}

func TestEveryEndpointAsksForItsScope(t *testing.T) {
	d := open(t, all)
	d.want(200, "", "PUT", "/hooks/a/b", definition(nil))
	for _, tt := range []struct {
		method, path string
		body         any
		scopes       []string
	}{
		{"GET", "/hooks", nil, []string{"hooks:list-hooks:"}},
		{"GET", "/hooks/a", nil, []string{"hooks:list-hooks:a"}},
		{"GET", "/hooks/a/b", nil, []string{"hooks:get:a:b"}},
		{"GET", "/hooks/a/b/status", nil, []string{"hooks:status:a/b"}},
		{"PUT", "/hooks/a/b", definition(nil), []string{"hooks:modify-hook:a/b", "assume:hook-id:a/b"}},
		{"POST", "/hooks/a/b", definition(nil), []string{"hooks:modify-hook:a/b", "assume:hook-id:a/b"}},
		{"POST", "/hooks/a/b/trigger", object{}, []string{"hooks:trigger-hook:a/b"}},
		{"GET", "/hooks/a/b/token", nil, []string{"hooks:get-trigger-token:a/b"}},
		{"POST", "/hooks/a/b/token", nil, []string{"hooks:reset-trigger-token:a/b"}},
		{"GET", "/hooks/a/b/last-fires", nil, []string{"hooks:list-last-fires:a/b"}},
		{"DELETE", "/hooks/a/b", nil, []string{"hooks:modify-hook:a/b"}},
	} {
		for i := range tt.scopes { // each is needed
			less := append(append([]string{"other"}, tt.scopes[:i]...), tt.scopes[i+1:]...)
			d.as("ada", less...).want(403, "InsufficientScopes", tt.method, tt.path, tt.body)
		}
		d.as("ada", tt.scopes...).want(200, "", tt.method, tt.path, tt.body)
	}
}
