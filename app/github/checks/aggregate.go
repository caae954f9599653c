package checks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/decision"
)

// judge finds what a build's aggregate is to show. Whatever becomes of the tasks, it ends: when nothing happens by
// itself any more.
func (h *head) judge(ctx context.Context, m *member) error {
	s := State{Status: Completed, DetailsURL: h.groupURL(m.Group), StartedAt: m.Created}
	done := m.counts[task.Completed] + m.bad()
	d := m.decision()
	var wrong *push.Error
	if d != nil && (d.Status.State == task.Failed || d.Status.State == task.Exception) || m.total == 0 && m.Verdict != nil {
		var err error
		if wrong, err = h.wrong(ctx, m, d); err != nil {
			return err
		}
	}
	switch {
	case m.State == "cancelled" && !m.going():
		s.Conclusion, s.Title = Cancelled, "Cancelled"
	case wrong != nil:
		s.Conclusion = Failure
		Explain(&s, *wrong)
	case m.State == "error" || m.total == 0 && !m.Young:
		s.Conclusion, s.Title = Failure, "No tasks are known of this build"
		s.Summary = "Its tasks were never made, or have expired. A new push, or a comment `/treeline retest` on a pull request, makes them anew."
	case m.total == 0:
		s.Status, s.Title = Queued, "Tasks are being made"
	case m.going():
		s.Status, s.Title = InProgress, fmt.Sprintf("%d of %d tasks done", done, m.total)
		if m.counts[task.Running]+done == 0 {
			s.Status = Queued
		}
		if bad := m.bad(); bad > 0 {
			s.Title = fmt.Sprintf("%d of %d tasks done, %d failed", done, m.total, bad)
		} else if d != nil && !d.Status.State.Resolved() && m.total == 1 {
			s.Title = "The decision on tasks is to come"
		}
	default:
		m.conclude(&s)
	}
	if s.Status == Completed {
		s.CompletedAt = lastResolved(m.items)
	} else {
		s.StartedAt = time.Time{}
		if s.Status == InProgress {
			s.StartedAt = m.Created
		}
	}
	if s.Summary == "" {
		s.Summary = h.summaryOf(m)
	}
	s.Text = h.failuresOf(m)
	m.state = s
	return nil
}

// conclude says how a build ended whose tasks were all looked at.
func (m *member) conclude(s *State) {
	canceled, failed := 0, 0
	for _, i := range m.items {
		switch run := i.Status.LastRun(); {
		case i.Status.State == task.Failed:
			failed++
		case i.Status.State == task.Exception && run != nil && run.ReasonResolved == task.ReasonCanceled:
			canceled++
		case i.Status.State == task.Exception:
			failed++
		}
	}
	stuck := m.counts[task.Unscheduled]
	switch {
	case failed > 0:
		s.Conclusion, s.Title = Failure, fmt.Sprintf("%d of %d tasks failed", failed, m.total)
		if stuck > 0 {
			s.Title += fmt.Sprintf("; %d that need them cannot run", stuck)
		}
	case canceled > 0 || stuck > 0:
		s.Conclusion, s.Title = Cancelled, fmt.Sprintf("%d of %d tasks were cancelled", canceled, m.total)
	case m.bad() > 0: // which are not listed any more
		s.Conclusion, s.Title = Failure, fmt.Sprintf("%d of %d tasks failed", m.bad(), m.total)
	case m.total == 1 && m.decision() != nil:
		s.Conclusion, s.Title = Success, "Nothing to do"
		s.Summary = "The decision task ended well and asked for no other task: nothing that this change touches needs one. Its log and graph say why."
	default:
		s.Conclusion, s.Title = Success, fmt.Sprintf("All %d tasks passed", m.total)
		if m.total == 1 {
			s.Title = "The task passed"
		}
	}
}

// wrong finds why a decision failed: as it told us, or as it says in its artifact.
func (h *head) wrong(ctx context.Context, m *member, d *queue.Item) (*push.Error, error) {
	if m.Verdict != nil && (d == nil || d.Status.State == task.Failed) {
		var e push.Error
		return &e, json.Unmarshal(m.Verdict, &e)
	}
	run := d.Status.LastRun()
	e := &push.Error{Code: "decision", Message: "The decision task failed. Its log says why."}
	if run == nil || d.Status.State == task.Exception {
		if run != nil && run.ReasonResolved == task.ReasonCanceled {
			return nil, nil //nolint:nilnil // nothing is wrong with it
		}
		e.Message = "The decision task ended before it had decided"
		if run != nil {
			e.Message += ": " + string(run.ReasonResolved)
		}
		return e, nil
	}
	content, _ := h.Checks.read(ctx, d.Status.TaskID, run.RunID, "public/"+decision.MistakesName, decision.MaxMistakes)
	if list, err := decision.ReadMistakes(content); err == nil {
		first := list[0]
		e.File, e.Line, e.Message = first.File, first.Line, decision.Mistake{Label: first.Label, Message: first.Message}.String()
		for _, other := range list[1:] {
			e.Detail += other.String() + "\n"
		}
	}
	return e, nil
}

