package treeherder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// schema is what Treeherder documents that it takes, by the facts of its schemas (vcs-integration 3).
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("test:///"+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("test:///" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fits(t *testing.T, s *jsonschema.Schema, text []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = s.Validate(doc)
	}
	if err != nil {
		t.Errorf("Treeherder would refuse it: %v\n%s", err, text)
	}
}

var rev = strings.Repeat("ab12", 10)

func TestRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		routes []string
		want   string
	}{
		"a push to hg":             {[]string{"index.a", "tc-treeherder.v2.try." + rev + ".77"}, "hg.mozilla.org  try 77 0"},
		"without a number":         {[]string{"tc-treeherder.v2.try." + rev}, "hg.mozilla.org  try 0 0"},
		"a pull request":           {[]string{"tc-treeherder.v2.acme/app." + rev + ".5"}, "github.com acme app 0 5"},
		"none":                     {[]string{"index.a"}, "none"},
		"two":                      {[]string{"tc-treeherder.v2.try." + rev, "tc-treeherder.v2.try." + rev + ".7"}, "none"},
		"another version":          {[]string{"tc-treeherder.v1.try." + rev}, "none"},
		"a short revision":         {[]string{"tc-treeherder.v2.try.abc.7"}, "none"},
		"a project with a dot":     {[]string{"tc-treeherder.v2.a.b." + rev + ".7"}, "none"},
		"a number that is none":    {[]string{"tc-treeherder.v2.try." + rev + ".x"}, "none"},
		"a negative number":        {[]string{"tc-treeherder.v2.try." + rev + ".-1"}, "none"},
		"a project with odd signs": {[]string{"tc-treeherder.v2.a b." + rev}, "none"},
		"staging's":                {[]string{"tc-treeherder-stage.v2.try." + rev}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			got := "none"
			if o, ok := originOf(c.routes); ok {
				got = fmt.Sprintf("%s %s %s %d %d", o.Kind, o.Owner, o.Project, o.PushLogID, o.PullRequest)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// a run of a task that is defined by extra.treeherder.
func told(t *testing.T, extra string, runs ...task.Run) (task.Definition, task.Status) {
	t.Helper()
	at := task.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	d := task.Definition{
		WorkerType: "b.linux", Routes: []string{"tc-treeherder.v2.try." + rev + ".77"}, Created: at, Extra: json.RawMessage(extra),
		Metadata: task.Metadata{Name: strings.Repeat("é", 120), Owner: strings.Repeat("o", 60) + "@example.org", Description: "d"},
	}
	for i := range runs {
		runs[i].RunID, runs[i].Scheduled = i, at
	}
	return d, task.Status{TaskID: "VBHM4KiMQ2CKXcfyw6CCpA", Runs: runs}
}

func TestJobs(t *testing.T) {
	jobs, configs := schema(t, "job"), schema(t, "task")
	at := task.At(time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC))
	const full = `{"treeherder": {"symbol": "1", "groupSymbol": "M", "groupName": "Mochitests", "tier": 2, "jobKind": "test", "reason": "try", "productName": "firefox",
		"machine": {"platform": "linux64", "os": "linux", "architecture": "x86_64"}, "labels": ["debug"]}}`
	done := func(state task.State, why task.ReasonResolved) task.Run {
		return task.Run{State: state, ReasonCreated: task.CreatedScheduled, ReasonResolved: why, WorkerID: "i-0a.b", Started: &at, Resolved: &at}
	}
	retry := task.Run{State: task.Pending, ReasonCreated: task.CreatedRetry}
	for name, c := range map[string]struct {
		extra string
		runs  []task.Run
		run   int
		want  string
	}{
		"pending":        {full, []task.Run{{State: task.Pending, ReasonCreated: task.CreatedScheduled}}, 0, "pending unknown M(1) test t2 [debug] linux64 logs 0"},
		"running":        {full, []task.Run{{State: task.Running, ReasonCreated: task.CreatedScheduled, WorkerID: "w", Started: &at}}, 0, "running unknown M(1) test t2 [debug] linux64 logs 0"},
		"completed":      {full, []task.Run{done(task.Completed, task.ReasonCompleted)}, 0, "completed success M(1) test t2 [debug] linux64 logs 1"},
		"failed":         {full, []task.Run{done(task.Failed, task.ReasonFailed)}, 0, "completed fail M(1) test t2 [debug] linux64 logs 1"},
		"canceled":       {full, []task.Run{done(task.Exception, task.ReasonCanceled)}, 0, "completed canceled M(1) test t2 [debug] linux64 logs 0"},
		"superseded":     {full, []task.Run{done(task.Exception, "superseded")}, 0, "completed superseded M(1) test t2 [debug] linux64 logs 0"},
		"broken":         {full, []task.Run{done(task.Exception, task.ReasonMalformedPayload)}, 0, "completed exception M(1) test t2 [debug] linux64 logs 0"},
		"tried again":    {full, []task.Run{done(task.Exception, task.ReasonClaimExpired), retry}, 0, "completed exception M(1) test t2 [debug] linux64 logs 0 retried"},
		"the next try":   {full, []task.Run{done(task.Exception, task.ReasonClaimExpired), retry}, 1, "pending unknown M(1) test t2 [debug] linux64 logs 0"},
		"too late":       {full, []task.Run{{State: task.Exception, ReasonCreated: task.CreatedException, Resolved: &at}}, 0, "none"},
		"no such run":    {full, nil, 0, "none"},
		"the least":      {`{"treeherder": {"symbol": "B"}}`, []task.Run{{State: task.Pending}}, 0, "pending unknown ?(B) other t1 [opt] b-linux logs 0"},
		"a number":       {`{"treeherder": {"symbol": 7, "collection": {"opt": true, "asan": true}}}`, []task.Run{{State: task.Pending}}, 0, "pending unknown ?(7) other t1 [asan opt] b-linux logs 0"},
		"nothing said":   {`{}`, []task.Run{{State: task.Pending}}, 0, "none"},
		"null":           {`{"treeherder": null}`, []task.Run{{State: task.Pending}}, 0, "none"},
		"no symbol":      {`{"treeherder": {"tier": 1}}`, []task.Run{{State: task.Pending}}, 0, "extra.treeherder has no symbol"},
		"a list":         {`{"treeherder": []}`, []task.Run{{State: task.Pending}}, 0, "not of the form that Treeherder reads"},
		"a tier too far": {`{"treeherder": {"symbol": "a", "tier": 4}}`, []task.Run{{State: task.Pending}}, 0, "tier is 1, 2 or 3"},
		"an odd kind":    {`{"treeherder": {"symbol": "a", "jobKind": "x"}}`, []task.Run{{State: task.Pending}}, 0, "jobKind build, test or other"},
		"an odd symbol":  {`{"treeherder": {"symbol": {}}}`, []task.Run{{State: task.Pending}}, 0, "symbol is no text"},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := told(t, c.extra, c.runs...)
			j, err := jobOf("https://ci.example.org", d, s, c.run)
			got := "none"
			switch {
			case err != nil:
				if !strings.Contains(err.Error(), c.want) {
					t.Error(err)
				}
				return
			case j != nil:
				got = fmt.Sprintf("%s %s %s(%s) %s t%d %v %s logs %d", j.State, j.Result, j.Display.GroupSymbol, j.Display.JobSymbol, j.JobKind, j.Tier, j.Labels, j.BuildMachine.Platform, len(j.Logs))
				if j.IsRetried {
					got += " retried"
				}
				text, err := json.Marshal(j)
				if err != nil {
					t.Fatal(err)
				}
				fits(t, jobs, text)
				if want := fmt.Sprintf("5411cce0-a88c-4360-8a5d-c7f2c3a082a4/%d", c.run); j.TaskID != want || j.RetryID != c.run {
					t.Errorf("it is called %s", j.TaskID)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(name, "number") && got != "none" {
				var extra struct{ Treeherder json.RawMessage }
				if err := json.Unmarshal([]byte(c.extra), &extra); err != nil {
					t.Fatal(err)
				}
				fits(t, configs, extra.Treeherder)
			}
		})
	}
}

func TestPushMessages(t *testing.T) {
	pushes := schema(t, "push")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for name, c := range map[string]struct {
		repository push.Repository
		push       push.Push
		want       string
	}{
		"to a repository with a pushlog": {push.Repository{Name: "try", Kind: push.Mercurial, URL: "https://hg.example.org/try"}, push.Push{ID: 3, PushlogID: 77, Revision: rev, Email: "a@b", Time: at},
			"https://hg.example.org/try/json-pushes?version=2&full=1&startID=76&endID=77"},
		"to one without": {push.Repository{Name: "mine", Kind: push.LocalGit, URL: "https://ci.example.org/git/mine"}, push.Push{ID: 3, Revision: rev, Email: "a@b", Time: at},
			"https://ci.example.org/api/pushlog/v1/repository/mine/json-pushes?version=2&full=1&startID=2&endID=3"},
	} {
		t.Run(name, func(t *testing.T) {
			m := pushMessage("https://ci.example.org", "exchange/hgpushes/v1", c.repository, c.push)
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			fits(t, pushes, text)
			if got := m.Payload.Pushes[0].FullURL; got != c.want {
				t.Error(got)
			}
			if m.Meta.RoutingKey != c.repository.Name || m.Payload.Pushes[0].Time != at.Unix() || m.Payload.RepoURL != c.repository.URL {
				t.Errorf("%+v", m)
			}
		})
	}
}
