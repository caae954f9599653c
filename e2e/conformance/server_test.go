package conformance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth/hawk"
)

// server is a whole Treeline on a database of its own.
type server struct {
	url  string
	root hawk.Credentials
}

// serve starts a server that ends with the test.
func serve(t testing.TB) *server {
	t.Helper()
	s := apptest.Start(t)
	return &server{url: s.URL, root: s.Root}
}

// populate makes what the requests of the tests of bad input name: a task of which a run is claimed, a
// client and a role, an entry in the index.
func (s *server) populate(t testing.TB) *server {
	t.Helper()
	c := browser()
	defer c.CloseIdleConnections()
	x := target{}
	id := goodArgs["taskId"]
	for _, call := range []struct{ method, path, body string }{
		{"PUT", "/api/queue/v1/task/" + id, `{"taskQueueId": "abc/abc", "taskGroupId": "` + id + `", "created": "CREATED", "deadline": "DEADLINE", "payload": {},
			"routes": ["index.abc"], "metadata": {"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"}}`},
		{"POST", "/api/queue/v1/claim-work/abc%2Fabc", `{"workerGroup": "abc", "workerId": "abc", "tasks": 1}`},
		{"PUT", "/api/auth/v1/clients/abc", `{"expires": "2126-01-01T00:00:00Z", "description": ""}`},
		{"PUT", "/api/auth/v1/roles/abc", `{"scopes": ["x:*"], "description": ""}`},
		{"PUT", "/api/index/v1/task/abc", `{"taskId": "` + id + `", "rank": 1, "data": {}, "expires": "2126-01-01T00:00:00Z"}`},
	} {
		var body map[string]any
		text := strings.NewReplacer("CREATED", sampleTime, "DEADLINE", sampleTime).Replace(call.body)
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		got, err := s.send(t, c, request{method: call.method, path: call.path, header: jsonHeader(), body: reader(x.lively(body))})
		if err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: %d %s %v", call.path, got.status, got.body, err)
		}
	}
	return s
}

// document is one file of a bundle of references.
type document struct {
	Filename string          `json:"filename"`
	Content  json.RawMessage `json:"content"`
}

// bundle is a set of references and schemas by file name, such as schemas/queue/v1/task.json.
type bundle map[string]json.RawMessage

func readBundle(t testing.TB, data []byte) bundle {
	t.Helper()
	var list []document
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	b := bundle{}
	for _, d := range list {
		b[d.Filename] = d.Content
	}
	return b
}

// served is the bundle that a server publishes: it does not depend on its database, so one is asked
// for all tests.
func served(t testing.TB) bundle {
	t.Helper()
	once.Do(func() {
		resp, err := http.Get(serve(t).url + "/references/references.json")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %v", resp.StatusCode, err)
		}
		ours = readBundle(t, data)
	})
	if ours == nil {
		t.Fatal("the server that was asked for its references did not answer")
	}
	return ours
}

var (
	once sync.Once
	ours bundle
)

// peer is the bundle of the peer's references; nil where it is not at hand.
func peer(t testing.TB) bundle {
	t.Helper()
	name := os.Getenv("TREELINE_PEER_REFERENCES")
	if name == "" {
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return readBundle(t, data)
}
