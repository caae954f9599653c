package graphcmd

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/taskgraph"
)

// A server of the field has no createTasks: tasks are created one after another, and those that
// need a refused one are not even tried (taskgraph-map 17.1).
func TestTasksThatNeedARefusedOneAreLeftOut(t *testing.T) {
	var tried []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method != http.MethodPut:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code": "ResourceNotFound", "message": "no such method"}`))
		case id == "B":
			tried = append(tried, id)
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"code": "InsufficientScopes", "message": "not allowed"}`))
		default:
			tried = append(tried, id)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"taskId": id}})
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("TASKCLUSTER_ROOT_URL", server.URL)
	t.Setenv("TASKCLUSTER_PROXY_URL", "")
	c := &decisionCommand{}
	var out, errs strings.Builder
	c.streams(&out, &errs)
	task := func(id string, needs ...any) taskgraph.Submission {
		return taskgraph.Submission{TaskID: id, Label: "label-" + id, Definition: map[string]any{"dependencies": needs}}
	}
	api, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.submitEach(t.Context(), api, []taskgraph.Submission{task("A"), task("B"), task("C", "A", "B"), task("D", "C"), task("E", "A")})
	if err == nil || !strings.Contains(err.Error(), "task label-B (B): ") || !strings.Contains(err.Error(), "1 tasks were refused, 2 that need them left out, 2 created") {
		t.Error(err)
	}
	if strings.Join(tried, "") != "ABE" {
		t.Errorf("tried %v", tried)
	}
}

func FuzzTryConfig(f *testing.F) {
	f.Add([]byte(`{"version": 2, "parameters": {"a": 1}}`))
	f.Add([]byte("version: 2\nparameters: {}\n"))
	f.Add([]byte(`{"version": 2, "parameters": null}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		values, err := tryConfig("try_task_config.json", src)
		if (values == nil) == (err == nil) {
			t.Errorf("%v, %v", values, err)
		}
	})
}
