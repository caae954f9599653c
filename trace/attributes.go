package trace

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/task"
)

// Attribute is something that is said of a span. Value is a string, an int64 or a bool.
type Attribute struct {
	Key   string
	Value any
}

// Result is how something ended, in the words of the conventions.
type Result string

// The results that the conventions know, and none for what goes on.
const (
	Success      Result = "success"
	Failure      Result = "failure"
	Errored      Result = "error"
	Timeout      Result = "timeout"
	Cancellation Result = "cancellation"
	Skip         Result = "skip"
	Undone       Result = ""
)

// Bad reports whether the result is an error for who looks at traces.
func (r Result) Bad() bool { return r == Failure || r == Errored || r == Timeout }

// Result is how a run ended, and a word for the error.
func (r *Run) Result() (result Result, errorType string) {
	switch {
	case r.State == task.Completed:
		return Success, ""
	case r.State == task.Failed:
		return Failure, cmp.Or(string(r.Reason), "failed")
	case r.State != task.Exception:
		return Undone, ""
	}
	switch r.Reason {
	case task.ReasonCanceled:
		return Cancellation, ""
	case task.ReasonDeadlineExceeded:
		return Timeout, string(r.Reason)
	case task.ReasonSuperseded:
		return Skip, ""
	}
	return Errored, cmp.Or(string(r.Reason), "_OTHER")
}

// Result is how the push ended, and a word for the error.
func (t *Trace) Result() (result Result, errorType string) {
	f := t.Facts
	if !t.Settled {
		return Undone, ""
	}
	if p := f.Push; p != nil && len(f.Tasks) == 0 {
		switch p.State {
		case "failed":
			return Errored, cmp.Or(p.Failure, "_OTHER")
		case "ignored":
			return Skip, ""
		}
	}
	rank := map[Result]int{Skip: 1, Cancellation: 2, Timeout: 3, Errored: 4, Failure: 5}
	result = Success
	for i := range f.Tasks {
		if runs := f.Tasks[i].Runs; len(runs) > 0 {
			if r, e := runs[len(runs)-1].Result(); rank[r] > rank[result] {
				result, errorType = r, e
			}
		}
	}
	return result, errorType
}

// Pipeline is what the conventions call what the push belongs to: the repository.
func (f *Facts) Pipeline() string {
	switch {
	case f.Push != nil:
		return f.Push.Repository
	case f.Change != nil && f.Change.Repository != "":
		return f.Change.Repository
	}
	return "tasks"
}

func rootName(f *Facts) string { return "RUN " + f.Pipeline() }

func (f *Facts) runID() string {
	if f.GroupID == "" && f.Push != nil {
		return f.Push.Repository + "/" + strconv.FormatInt(f.Push.ID, 10)
	}
	return f.GroupID
}

// attributes collects those that have a value.
type attributes []Attribute

func (a *attributes) text(key, value string) {
	if value != "" {
		*a = append(*a, Attribute{key, value})
	}
}

func (a *attributes) number(key string, value int64) { *a = append(*a, Attribute{key, value}) }

// Attributes are what is said of a span, by OpenTelemetry's semantic conventions for CI/CD and version control (1.43.0)
// where these know it, else with names that begin with "treeline.".
func (t *Trace) Attributes(s *Span) []Attribute {
	var a attributes
	f := t.Facts
	a.text("cicd.pipeline.name", f.Pipeline())
	a.text("cicd.pipeline.run.id", f.runID())
	switch s.What {
	case OfPush:
		t.describePush(&a)
	case OfWebhook:
		if d := f.Told; d != nil {
			a.text("cicd.system.component", "controller")
			a.text("treeline.webhook.id", d.ID)
			a.text("treeline.webhook.event", d.Event)
			a.text("treeline.webhook.action", d.Action)
		}
	case OfDecision:
		a.text("cicd.system.component", "controller")
		a.text("treeline.push.state", f.Push.State)
		a.text("error.type", f.Push.Failure)
	case OfReport:
		a.text("treeline.report.kind", s.Report.Kind)
		a.text("treeline.report.name", s.Report.Name)
		a.text("treeline.task.id", s.Report.TaskID)
		a.number("treeline.report.attempt", int64(s.Report.Attempt))
	default:
		t.describeTask(&a, s)
	}
	return a
}

