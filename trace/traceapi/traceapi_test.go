package traceapi_test

import (
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/tracing"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace"
	"github.com/treeline-ci/treeline/trace/traceapi"
)

const revision = "5f2c9a1be07d41d5a4ed6bd2c4a1e97f1a2b3c4d"

// site is a queue with a push whose build is done and whose lint failed, a push without tasks, and tasks without a push.
type site struct {
	*queuetest.Env
	rooms                tracing.Rooms
	group, build, strays string
}

func newSite(t *testing.T) *site {
	t.Helper()
	pool := pgtest.DB(t)
	log := push.New(pool, func() {}, slog.New(slog.DiscardHandler))
	s := &site{Env: queuetest.On(t, pool), group: slug.New()}
	s.rooms = tracing.Rooms{Queue: s.Queue, Push: log, RootURL: "https://tc.example"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(log.Register(t.Context(), push.Repository{Name: "sample", Kind: push.LocalGit, URL: "file:///srv/sample", Path: "/srv/sample", Level: 1, DefaultBranch: "main"}))
	p, _, err := log.Record(t.Context(), push.Push{Repository: "sample", Revision: revision, Branch: "main", Message: "Teach it\n\nIn full."}, "")
	must(err)
	_, _, err = log.Record(t.Context(), push.Push{Repository: "sample", Revision: strings.Repeat("e", 40), Base: revision, Branch: "main", Message: "Say nothing"}, revision)
	must(err)
	s.Create(t, s.group, queuetest.Define(queuetest.In(s.group), named("Decision")))
	must(log.SetOutcome(t.Context(), "sample", p.ID, push.Outcome{State: push.Decided, TaskGroupID: s.group}))
	must(log.SetOutcome(t.Context(), "sample", 2, push.Outcome{State: push.Ignored, Error: &push.Error{Code: "no-config", Message: "There is no .taskcluster.yml."}}))
	s.build = s.Task(t, task.Completed, queuetest.In(s.group), named("build"))
	s.Task(t, task.Failed, queuetest.In(s.group), named("lint"))
	s.strays = slug.New()
	s.Create(t, s.strays, queuetest.Define(queuetest.In(s.strays), named("stray")))
	return s
}

func named(name string) func(*task.Definition) {
	return func(d *task.Definition) { d.Metadata.Name = name }
}

// get asks the door as somebody with scopes; every answer is held to its schema.
func (s *site) get(t *testing.T, path string, scopes ...string) *httptest.ResponseRecorder {
	t.Helper()
	service := traceapi.Service(traceapi.Deps{Find: s.rooms.Find, Group: s.rooms.Group, Push: s.rooms.OfPush, Version: "1.2.3"})
	handler, err := web.Mount([]web.Service{service}, webtest.As("me", scopes...), web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://tc.example/api/trace/v1"+path, nil))
	return w
}

func TestTraces(t *testing.T) {
	s := newSite(t)
	t.Run("who may read what", s.rights)
	t.Run("the trace of a group", s.view)
	t.Run("the file for tools", s.file)
	t.Run("a fault below is no trace, and tells nothing", func(t *testing.T) {
		s.Pool.Close()
		if w := s.get(t, "/task-group/"+s.group, "*"); w.Code != http.StatusInternalServerError && w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "pool") {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
	})
}

func (s *site) rights(t *testing.T) {
	list := "queue:list-task-group:*"
	for name, tt := range map[string]struct {
		path   string
		scopes []string
		want   int
		says   string
	}{
		"a push by its revision":                  {"/revision/" + revision, []string{"events:read"}, 200, s.group},
		"a push by the beginning of it":           {"/revision/" + revision[:8] + "?repository=sample", []string{"events:read"}, 200, s.group},
		"a beginning alone":                       {"/revision/" + revision[:8], []string{"events:read"}, 404, "whole revision"},
		"a push of another repository":            {"/revision/" + revision + "?repository=other", []string{"events:read"}, 404, "There is no push"},
		"a push without the scope":                {"/revision/" + revision, []string{list}, 403, "events:read"},
		"a revision that is none":                 {"/revision/a%20b", []string{"events:read"}, 400, "revision"},
		"a revision that is too long":             {"/revision/" + strings.Repeat("a", 129), []string{"events:read"}, 400, "revision"},
		"a repository that is too long":           {"/revision/" + revision + "?repository=" + strings.Repeat("a", 256), []string{"events:read"}, 400, "repository"},
		"a group":                                 {"/task-group/" + s.group, []string{list, "events:read"}, 200, `"title": "Teach it"`},
		"a group of a push, of which one may not": {"/task-group/" + s.group, []string{list}, 403, "events:read"},
		"the same as a file":                      {"/task-group/" + s.group + "/otlp", []string{list}, 403, "events:read"},
		"a group without a push":                  {"/task-group/" + s.strays, []string{list}, 200, `"name": "stray"`},
		"a group without the scope":               {"/task-group/" + s.strays, []string{"events:read", "queue:list-task-group:" + s.group}, 403, "queue:list-task-group:" + s.strays},
		"a group that is not there":               {"/task-group/" + slug.New(), []string{"*"}, 404, "does not exist"},
		"an id that is none":                      {"/task-group/nobody", []string{"*"}, 400, "taskGroupId"},
		"a push without tasks":                    {"/push/2?repository=sample", []string{"events:read"}, 200, `"title": "Say nothing"`},
		"a push with tasks":                       {"/push/1?repository=sample", []string{"events:read"}, 409, s.group},
		"a push that is not there":                {"/push/3?repository=sample", []string{"events:read"}, 404, ""},
		"a push of no repository":                 {"/push/1", []string{"events:read"}, 404, ""},
		"a number that is none":                   {"/push/0", []string{"events:read"}, 400, "id"},
		"a number that is too large":              {"/push/9999999999999999999", []string{"events:read"}, 400, "id"},
		"a parameter that is none":                {"/push/2?repository=sample&x=1", []string{"events:read"}, 400, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.get(t, tt.path, tt.scopes...)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d, want %d with %q: %s", w.Code, tt.want, tt.says, w.Body)
			}
			if tt.want == 403 && strings.Contains(w.Body.String(), "Teach it") {
				t.Errorf("the refusal tells of the push: %s", w.Body)
			}
		})
	}
}

