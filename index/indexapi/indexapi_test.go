package indexapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/index/indexapi"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

const (
	first  = "fN1SbArXTPSVFNUvaOlinQ"
	second = "AgVWTrwETrurlUOjCZZXOQ"
)

// door is a server with the index behind it and one caller in front of it.
type door struct {
	*testing.T
	index *index.Index
	url   string
}

func open(t *testing.T, ix *index.Index, auth web.Authenticator, options ...indexapi.Option) door {
	t.Helper()
	handler, err := web.Mount([]web.Service{indexapi.Service(ix, options...)}, auth, web.Options{RootURL: "http://tc", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return door{t, ix, server.URL + "/api/index/v1"}
}

// call returns the status, the answer and the place a redirect leads to.
func (d door) call(method, path string, body any) (int, map[string]any, string) {
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
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && err != io.EOF {
		d.Fatal(err)
	}
	return resp.StatusCode, answer, resp.Header.Get("Location")
}

func (d door) insert(path, id string) {
	d.Helper()
	_, err := d.index.Insert(d.Context(), index.Entry{Namespace: path, TaskID: id, Data: json.RawMessage(`{}`), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		d.Fatal(err)
	}
}

func TestInsertFindDelete(t *testing.T) {
	d := open(t, index.New(pgtest.DB(t)), webtest.As("me", "index:*"))
	body := map[string]any{"taskId": first, "rank": 1700000000000, "data": map[string]any{"x": []any{"y"}}, "expires": "2126-01-02T03:04:05.678Z"}
	want := map[string]any{"namespace": "a.b", "taskId": first, "rank": 1.7e12, "data": map[string]any{"x": []any{"y"}}, "expires": "2126-01-02T03:04:05.678Z"}
	status, got, _ := d.call("PUT", "/task/a.b", body)
	if diff := cmp.Diff(want, got); diff != "" || status != 200 {
		t.Errorf("insertTask: %d %s", status, diff)
	}
	status, got, _ = d.call("GET", "/task/a.b", nil)
	if diff := cmp.Diff(want, got); diff != "" || status != 200 {
		t.Errorf("findTask: %d %s", status, diff)
	}
	body["taskId"], body["rank"] = second, 5
	if status, got, _ = d.call("PUT", "/task/a.b", body); status != 200 || got["taskId"] != first {
		t.Errorf("a lower rank: %d %v", status, got)
	}
	for range 2 {
		if status, got, _ = d.call("DELETE", "/task/a.b", nil); status != 200 || len(got) != 0 {
			t.Errorf("deleteTask: %d %v", status, got)
		}
	}
	if status, got, _ = d.call("GET", "/task/a.b", nil); status != 404 || got["code"] != "ResourceNotFound" {
		t.Errorf("after deleteTask: %d %v", status, got)
	}
	body["data"] = []any{}
	if status, got, _ = d.call("PUT", "/task/a.b", body); status != 400 || got["code"] != "InputValidationError" {
		t.Errorf("bad data: %d %v", status, got)
	}
	if status, _, _ = d.call("GET", "/task/a..b", nil); status != 400 {
		t.Errorf("a bad path: %d", status)
	}
}

func TestFindTasksAtIndex(t *testing.T) {
	d := open(t, index.New(pgtest.DB(t)), webtest.As("me", "index:find-task:a.*"))
	for _, path := range []string{"a.x", "a.y", "a.z", "b.x"} {
		d.insert(path, first)
	}
	ask := func(query string, paths ...string) (int, []string, any) {
		status, got, _ := d.call("POST", "/tasks/indexes"+query, map[string]any{"indexes": paths})
		var found []string
		tasks, _ := got["tasks"].([]any)
		for _, task := range tasks {
			m, _ := task.(map[string]any)
			path, _ := m["namespace"].(string)
			found = append(found, path)
		}
		return status, found, got["continuationToken"]
	}
	status, found, token := ask("", "a.z", "a.nothing", "a.x", "a.x")
	if diff := cmp.Diff([]string{"a.x", "a.z"}, found); diff != "" || status != 200 || token != nil {
		t.Errorf("%d %s %v", status, diff, token)
	}
	_, found, token = ask("?limit=2", "a.z", "a.y", "a.x")
	more, _ := token.(string)
	_, rest, end := ask("?limit=2&continuationToken="+more, "a.z", "a.y", "a.x")
	if diff := cmp.Diff([]string{"a.x", "a.y", "a.z"}, append(found, rest...)); diff != "" || more == "" || end != nil {
		t.Errorf("pages: %s, %q %v", diff, more, end)
	}
	if status, _, _ = ask("", "a.x", "b.x"); status != 403 {
		t.Errorf("a path without scope: %d", status)
	}
	if status, _, _ = ask("", "nodot"); status != 400 {
		t.Errorf("a path without a dot: %d", status)
	}
}

func TestListings(t *testing.T) {
	d := open(t, index.New(pgtest.DB(t)), webtest.As("", "index:list-tasks:*", "index:list-namespaces:*"))
	for _, path := range []string{"a.b.x", "a.b.y", "a.b.z", "a.c.x", "top"} {
		d.insert(path, first)
	}
	for _, tt := range []struct {
		path, key string
		want      []string
	}{
		{"/namespaces/", "namespaces", []string{"a"}},
		{"/namespaces/a", "namespaces", []string{"a.b", "a.c"}},
		{"/tasks/", "tasks", []string{"top"}},
		{"/tasks", "tasks", []string{"top"}},
		{"/namespaces", "namespaces", []string{"a"}},
		{"/tasks/a.b", "tasks", []string{"a.b.x", "a.b.y", "a.b.z"}},
		{"/tasks/none", "tasks", nil},
	} {
		for _, limit := range []string{"?limit=1", "?limit=2", "?"} {
			var got []string
			token := ""
			for range 10 {
				status, page, _ := d.call("GET", tt.path+limit+"&continuationToken="+token, nil)
				if status != 200 {
					t.Fatalf("%s: %d %v", tt.path, status, page)
				}
				list, _ := page[tt.key].([]any)
				for _, item := range list {
					m, _ := item.(map[string]any)
					path, _ := m["namespace"].(string)
					got = append(got, path)
				}
				if token, _ = page["continuationToken"].(string); token == "" {
					break
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s%s: %s", tt.path, limit, diff)
			}
		}
	}
}

func TestListingsByPostTakeTheirPageFromTheBody(t *testing.T) {
	d := open(t, index.New(pgtest.DB(t)), webtest.As("", "index:list-tasks:*", "index:list-namespaces:*"))
	for _, path := range []string{"a.b.x", "a.b.y", "a.c.x", "top", "two"} {
		d.insert(path, first)
	}
	for path, key := range map[string]string{"/tasks/": "tasks", "/tasks": "tasks", "/tasks/a.b": "tasks", "/namespaces/a": "namespaces"} {
		status, page, _ := d.call("POST", path, map[string]any{"limit": 1})
		list, _ := page[key].([]any)
		if status != 200 || len(list) != 1 {
			t.Fatalf("%s: %d %v", path, status, page)
		}
		status, page, _ = d.call("POST", path, map[string]any{"limit": 1, "continuationToken": page["continuationToken"]})
		rest, _ := page[key].([]any)
		if status != 200 || len(rest) != 1 || cmp.Equal(list, rest) || page["continuationToken"] != nil {
			t.Errorf("%s: %d %v after %v", path, status, page, list)
		}
		if status, page, _ = d.call("POST", path, map[string]any{}); status != 200 || len(page[key].([]any)) != 2 {
			t.Errorf("%s whole: %d %v", path, status, page)
		}
		if status, page, _ = d.call("POST", path, map[string]any{"limit": 0}); status != 400 || page["code"] != "InputValidationError" {
			t.Errorf("%s without a page: %d %v", path, status, page)
		}
	}
}

func TestFindArtifactFromTask(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	locate := func(_ context.Context, id, name string) (string, error) {
		if name != "public/logs/live.log" {
			return "", fault.New(fault.NotFound, "no artifact %s", name)
		}
		return "https://files.example.com/" + id + "/" + name, nil
	}
	d := open(t, ix, webtest.As("", "queue:get-artifact:public/*"), indexapi.WithArtifacts(locate))
	d.insert("a.b", first)
	status, got, location := d.call("GET", "/task/a.b/artifacts/public/logs/live.log", nil)
	if status != 303 || location != "https://files.example.com/"+first+"/public/logs/live.log" || got["url"] != location {
		t.Errorf("%d %s %v", status, location, got)
	}
	if status, _, _ = d.call("GET", "/task/a.b/artifacts/public%2Flogs%2Flive.log", nil); status != 303 {
		t.Errorf("with escaped slashes: %d", status)
	}
	for path, want := range map[string]int{
		"/task/a.b/artifacts/public/none": 404, "/task/a.none/artifacts/public/x": 404, "/task/a.b/artifacts/private/x": 403,
	} {
		if status, _, _ := d.call("GET", path, nil); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	plain := open(t, ix, webtest.As("", "queue:get-artifact:public/*"))
	if _, _, location = plain.call("GET", "/task/a.b/artifacts/public/a%20b/c", nil); !strings.HasSuffix(location, "/api/queue/v1/task/"+first+"/artifacts/public%2Fa%20b%2Fc") {
		t.Errorf("without a locator: %s", location)
	}
}

func TestEveryEndpointAsksForItsScope(t *testing.T) {
	d := open(t, index.New(pgtest.DB(t)), webtest.As("me", "nothing"))
	body := map[string]any{"taskId": first, "rank": 1, "data": map[string]any{}, "expires": "2126-01-02T03:04:05.678Z"}
	for _, tt := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/task/a.b", nil}, {"PUT", "/task/a.b", body}, {"DELETE", "/task/a.b", nil}, {"GET", "/tasks/a", nil}, {"GET", "/namespaces/a", nil},
		{"GET", "/tasks/", nil}, {"GET", "/namespaces/", nil}, {"GET", "/namespaces", nil},
		{"POST", "/tasks/a", map[string]any{}}, {"POST", "/namespaces/", map[string]any{}}, {"POST", "/tasks/indexes", map[string]any{"indexes": []string{"a.b"}}},
	} {
		if status, got, _ := d.call(tt.method, tt.path, tt.body); status != 403 || got["code"] != "InsufficientScopes" {
			t.Errorf("%s %s: %d %v", tt.method, tt.path, status, got)
		}
	}
}