func (t *Trace) describePush(a *attributes) {
	f := t.Facts
	a.text("cicd.pipeline.action.name", "RUN")
	result, errorType := t.Result()
	a.text("cicd.pipeline.result", string(result))
	if result == Undone {
		a.text("cicd.pipeline.run.state", "executing")
	}
	a.text("error.type", errorType)
	a.text("cicd.pipeline.run.url.full", f.RootURL+t.Path())
	if p := f.Push; p != nil {
		a.text("vcs.repository.url.full", strings.TrimSuffix(p.URL, ".git"))
		a.text("vcs.repository.name", p.Repository[strings.LastIndexByte(p.Repository, '/')+1:])
		a.text("vcs.ref.head.revision", p.Revision)
		a.text("vcs.ref.head.name", p.Branch)
		a.text("vcs.ref.head.type", "branch")
		if p.Kind == "github" {
			a.text("vcs.provider.name", "github")
		}
		a.number("treeline.push.id", p.ID)
	}
	if c := f.Change; c != nil {
		if f.Push == nil {
			a.text("vcs.repository.url.full", c.URL)
			a.text("vcs.ref.head.revision", c.Revision)
			a.text("vcs.ref.head.name", c.Branch)
			a.text("vcs.provider.name", "github")
		}
		if c.Pull > 0 {
			a.text("vcs.change.id", strconv.Itoa(c.Pull))
			a.text("vcs.change.title", t.Title)
		}
	}
	a.number("treeline.tasks", int64(len(f.Tasks)))
}

// Path is the address of the trace's page at the server.
func (t *Trace) Path() string {
	if p := t.Facts.Push; p != nil {
		return "/push/" + url.PathEscape(p.Repository) + "/" + url.PathEscape(p.Revision) + "/trace"
	}
	return "/tasks/groups/" + t.Facts.GroupID + "/trace"
}

func (t *Trace) describeTask(a *attributes, s *Span) {
	a.text("cicd.pipeline.task.name", s.Task.Name)
	a.text("cicd.pipeline.task.type", typeOf(s.Task.Kind))
	a.text("treeline.task.id", s.Task.ID)
	a.text("treeline.task.kind", s.Task.Kind)
	a.text("treeline.task.queue", s.Task.Queue)
	run := int64(0)
	if s.Run != nil {
		run = int64(s.Run.ID)
	}
	n := strconv.FormatInt(run, 10)
	a.text("cicd.pipeline.task.run.id", s.Task.ID+"/"+n)
	a.text("cicd.pipeline.task.run.url.full", t.Facts.RootURL+"/tasks/"+s.Task.ID+"/runs/"+n)
	if s.Reason.Why != "" {
		a.text("treeline.wait.reason", string(s.Reason.Why))
		a.text("treeline.wait.text", s.Reason.Text)
		a.text("treeline.wait.task.id", s.Reason.Task)
		if s.Reason.Ahead > 0 {
			a.number("treeline.wait.ahead", int64(s.Reason.Ahead))
		}
	}
	if s.Run == nil || s.What == OfNeeds {
		return
	}
	a.number("treeline.run.id", run)
	a.text("treeline.run.reason_created", string(s.Run.Created))
	if w := s.Run.Worker; w.ID != "" {
		a.text("cicd.worker.id", w.Group+"/"+w.ID)
		a.text("cicd.worker.name", w.ID)
	}
	if s.What == OfTask || s.What == OfRun {
		result, errorType := s.Run.Result()
		a.text("cicd.pipeline.task.run.result", string(result))
		a.text("error.type", errorType)
	}
	if s.What == OfUpload {
		n, size := s.Run.Stored()
		a.number("treeline.artifacts.count", int64(n))
		a.number("treeline.artifacts.bytes", size)
	}
}

// Stored counts the artifacts of a run whose bytes are here.
func (r *Run) Stored() (n int, bytes int64) {
	for i := range r.Artifacts {
		if a := &r.Artifacts[i]; a.Stored {
			n, bytes = n+1, bytes+max(0, a.Size)
		}
	}
	return n, bytes
}

// typeOf is the type of a task that the conventions know for a kind, "" for none.
func typeOf(kind string) string {
	for _, known := range []string{"test", "build", "deploy"} {
		if strings.Contains(strings.ToLower(kind), known) {
			return known
		}
	}
	return ""
}

// Bad is the sentence of a span that is an error, "" for one that is none.
func (t *Trace) Bad(s *Span) string {
	switch s.What {
	case OfPush:
		if r, e := t.Result(); r.Bad() {
			return cmp.Or(e, string(r))
		}
	case OfDecision:
		return t.Facts.Push.Problem
	case OfTask, OfRun:
		if s.Run != nil {
			if r, e := s.Run.Result(); r.Bad() {
				return cmp.Or(e, string(r))
			}
		}
	}
	return ""
}