// Explain lets a state show what is wrong with a file: in its title, its summary, and at the line.
func Explain(s *State, e push.Error) {
	s.Title = e.Message
	if e.File != "" {
		at := e.File
		if e.Line > 0 {
			at = fmt.Sprintf("%s:%d", e.File, e.Line)
			s.Annotations = []Annotation{{Path: e.File, StartLine: e.Line, EndLine: e.Line, Level: "failure", Title: "No tasks were made", Message: cut(e.Message, 10_000)}}
		}
		s.Title = at + ": " + e.Message
	}
	s.Summary = "No tasks were made, because of a mistake:\n\n" + block(cut(strings.TrimSpace(s.Title+"\n"+e.Detail), maxText-1000))
}

func lastResolved(items []queue.Item) (at time.Time) {
	for _, i := range items {
		if r := i.Status.LastRun(); r != nil && r.Resolved != nil && r.Resolved.After(at) {
			at = r.Resolved.Time
		}
	}
	return at
}

// summaryOf counts a build's tasks by state.
func (h *head) summaryOf(m *member) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Task group](%s) of %s: %d tasks", h.groupURL(m.Group), code(m.Event), m.total)
	sep := ": "
	for _, state := range task.States() {
		if n := m.counts[state]; n > 0 {
			fmt.Fprintf(&b, "%s%d %s", sep, n, state)
			sep = ", "
		}
	}
	return b.String() + "."
}

// failuresOf lists a build's tasks that failed.
func (h *head) failuresOf(m *member) string {
	var b strings.Builder
	n := 0
	for _, i := range byName(m.items) {
		if i.Status.State != task.Failed && i.Status.State != task.Exception {
			continue
		}
		if n++; n == 1 {
			b.WriteString("| failed task | how |\n| --- | --- |\n")
		}
		if b.Len() > maxText*2/3 {
			continue
		}
		how := string(i.Status.State)
		if r := i.Status.LastRun(); r != nil && r.ReasonResolved != "" {
			how = string(r.ReasonResolved)
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s |\n", escape(cutLine(i.Task.Metadata.Name, maxName)), h.taskURL(i.Status.TaskID), how)
	}
	return b.String()
}

func byName(items []queue.Item) []queue.Item {
	list := slices.Clone(items)
	slices.SortStableFunc(list, func(a, b queue.Item) int { return strings.Compare(a.Task.Metadata.Name, b.Task.Metadata.Name) })
	return list
}

// severity orders what an aggregate concludes from several.
var severity = []string{Success, Cancelled, ActionRequired, TimedOut, Failure}

// aggregate wants the aggregate of a name: of all that reports under it, since branches require it by that.
func (h *head) aggregate(ctx context.Context, name string, members []*member) error {
	members = counting(members)
	s := members[0].state
	newest := members[len(members)-1]
	var tasks []Task
	for _, m := range members {
		tasks = append(tasks, tasksOf(m.items)...)
	}
	for _, m := range members[1:] {
		s = combine(s, m.state)
	}
	if len(members) > 1 {
		s.Title += fmt.Sprintf(" (%d builds)", len(members))
	}
	key := Aggregate + " " + name
	expired := slices.ContainsFunc(members, func(m *member) bool { return m.Group != "" && m.total == 0 && !m.Young })
	if was, told := h.known[key]; expired && (!told || !was.Open) {
		h.wanted[key] = true
		return nil // it ended, and its tasks have expired since
	}
	return h.want(ctx, Check{Kind: Aggregate, Name: name, TaskGroupID: newest.Group}, s, tasks)
}

func combine(a, b State) State {
	worse := a
	switch {
	case (a.Status == Completed) != (b.Status == Completed):
		if a.Status == Completed {
			worse = b
		}
		worse.Status = InProgress // something was done
	case a.Status == Completed && slices.Index(severity, b.Conclusion) > slices.Index(severity, a.Conclusion):
		worse = b
	}
	worse.DetailsURL = b.DetailsURL
	worse.Summary = cut(a.Summary, maxText/2) + "\n\n" + cut(b.Summary, maxText/2)
	worse.Text = strings.TrimSpace(cut(a.Text, maxText/2) + "\n\n" + cut(b.Text, maxText/2))
	worse.Annotations = slices.Concat(a.Annotations, b.Annotations)
	if b.CompletedAt.After(worse.CompletedAt) && worse.Status == Completed {
		worse.CompletedAt = b.CompletedAt
	}
	return worse
}

func tasksOf(items []queue.Item) []Task {
	out := make([]Task, 0, len(items))
	for _, i := range items {
		t := Task{ID: i.Status.TaskID, Name: i.Task.Metadata.Name, State: i.Status.State}
		if r := i.Status.LastRun(); r != nil && i.Status.State.Resolved() {
			t.Reason = r.ReasonResolved
		}
		out = append(out, t)
	}
	return out
}
