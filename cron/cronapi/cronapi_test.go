package cronapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/cron/cronapi"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

const source = `jobs:
  - name: a nightly/job
    job: {type: decision-task, treeherder-symbol: N, target-tasks-method: nightly, include-cron-input: true}
    when: [{}]
  - name: act
    job: {type: trigger-action, action-name: cancel-all}
`

// server is a door with two branches of one repository and one of another, whose file is broken.
func server(t *testing.T, scopes ...string) func(method, path, body string) (int, map[string]any) {
	c := cron.New(pgtest.DB(t), func() {}, slog.New(slog.DiscardHandler))
	err := c.Follow(t.Context(), nil, []cron.Branch{{Repository: "a/b", Branch: "main"}, {Repository: "a/b", Branch: "side"}, {Repository: "broken", Branch: "main"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Take(t.Context(), []string{"a/b", "broken"}, time.Minute, 9)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		text := source
		if b.Repository == "broken" {
			text = "jobs: [\n  {name: 1}]\n"
		}
		if _, err := c.Settle(t.Context(), b, strings.Repeat("a", 40), text, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Fail(t.Context(), list[0], cron.Error{Code: "forge", Message: "It is away."}); err != nil {
		t.Fatal(err)
	}
	handler, err := web.Mount([]web.Service{cronapi.Service(c)}, webtest.As("me", scopes...), web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	return func(method, path, body string) (int, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), method, "https://tc.example/api/cron/v1"+path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		handler.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
		if w.Code >= 500 {
			t.Errorf("%s: %s", path, w.Body)
		}
		return w.Code, answer
	}
}

func TestEveryEndpointAnswersAsItsSchemaSays(t *testing.T) {
	call := server(t, "cron:list", "cron:run:a/b:*")
	nightly := "/repository/a%2Fb/job/" + url.PathEscape("a nightly/job")
	code, jobs := call("GET", "/jobs", "")
	if list, _ := jobs["jobs"].([]any); code != http.StatusOK || len(list) != 4 || len(jobs["branches"].([]any)) != 3 {
		t.Errorf("%d: %v", code, jobs)
	}
	code, jobs = call("GET", "/jobs?repository=broken", "")
	if list, _ := jobs["branches"].([]any); code != http.StatusOK || len(list) != 1 {
		t.Errorf("%d: %v", code, jobs)
	}
	body := `{"branch": "main", "key": "k", "input": {"x": [1]}}`
	code, run := call("POST", nightly+"/run", body)
	if code != http.StatusOK || run["askedBy"] != "me" || run["byHand"] != true || run["state"] != "waiting" {
		t.Errorf("%d: %v", code, run)
	}
	if _, again := call("POST", nightly+"/run", body); again["runId"] != run["runId"] {
		t.Errorf("%v", again)
	}
	var seen int
	for path, token := "/runs?repository=a%2Fb&limit=2", ""; ; {
		code, page := call("GET", path+token, "")
		list, _ := page["runs"].([]any)
		if code != http.StatusOK || len(list) > 2 {
			t.Fatalf("%d: %v", code, page)
		}
		seen += len(list)
		next, ok := page["continuationToken"].(string)
		if !ok {
			break
		}
		token = "&continuationToken=" + next
	}
	if seen != 1 {
		t.Errorf("%d runs", seen)
	}
	code, why := call("GET", nightly+"/why?branch=main", "")
	if code != http.StatusOK || why["verdict"] == "" || len(why["reasons"].([]any)) == 0 {
		t.Errorf("%d: %v", code, why)
	}
	if code, why = call("GET", "/repository/a%2Fb/job/act/why?branch=main&at=2026-01-02T03:04:05Z", ""); code != http.StatusOK || why["verdict"] != "not-due" {
		t.Errorf("%d: %v", code, why)
	}
	for path, want := range map[string]int{
		nightly + "/why":                            http.StatusBadRequest, // which branch?
		nightly + "/why?branch=none":                http.StatusNotFound,
		"/repository/none/job/x/why":                http.StatusNotFound,
		"/repository/broken/job/x/why":              http.StatusOK,
		nightly + "/why?branch=main&at=yesterday":   http.StatusBadRequest,
		nightly + "/why?branch=main&at=2026-13-45T": http.StatusBadRequest,
		"/runs?from=0000000000":                     http.StatusBadRequest,
	} {
		if code, answer := call("GET", path, ""); code != want {
			t.Errorf("%s: %d, want %d: %v", path, code, want, answer)
		}
	}
	for path, want := range map[string]int{
		nightly + "/run":               http.StatusBadRequest,
		"/repository/a%2Fb/job/no/run": http.StatusNotFound,
		"/repository/broken/job/x/run": http.StatusForbidden,
	} {
		branch := `{"branch": "main"}`
		if path == nightly+"/run" {
			branch = `{}`
		}
		if code, answer := call("POST", path, branch); code != want {
			t.Errorf("%s: %d, want %d: %v", path, code, want, answer)
		}
	}
}

func TestWhoMayNotLookMayNotLook(t *testing.T) {
	call := server(t, "cron:run:other:*")
	for _, path := range []string{"/jobs", "/runs", "/repository/a%2Fb/job/act/why"} {
		if code, _ := call("GET", path, ""); code != http.StatusForbidden {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _ := call("POST", "/repository/a%2Fb/job/act/run", `{}`); code != http.StatusForbidden {
		t.Errorf("%d", code)
	}
}
