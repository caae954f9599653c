package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/metrics"
)

// watched is a server with a repository, whose log and metrics a test looks at.
type watched struct {
	apptest.Server
	t       *testing.T
	metrics string
	client  *client.Client
	mu      sync.Mutex
	log     bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// lines are the log's, as far as it is written.
func (w *watched) lines() (list []map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range bytes.Split(bytes.TrimSpace(w.log.Bytes()), []byte("\n")) {
		line := map[string]any{}
		if err := json.Unmarshal(text, &line); err != nil {
			w.t.Fatalf("a line is no JSON: %s", text)
		}
		list = append(list, line)
	}
	return list
}

const scrapeToken = "a token of sixteen bytes at least"

func startWatched(t *testing.T) *watched {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "pebble")
	if _, err := sample.Create(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, metrics: "http://" + listener.Addr().String() + metrics.Path}
	w.Server = apptest.Start(t, func(c *app.Config) {
		c.Repositories = []app.LocalRepository{{Name: "pebble", Path: repo}}
		c.Metrics = metrics.Config{Listener: listener, Token: scrapeToken}
		c.Log = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if w.client, err = client.New(client.Config{RootURL: w.URL, Credentials: w.Root}); err != nil {
		t.Fatal(err)
	}
	return w
}

// until waits for something, a minute at most.
func (w *watched) until(what string, good func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !good(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// ask asks the listener of metrics.
func ask(t *testing.T, method, address, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// scrape reads all series.
func (w *watched) scrape() map[string]float64 {
	w.t.Helper()
	status, body := ask(w.t, http.MethodGet, w.metrics, scrapeToken)
	if status != http.StatusOK {
		w.t.Fatalf("a scrape is answered with %d: %s", status, body)
	}
	out := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		i := strings.LastIndexByte(lines.Text(), ' ')
		v, err := strconv.ParseFloat(lines.Text()[i+1:], 64)
		if err != nil {
			w.t.Fatalf("%s: %v", lines.Text(), err)
		}
		out[lines.Text()[:i]] = v
	}
	return out
}

// finishSample is the worker of the sample's push: one task is completed, one fails, one meets an exception. It returns the
// group, and the queue whose tasks they were.
func (w *watched) finishSample() (group, queue string) {
	w.t.Helper()
	w.until("the sample's push became pending tasks", func() bool {
		for _, line := range w.lines() {
			if line["msg"] == "task-pending" && line["taskQueue"] != "built-in/decision" {
				group, _ = line["group"].(string)
				queue, _ = line["taskQueue"].(string)
				return true
			}
		}
		return false
	})
	var claims []client.Claim
	w.until("three tasks to claim", func() bool {
		more, err := w.client.ClaimWork(w.t.Context(), queue, client.ClaimRequest{WorkerGroup: "g", WorkerID: "w", Tasks: 3 - len(claims)})
		if err != nil {
			w.t.Fatal(err)
		}
		claims = append(claims, more...)
		return len(claims) == 3
	})
	for i, c := range claims {
		path := "/task/" + c.Status.TaskID + "/runs/" + strconv.Itoa(c.RunID) + []string{"/completed", "/failed", "/exception"}[i]
		var in any
		if i == 2 {
			in = map[string]string{"reason": "malformed-payload"}
		}
		if err := w.client.Call(w.t.Context(), "queue", http.MethodPost, path, nil, in, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	return group, queue
}

// TestMetricsAndLogsOfAPush follows a push of a repository through what the server counts and what it logs.
func TestMetricsAndLogsOfAPush(t *testing.T) {
	w := startWatched(t)
	group, queue := w.finishSample()
	provisioner, kind, _ := strings.Cut(queue, "/")
	labels := `{provisionerId="` + provisioner + `",workerType="` + kind + `"}`
	reasoned := func(reason string) string {
		return `{provisionerId="` + provisioner + `",reasonResolved="` + reason + `",workerType="` + kind + `"}`
	}
	w.until("the worker is written down", func() bool {
		var list struct{ Workers []any }
		if err := w.client.Call(t.Context(), "queue", http.MethodGet, "/provisioners/"+provisioner+"/worker-types/"+kind+"/workers", nil, nil, &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Workers) > 0
	})
	var all map[string]float64
	t.Run("a scrape has what happened", func(t *testing.T) {
		w.until("the values of the database are read anew", func() bool {
			all = w.scrape()
			return all["queue_workers_total"+labels] == 1
		})
		for name, least := range map[string]float64{
			"queue_completed_tasks" + labels: 1, "queue_failed_tasks" + reasoned("failed"): 1, "queue_exception_tasks" + reasoned("malformed-payload"): 1,
			"treeline_queue_wait_seconds_count" + labels: 3, "treeline_queue_created_tasks_total" + labels: 3, "treeline_claim_latency_seconds_count": 4,
			`http_requests_total{method="POST",name="claimWork",service="queue",status="2xx"}`:                    1,
			`http_request_duration_seconds_count{method="POST",name="reportFailed",service="queue",status="2xx"}`: 1,
			`auth_success_total{scheme="hawk"}`: 4, `treeline_sql_calls_total{outcome="ok",room="queue"}`: 4,
			`treeline_sql_duration_seconds_count{room="queue"}`: 4, `treeline_sql_statements_total{room="queue",statement="queue.save"}`: 4,
			`treeline_sql_statement_seconds_total{room="queue",statement="queue.pick"}`: 1e-9,
			`treeline_db_connections_max{pool="queue"}`:                                 1, `treeline_db_acquires_total{pool="main"}`: 1,
			"treeline_feed_head": 10, "treeline_schema_version": 36, "treeline_program_schema_version": 36, "treeline_database_bytes": 1 << 20,
			"process_resident_memory_bytes": 1, "go_goroutines": 1,
		} {
			if got := all[name]; got < least {
				t.Errorf("%s is %v, not at least %v", name, got, least)
			}
		}
	})
	t.Run("no reading fails", func(t *testing.T) {
		n := 0
		for name, v := range all {
			if strings.HasPrefix(name, "treeline_reading_up") {
				if n++; v != 1 {
					t.Errorf("%s is %v", name, v)
				}
			}
		}
		if n < 9 {
			t.Errorf("there are %d readings", n)
		}
	})
	t.Run("most statements are known by name", func(t *testing.T) {
		unnamed, named := all[`treeline_sql_statements_total{room="other",statement="other"}`], 0.0
		for name, v := range all {
			if strings.HasPrefix(name, "treeline_sql_statements_total") {
				named += v
			}
		}
		if unnamed > named/10 {
			t.Errorf("%v of %v statements have no name", unnamed, named)
		}
	})
	t.Run("no series has an id or what somebody wrote", func(t *testing.T) {
		for name := range all {
			if strings.Contains(name, group) || strings.Contains(name, "pebble") {
				t.Errorf("the series %s", name)
			}
		}
	})
	w.logs(group)
	w.token()
	w.page()
}

// logs follows the push by its id.
func (w *watched) logs(group string) {
	w.t.Run("the lines of a push tell its story by its id, and lead to its group and tasks", func(t *testing.T) {
		var story, tasks []string
		w.until("the push's decision has ended", func() bool {
			story, tasks = nil, nil
			for _, line := range w.lines() {
				if line["push"] == "pebble/1" {
					story = append(story, line["msg"].(string))
					if g := line["group"]; g != nil && g != group {
						t.Fatalf("another group: %v", line)
					}
				}
				if line["group"] == group && line["task"] != nil && strings.HasPrefix(line["msg"].(string), "task-") {
					tasks = append(tasks, line["msg"].(string))
				}
			}
			return slices.Contains(story, "the decision on a push has ended")
		})
		for _, want := range []string{"a push arrived", "a push became tasks", "decided"} {
			if !slices.Contains(story, want) {
				t.Errorf("the push's lines do not say %q: %q", want, story)
			}
		}
		for _, want := range []string{"task-defined", "task-pending", "task-running", "task-completed", "task-failed", "task-exception"} {
			if !slices.Contains(tasks, want) {
				t.Errorf("the lines of its tasks do not say %q: %q", want, tasks)
			}
		}
	})
	w.t.Run("the line of a call has its request's and its task's id", func(t *testing.T) {
		for _, line := range w.lines() {
			if line["msg"] == "api" && line["name"] == "reportFailed" {
				if line["request"] == nil || line["trace"] == nil || line["task"] == nil || line["run"] != "0" {
					t.Errorf("%v", line)
				}
				return
			}
		}
		t.Error("there is no line of the call")
	})
}

// page holds a page's id against the log's.
func (w *watched) page() {
	w.t.Run("a page that is not there names its request as the log does", func(t *testing.T) {
		answer, err := http.Get(w.URL + "/push/nowhere/abc")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		id := answer.Header.Get("X-For-Request-Id")
		if id == "" || answer.Header.Get("X-Request-Id") != id || !bytes.Contains(body, []byte(id)) {
			t.Errorf("%s: %q and %q", answer.Status, id, answer.Header.Get("X-Request-Id"))
		}
	})
}

// token asks for metrics in all ways.
func (w *watched) token() {
	for _, c := range []struct {
		name, method, address, token string
		want                         int
	}{
		{"with it", http.MethodGet, w.metrics, scrapeToken, http.StatusOK},
		{"without it", http.MethodGet, w.metrics, "", http.StatusUnauthorized},
		{"with another", http.MethodGet, w.metrics, scrapeToken + "x", http.StatusUnauthorized},
		{"nothing else is there", http.MethodGet, strings.TrimSuffix(w.metrics, metrics.Path) + "/debug/pprof/", scrapeToken, http.StatusNotFound},
		{"nothing is written", http.MethodPost, w.metrics, scrapeToken, http.StatusMethodNotAllowed},
		{"the site itself does not have them", http.MethodGet, w.URL + metrics.Path, scrapeToken, http.StatusNotFound},
	} {
		w.t.Run("metrics are for those with the token: "+c.name, func(t *testing.T) {
			if got, body := ask(t, c.method, c.address, c.token); got != c.want || got != http.StatusOK && strings.Contains(body, "treeline_") {
				t.Errorf("it is answered with %d: %.200s", got, body)
			}
		})
	}
}
