package trace

import (
	"cmp"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// View is a trace as pages and programs show it: a row for what happened before the tasks, one for each task, one for each
// report. Times are milliseconds; those of bars and steps since the start.
type View struct {
	TraceID    string    `json:"traceId"`
	Title      string    `json:"title"`
	Pipeline   string    `json:"pipeline"`
	Repository string    `json:"repository,omitempty"`
	Revision   string    `json:"revision,omitempty"`
	GroupID    string    `json:"taskGroupId,omitempty"`
	Start      int64     `json:"start"` // since 1970
	Takes      int64     `json:"takes"`
	Settled    bool      `json:"settled"` // nothing more happens by itself
	Result     Result    `json:"result"`
	Rows       []Row     `json:"rows"`
	Critical   []StepBar `json:"critical"` // of what the end waited for, the first thing first
}

// Row is a line of the waterfall.
type Row struct {
	What     What   `json:"what"` // OfWebhook, OfDecision, OfTask or OfReport
	ID       string `json:"id"`   // of the task, or a name
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	State    string `json:"state"` // as task.State has it; of what is no task completed, or running
	Queue    string `json:"queue,omitempty"`
	Critical bool   `json:"critical,omitempty"`
	Bars     []Bar  `json:"bars"`

	began int64
}

// Bar is a time of a row.
type Bar struct {
	What      What   `json:"what"` // OfNeeds, OfWorker, OfRun, OfUpload, or what the row is
	From      int64  `json:"from"`
	To        int64  `json:"to"`
	Run       int    `json:"run"`
	Open      bool   `json:"open,omitempty"`
	State     string `json:"state,omitempty"`  // of the run
	Result    string `json:"result,omitempty"` // why the run ended
	Why       Why    `json:"why,omitempty"`
	Text      string `json:"text,omitempty"` // why it waited
	Task      string `json:"task,omitempty"` // that was waited for
	Worker    string `json:"worker,omitempty"`
	Artifacts int    `json:"artifacts,omitempty"`
	Bytes     int64  `json:"bytes,omitempty"`
}

// StepBar is a part of the critical path.
type StepBar struct {
	What What   `json:"what"`
	Task string `json:"task,omitempty"`
	Name string `json:"name,omitempty"`
	Run  int    `json:"run"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Text string `json:"text"`
}

// View shows the trace. What came before the tasks stands first, then the tasks in the
// order in which they could run, then what was reported.
func (t *Trace) View() *View {
	f := t.Facts
	v := &View{TraceID: t.ID.String(), Title: t.Title, Pipeline: f.Pipeline(), GroupID: f.GroupID, Start: t.Start.UnixMilli(), Takes: t.since(t.End), Settled: t.Settled, Rows: make([]Row, 0, len(f.Tasks)+len(f.Reports)+2), Critical: make([]StepBar, 0, len(t.Critical))}
	v.Result, _ = t.Result()
	if p := f.Push; p != nil {
		v.Repository, v.Revision = p.Repository, p.Revision
	}
	critical := map[string]bool{}
	for i := range t.Critical {
		s := &t.Critical[i]
		bar := StepBar{What: s.What, From: t.since(s.Start), To: t.since(s.End), Text: s.Text}
		if s.Task != nil {
			bar.Task, bar.Name = s.Task.ID, s.Task.Name
		}
		if s.Run != nil {
			bar.Run = s.Run.ID
		}
		if s.Report != nil {
			bar.Name = s.Report.Name
			critical[s.Report.ID] = true
		}
		critical[bar.Task], critical[string(s.What)] = true, true
		v.Critical = append(v.Critical, bar)
	}
	for i := range t.Spans[1:] {
		v.add(t, &t.Spans[i+1], critical)
	}
	place := map[What]int{OfTask: 1, OfReport: 2}
	slices.SortStableFunc(v.Rows, func(a, b Row) int {
		return cmp.Or(place[a.What]-place[b.What], cmp.Compare(a.began, b.began), cmp.Compare(a.Name, b.Name))
	})
	return v
}

// could is when a task could run; what cannot yet stands last.
func (v *View) could(t *Trace, s *Span) int64 {
	if s.Run == nil {
		return v.Takes
	}
	return t.since(s.Run.Scheduled)
}

// since is a time in milliseconds since the start.
func (t *Trace) since(at time.Time) int64 { return at.UnixMilli() - t.Start.UnixMilli() }

// add adds a span to its row; the spans of a task follow one another.
func (v *View) add(t *Trace, s *Span, critical map[string]bool) {
	bar := Bar{What: s.What, From: t.since(s.Start), To: t.since(s.End), Open: s.Open, Why: s.Reason.Why, Text: s.Reason.Text, Task: s.Reason.Task}
	state := string(task.Completed)
	if s.Open {
		state = string(task.Running)
	}
	switch s.What {
	case OfWebhook, OfDecision:
		if t.Bad(s) != "" {
			state, bar.Text = string(task.Failed), t.Bad(s)
		}
		v.Rows = append(v.Rows, Row{What: s.What, ID: string(s.What), Name: s.Name, Kind: "push", State: state, Critical: critical[string(s.What)], Bars: []Bar{bar}, began: bar.From})
		return
	case OfReport:
		v.Rows = append(v.Rows, Row{What: s.What, ID: s.Report.ID, Name: s.Name, Kind: "report", State: state, Critical: critical[s.Report.ID], Bars: []Bar{bar}, began: bar.From})
		return
	case OfTask:
		if n := len(v.Rows); n == 0 || v.Rows[n-1].ID != s.Task.ID {
			v.Rows = append(v.Rows, Row{What: OfTask, ID: s.Task.ID, Name: s.Task.Name, Kind: s.Task.Kind, State: string(s.Task.State), Queue: s.Task.Queue, Critical: critical[s.Task.ID], Bars: make([]Bar, 0, 3), began: v.could(t, s)})
		}
		return
	}
	if s.Run != nil {
		bar.Run = s.Run.ID
		if s.What == OfRun {
			bar.State, bar.Result = string(s.Run.State), string(s.Run.Reason)
			if s.Run.Worker.ID != "" {
				bar.Worker = s.Run.Worker.Group + "/" + s.Run.Worker.ID
			}
		}
		if s.What == OfUpload {
			bar.Artifacts, bar.Bytes = s.Run.Stored()
		}
	}
	row := &v.Rows[len(v.Rows)-1]
	row.Bars = append(row.Bars, bar)
}

// Found is where a push is.
type Found struct {
	Repository string `json:"repository"`
	ID         int64  `json:"id"`
	Revision   string `json:"revision"`
	GroupID    string `json:"taskGroupId,omitempty"` // "" while there are no tasks
}
