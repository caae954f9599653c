package actioncmd

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// server starts the whole server and returns the client that may do everything.
func server(t *testing.T) *client.Client {
	t.Helper()
	s := apptest.Start(t)
	c, err := client.New(client.Config{RootURL: s.URL, Credentials: s.Root})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// world is a server with pushes of the project mine.
type world struct {
	t *testing.T
	c *client.Client
	r *perform.Performer
}

// ran makes a task that published files, indexed at paths below td.v2.mine.
func (w world) ran(files map[string]string, paths ...string) string {
	w.t.Helper()
	id := slug.Nice()
	now, expires := time.Now().UTC(), task.At(time.Now().Add(time.Hour))
	if _, err := w.c.CreateTask(w.t.Context(), id, map[string]any{
		"taskQueueId": "x/y", "created": task.At(now), "deadline": expires, "expires": expires, "payload": map[string]any{},
		"metadata": map[string]any{"name": "n", "description": "d", "owner": "a@example.org", "source": "https://example.org"},
	}); err != nil {
		w.t.Fatal(err)
	}
	claims, err := w.c.ClaimWork(w.t.Context(), "x/y", client.ClaimRequest{WorkerGroup: "g", WorkerID: "w", Tasks: 1})
	if err != nil || len(claims) != 1 {
		w.t.Fatal(claims, err)
	}
	as := w.c.WithCredentials(claims[0].Credentials.Hawk())
	for name, content := range files {
		up := client.Upload{TaskID: id, Name: "public/" + name, ContentType: "text/plain", Expires: expires}
		if _, err := as.UploadArtifact(w.t.Context(), up, strings.NewReader(content), int64(len(content))); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := as.ReportCompleted(w.t.Context(), id, 0); err != nil {
		w.t.Fatal(err)
	}
	for _, path := range paths {
		if _, err := w.c.InsertTask(w.t.Context(), "td.v2.mine."+path, client.IndexedTask{TaskID: id, Expires: expires}); err != nil {
			w.t.Fatal(err)
		}
	}
	return id
}

const oneTask = `{"a": {"kind": "k", "label": "a", "attributes": {}, "dependencies": {}, "task": {}}}`

// decision makes a decision task whose parameters and labels are these.
func (w world) decision(parameters, labels string, paths ...string) string {
	return w.ran(map[string]string{"parameters.yml": parameters, "full-task-graph.json": oneTask, "label-to-taskid.json": labels, "target-tasks.json": `["a"]`}, paths...)
}

func (w world) params(text string) *params.Parameters {
	w.t.Helper()
	p, err := params.Load("p.yml", []byte(text), false)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func lines(to *bytes.Buffer) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(to, format+"\n", args...) }
}

func newWorld(t *testing.T) (world, *bytes.Buffer) {
	t.Helper()
	tree := fstest.MapFS{"taskcluster/config.yml": {Data: []byte("trust-domain: td\ntask-priority: low\nworkers: {aliases: {}}\ntaskgraph: {repositories: {mine: {name: mine}}}\n")}}
	cfg, err := config.Load(tree, "taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	var remarks bytes.Buffer
	c := server(t)
	return world{t: t, c: c, r: &perform.Performer{Server: &remote{client: c}, Config: cfg, Own: slug.Nice(), Say: lines(&remarks)}}, &remarks
}

const (
	gitPush = "{project: mine, repository_type: git, head_rev: r3, pushlog_id: '0'}"
	hgPush  = "{project: mine, repository_type: hg, head_rev: h3, pushlog_id: '30'}"
)

func TestThePushIsWhatDecisionActionsAndCronMade(t *testing.T) {
	w, _ := newWorld(t)
	for name, c := range map[string]struct {
		push, decision string
		later          []string // each overrides a label of its own and the one before's
	}{
		"git":       {gitPush, "revision.r3.taskgraph.decision", []string{"revision.r3.actions.x", "revision.r3.taskgraph.actions.y", "revision.r3.cron.nightly", "revision.r3.taskgraph.cron.z"}},
		"Mercurial": {hgPush, "pushlog-id.30.decision", []string{"pushlog-id.30.actions.x", "revision.h3.actions.y"}},
	} {
		t.Run(name, func(t *testing.T) {
			decision := w.decision(c.push, `{"a": "first", "b": "first"}`, c.decision)
			want := map[string]string{"a": "first", "b": "first"}
			for i, path := range c.later {
				id := string(rune('1' + i))
				w.ran(map[string]string{"label-to-taskid.json": `{"a": "` + id + `", "l` + id + `": "` + id + `"}`}, path)
				want["a"], want["l"+id] = id, id
			}
			w.ran(nil, c.later[0]+"2") // an action that created nothing
			w.r.Own = w.ran(map[string]string{"label-to-taskid.json": `{"a": "own"}`}, c.later[0]+"3")
			got, err := w.r.Push(t.Context(), slug.Nice(), w.params(c.push))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.LabelToTaskID); diff != "" || got.DecisionTaskID != decision || !got.Full.Has("a") || len(got.Targets) != 1 {
				t.Errorf("%s %s", got.DecisionTaskID, diff)
			}
		})
	}
	t.Run("a push that nobody indexed is that of its group", func(t *testing.T) {
		decision := w.decision("{project: mine, repository_type: git, head_rev: r9}", `{"a": "first"}`)
		got, err := w.r.Push(t.Context(), decision, w.params("{project: mine, repository_type: git, head_rev: r9}"))
		if err != nil || got.DecisionTaskID != decision || got.LabelToTaskID["a"] != "first" {
			t.Error(got.DecisionTaskID, got.LabelToTaskID, err)
		}
	})
}

func TestEarlierPushes(t *testing.T) {
	w, remarks := newWorld(t)
	ids := map[string]string{}
	for _, rev := range []string{"r0", "r1", "r2"} {
		ids[rev] = w.decision("{project: mine, repository_type: git, head_rev: "+rev+"}", `{"a": "`+rev+`"}`, "revision."+rev+".taskgraph.decision")
	}
	ids["28"] = w.decision("{project: mine, repository_type: hg, head_rev: h2, pushlog_id: '28'}", `{"a": "28"}`, "pushlog-id.28.decision")
	broken := w.ran(nil, "pushlog-id.29.decision")
	w.ran(map[string]string{"label-to-taskid.json": `{"a": "again"}`}, "revision.r1.taskgraph.actions.x")
	w.r.Server.(*remote).ancestors = func(_ context.Context, revision string, n int) ([]string, error) {
		return map[string][]string{"r3": {"r2", "undecided", "r1", "r0"}}[revision], nil
	}
	for name, c := range map[string]struct {
		push string
		n    int
		want []string // decision and the task of a
	}{
		"git":           {gitPush, 2, []string{ids["r2"] + " r2", ids["r1"] + " again"}},
		"git, all":      {gitPush, 25, []string{ids["r2"] + " r2", ids["r1"] + " again", ids["r0"] + " r0"}},
		"Mercurial":     {hgPush, 2, []string{ids["28"] + " 28"}},
		"too few":       {hgPush, 1, nil},
		"the first one": {"{project: mine, repository_type: hg, head_rev: h, pushlog_id: '1'}", 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := w.r.Earlier(t.Context(), w.params(c.push), c.n)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range list {
				got = append(got, p.DecisionTaskID+" "+p.LabelToTaskID["a"])
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if !strings.Contains(remarks.String(), "decision "+broken+" is left out: ") {
		t.Errorf("nothing is said of the broken decision: %s", remarks)
	}
}

func TestDoingEffectsTwiceDoesThemOnce(t *testing.T) {
	w, _ := newWorld(t)
	done := w.ran(nil)
	var out bytes.Buffer
	a := &perform.Performer{Server: &remote{client: w.c, dir: t.TempDir()}, Own: slug.Nice(), Since: time.Now().Add(-time.Minute), Say: lines(&out)}
	e := action.Effects{Rerun: []action.OnTask{{TaskID: done}}, Cancel: []action.OnTask{{TaskID: done}}}
	for range 2 {
		if err := a.Apply(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := w.c.Status(t.Context(), done); err != nil || s.State != task.Completed || len(s.Runs) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if n := strings.Count(out.String(), "no need to rerun it, it is completed"); n != 2 {
		t.Errorf("%s", out.String())
	}
	missing := slug.Nice()
	for _, e := range []action.Effects{{Rerun: []action.OnTask{{TaskID: missing}}}, {Cancel: []action.OnTask{{TaskID: missing}}}, {CancelGroups: []string{missing}}} {
		if err := a.Apply(t.Context(), e); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("a task that is not there: %v", err)
		}
	}
}
