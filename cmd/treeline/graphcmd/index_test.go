package graphcmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/index/indexapi"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/queue/queueapi"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestAThousandPathsAreOneCallOfTheIndexAndOneOfTheQueue(t *testing.T) {
	e := queuetest.New(t)
	ix := index.New(e.Pool)
	var paths []string
	for i := range 1000 {
		path := fmt.Sprintf("demo.v2.level-3.toolchains.t%03d", i)
		paths = append(paths, path)
		if i%100 == 0 {
			entry := index.Entry{Namespace: path, TaskID: e.Task(t, task.Completed), Rank: 1, Data: json.RawMessage(`{}`), Expires: time.Now().Add(time.Hour)}
			if _, err := ix.Insert(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
		}
	}
	services := []web.Service{indexapi.Service(ix), queueapi.Service(e.Queue)}
	handler, err := web.Mount(services, webtest.As("me", "index:find-task:*", "queue:status:*"), web.Options{RootURL: "http://tc.example"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		calls = append(calls, r.Method+" "+r.URL.String())
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	c, err := client.New(client.Config{RootURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	found, err := serverIndex(c)(t.Context(), paths)
	if err != nil || len(found) != 10 || found[paths[900]].State != "completed" {
		t.Fatalf("%d found, %v", len(found), err)
	}
	if diff := cmp.Diff([]string{"POST /api/index/v1/tasks/indexes", "POST /api/queue/v1/tasks/status"}, calls); diff != "" {
		t.Error(diff)
	}
}
