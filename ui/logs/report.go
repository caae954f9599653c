package logs

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/logtext"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
	"github.com/treeline-ci/treeline/ui/page"
)

// Lines that are kept around a reported one.
const (
	linesBefore = 4
	linesShown  = 10
)

// reporting is whether people may say which line tells of a run's failure; shell/data.ts describes it.
type reporting struct {
	Possible bool   `json:"possible"` // the run failed, on a push
	Allowed  bool   `json:"allowed"`
	Why      string `json:"why"` // why not
}

func mayReport(repository string) scope.Expr { return scope.String("triage:classify:" + repository) }

// reportingOf says whether the visitor may report lines of a run of a task group of a repository; "" for one of none.
func reportingOf(v *page.Visit, repository string, run task.Run) reporting {
	r := reporting{Possible: repository != "" && run.State == task.Failed}
	if !r.Possible {
		return r
	}
	if err := v.Allow(mayReport(repository)); err != nil {
		r.Why = "It needs the scope triage:classify:" + repository + "."
		if v.Session.ClientID == "" {
			r.Why = "Sign in first. " + r.Why
		}
		return r
	}
	r.Allowed = true
	return r
}

// mark checks that the visitor may report lines of a task.
func (ps *Pages) mark(v *page.Visit, id string) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 16<<10)
	if err := v.Post(); err != nil {
		return err
	}
	s, err := ps.Queue.Status(v.R.Context(), id)
	if err != nil {
		return err
	}
	p, err := ps.Push.ByTaskGroup(v.R.Context(), s.TaskGroupID)
	if err != nil {
		return err
	}
	return v.Allow(mayReport(p.Repository))
}

// noting has the audit log tell of what was done.
func noting(v *page.Visit, id, action string, what map[string]any) context.Context {
	return auth.Noting(v.R.Context(), auth.Record{EntityType: "task", EntityID: id, ClientID: v.Session.ClientID, Action: action, After: what})
}

// report makes marked lines those that tell of the run's failure. What they say is read from the log, not from the form.
func (ps *Pages) report(v *page.Visit) (any, error) {
	id, name := v.R.PathValue("task"), v.R.PathValue("name")
	run, err := RunNumber(v.R.PathValue("run"))
	if err != nil {
		return nil, err
	}
	if err := ps.mark(v, id); err != nil {
		return nil, err
	}
	from, to := number(v, "from", 0), number(v, "to", 0)
	if from < 1 || to < from {
		return nil, fault.New(fault.Invalid, "from and to must be numbers of lines, from 1 on, and from at most to.")
	}
	t, err := ps.text(v, id, run, name)
	if err != nil {
		return nil, err
	}
	said, err := t.quote(v.R.Context(), from, to)
	if err != nil {
		return nil, err
	}
	said.TaskID, said.Run, said.Log = id, run, name
	r, err := ps.Failures.Report(noting(v, id, "failure line reported", map[string]any{"run": run, "log": name, "line": said.Line, "message": said.Message}), v.Session.ClientID, said)
	if err != nil {
		return nil, err
	}
	ps.Log.InfoContext(v.R.Context(), "a line was reported to tell of a failure", "task", id, "run", run, "line", r.Line, "client", v.Session.ClientID)
	return map[string]any{"report": r.ID, "line": r.Line, "message": "Line " + strconv.Itoa(r.Line) + " tells of the failure now."}, nil
}

// quote reads marked lines: the first with a text is the one that tells.
func (t *text) quote(ctx context.Context, from, to int) (failures.Reported, error) {
	before, last := 0, min(to, from+linesShown-1)
	if from == to {
		before = min(linesBefore, from-1)
		last = from + linesShown - 1 - before
	}
	piece, err := t.index.Lines(ctx, from-before, last, lineindex.Shown)
	if err != nil {
		return failures.Reported{}, err
	}
	var r failures.Reported
	var shown []string
	for i, raw := range piece.Lines {
		line := []byte(raw)
		if _, _, rest, ok := logtext.Stamp(line); ok {
			line = rest
		}
		plain := strings.TrimRight(logtext.Plain(line), " ")
		shown = append(shown, plain)
		if n := piece.From + i; n >= from && n <= to && r.Message == "" && strings.TrimSpace(plain) != "" {
			r.Line, r.Message = n, plain
		}
	}
	if r.Message == "" {
		return r, fault.New(fault.Invalid, "The marked lines are empty.")
	}
	r.Excerpt = strings.Join(shown, "\n")
	return r, nil
}

// takeBack undoes a report.
func (ps *Pages) takeBack(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	report, err := strconv.ParseInt(v.R.PathValue("report"), 10, 64)
	if err != nil {
		return nil, page.ErrNoPage
	}
	if err := ps.mark(v, id); err != nil {
		return nil, err
	}
	if err := ps.Failures.TakeBack(noting(v, id, "failure line taken back", map[string]any{"report": report}), v.Session.ClientID, id, report); err != nil {
		return nil, err
	}
	return map[string]any{"message": "Taken back."}, nil
}

// reportedJSON is a reported line that counts; shell/data.ts describes it.
type reportedJSON struct {
	ID      int64  `json:"id"`
	Line    int    `json:"line"`
	Message string `json:"message"`
	By      string `json:"by"`
	Time    int64  `json:"time"`
}

// reported lists the lines of a log that are reported.
func (ps *Pages) reported(v *page.Visit, id string, run int, name string) (any, error) {
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:get-artifact:"+name)); err != nil {
		return nil, err
	}
	list, err := ps.Failures.Reports(v.R.Context(), id, run)
	if err != nil {
		return nil, err
	}
	out := []reportedJSON{}
	for _, r := range list {
		if r.Undone == nil && r.Log == name {
			out = append(out, reportedJSON{r.ID, r.Line, r.Message, r.By, r.Time.UnixMilli()})
		}
	}
	return map[string]any{"reports": out}, nil
}