func (s *site) view(t *testing.T) {
	var v trace.View
	w := s.get(t, "/task-group/"+s.group, "*")
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, r := range v.Rows {
		states[r.Name] = r.State
	}
	if diff := cmp.Diff(map[string]string{"decision": "completed", "Decision": "pending", "build": "completed", "lint": "failed"}, states); diff != "" {
		t.Error(diff)
	}
	if v.TraceID != traceid.OfGroup(s.group).String() || v.Revision != revision || v.Settled || len(v.Critical) == 0 {
		t.Errorf("the trace is %+v", v)
	}
}

func (s *site) file(t *testing.T) {
	w := s.get(t, "/task-group/"+s.group+"/otlp", "*")
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("it is %q", kind)
	}
	var file struct {
		ResourceSpans []struct {
			ScopeSpans []struct {
				Spans []struct{ TraceID, SpanID, Name string }
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &file); err != nil || len(file.ResourceSpans) != 1 || len(file.ResourceSpans[0].ScopeSpans) != 1 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	names := map[string]bool{}
	for _, span := range file.ResourceSpans[0].ScopeSpans[0].Spans {
		names[span.Name] = true
		if id, err := hex.DecodeString(span.SpanID); err != nil || len(id) != 8 || span.TraceID != traceid.OfGroup(s.group).String() {
			t.Errorf("span %+v: its ids are no ids, or of another trace", span)
		}
	}
	for _, want := range []string{"RUN sample", "decision", "build", "lint", "run"} {
		if !names[want] {
			t.Errorf("there is no span %q in %v", want, names)
		}
	}
}
