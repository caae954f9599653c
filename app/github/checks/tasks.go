package checks

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// tasksOf wants the checks of a build's tasks: one each while they are few, one for each group of them where they are
// more, and none beyond that, as pages of GitHub's with hundreds of check runs are of no use. While the decision is at
// work it is the only one: nobody knows how many there will be.
func (h *head) tasksOf(ctx context.Context, m *member) error {
	mode := cmp.Or(m.Reporting.Tasks, "auto")
	if mode == "auto" {
		switch {
		case m.total <= oneByOne:
			mode = "task"
		case m.total <= grouped:
			mode = "group"
		default:
			mode = "none"
		}
	}
	if m.total > grouped {
		mode = "none"
	}
	d := m.decision()
	deciding := d != nil && !d.Status.State.Resolved()
	failed, taken := 0, maps.Clone(h.names)
	if m.items == nil { // too many to look at before the end; what was begun goes on
		for key, r := range h.known {
			if r.TaskGroupID == m.Group && (r.Kind == OfTask || r.Kind == OfGroup) {
				h.wanted[key], h.open = true, h.open || r.Open
			}
		}
	}
	for _, i := range byName(m.items) {
		key := OfTask + " " + m.Group + "/" + i.Status.TaskID
		r, told := h.known[key]
		bad := i.Status.State == task.Failed || i.Status.State == task.Exception
		switch {
		case told: // what was begun is ended
		case i.Status.State == task.Unscheduled, deciding && i.Status.TaskID != m.Group:
			continue
		case mode == "task":
		case mode == "group" && bad && failed < mostFailed:
			failed++
		default:
			continue
		}
		if err := h.taskCheck(ctx, m, i, nameFor(i, r, told, taken)); err != nil {
			return err
		}
	}
	if mode == "group" && !deciding {
		return h.groupsOf(ctx, m)
	}
	return nil
}

// nameFor is the name of a task's check: the task's, and what tells it apart where another has that already.
func nameFor(i queue.Item, was row, told bool, taken map[string]bool) string {
	name := was.Name
	if !told {
		name = cutLine(cmp.Or(strings.TrimSpace(i.Task.Metadata.Name), i.Status.TaskID), maxName)
		if taken[name] {
			name += " (" + i.Status.TaskID + ")"
		}
	}
	taken[name] = true
	return name
}

// taskCheck wants the checks of a task: of its attempt, and of those before that were not told to have ended.
func (h *head) taskCheck(ctx context.Context, m *member, i queue.Item, name string) error {
	attempt := attemptOf(&i.Status)
	check := Check{Kind: OfTask, Name: name, TaskGroupID: m.Group, TaskID: i.Status.TaskID, Attempt: attempt}
	s := h.taskState(i, attempt)
	if r, told := h.known[OfTask+" "+check.subject()]; told {
		if r.Attempt < attempt && r.Open {
			former := check
			former.Attempt = r.Attempt
			was := h.taskState(i, r.Attempt)
			was.Status = Completed
			was.Conclusion = cmp.Or(was.Conclusion, Neutral)
			if err := h.want(ctx, former, was, tasksOf([]queue.Item{i})); err != nil {
				return err
			}
		}
		if r.Attempt > attempt || r.Attempt == attempt && !r.Open && s.Status != Completed {
			check.Attempt = 0 // GitHub had it as completed; what goes on is another attempt to it
			if r.Attempt > attempt {
				check.Attempt = r.Attempt
			}
		}
	}
	return h.want(ctx, check, s, tasksOf([]queue.Item{i}))
}

// taskState is what the check of an attempt of a task shows (taskcluster-map 13.7).
func (h *head) taskState(i queue.Item, attempt int) State {
	s := State{Summary: escapeBlock(i.Task.Metadata.Description), DetailsURL: h.taskURL(i.Status.TaskID)}
	run := runOf(&i.Status, attempt)
	if run == nil {
		s.Status, s.Title = Queued, "It waits for other tasks"
		return s
	}
	if run.Started != nil {
		s.StartedAt = run.Started.Time
	}
	s.Status, s.Conclusion = Conclude(run.State, run.ReasonResolved)
	took := ""
	if run.Resolved != nil {
		s.CompletedAt = run.Resolved.Time
		if run.Started != nil {
			took = " after " + lasted(run.Resolved.Sub(run.Started.Time))
		}
	}
	again := ""
	if run.RunID > 0 {
		again = fmt.Sprintf(" (run %d)", run.RunID)
	}
	switch run.State {
	case task.Running:
		s.Title = "Running on " + run.WorkerID
	case task.Completed:
		s.Title = "Passed" + took
	case task.Failed:
		s.Title = "Failed" + took
	case task.Exception:
		s.Title = exception(run.ReasonResolved) + took
	default:
		s.Title = "Waiting for a worker"
	}
	s.Title += again
	return s
}

// exception is why a run ended otherwise, in a few words.
func exception(reason task.ReasonResolved) string {
	switch reason {
	case task.ReasonCanceled:
		return "Cancelled"
	case task.ReasonDeadlineExceeded:
		return "Its deadline passed"
	case task.ReasonClaimExpired:
		return "Its worker vanished"
	case task.ReasonWorkerShutdown:
		return "Its worker was shut down"
	case task.ReasonIntermittentTask:
		return "It asked too often to be tried again"
	case task.ReasonMalformedPayload:
		return "Its payload is malformed"
	case task.ReasonResourceUnavailable:
		return "Something it needs was not available"
	case task.ReasonInternalError:
		return "Its worker failed"
	case task.ReasonSuperseded:
		return "Superseded"
	}
	return "Exception " + string(reason)
}

// Conclude gives status and conclusion of a check for how a run stands, as the peer (taskcluster-map 13.7). Of a task
// with retries left the last run is pending, so that what ends here has ended.
func Conclude(state task.State, reason task.ReasonResolved) (status, conclusion string) {
	switch state {
	case task.Completed:
		return Completed, Success
	case task.Failed:
		return Completed, Failure
	case task.Running:
		return InProgress, ""
	case task.Exception:
	default:
		return Queued, ""
	}
	switch reason {
	case task.ReasonDeadlineExceeded:
		return Completed, TimedOut
	case task.ReasonCanceled, task.ReasonSuperseded:
		return Completed, Cancelled
	case task.ReasonMalformedPayload:
		return Completed, ActionRequired
	case task.ReasonWorkerShutdown:
		return Completed, Neutral
	}
	return Completed, Failure
}

// groupsOf wants one check for each group of a build's tasks.
func (h *head) groupsOf(ctx context.Context, m *member) error {
	groups := map[string][]queue.Item{}
	var names []string
	for _, i := range m.items {
		if i.Status.TaskID == m.Group {
			continue
		}
		name := m.Reporting.Name + ": " + groupOf(i.Task)
		if groups[name] == nil {
			names = append(names, name)
		}
		groups[name] = append(groups[name], i)
	}
	slices.Sort(names)
	for n, name := range names {
		if _, told := h.known[OfGroup+" "+m.Group+"/"+name]; !told && n >= mostGroups {
			continue
		}
		part := &member{Group: m.Group, Event: m.Event, State: m.State, Created: m.Created, Young: true, items: groups[name], counts: queue.Counts{}, total: len(groups[name])}
		for _, i := range part.items {
			part.counts[i.Status.State]++
		}
		if part.total == part.counts[task.Unscheduled] && h.known[OfGroup+" "+m.Group+"/"+name].ID == 0 {
			continue // none has begun
		}
		part.stuck = !m.going() // they wait for what failed elsewhere
		if err := h.judge(ctx, part); err != nil {
			return err
		}
		if err := h.want(ctx, Check{Kind: OfGroup, Name: name, TaskGroupID: m.Group}, part.state, tasksOf(part.items)); err != nil {
			return err
		}
	}
	return nil
}

// groupOf is which group a task belongs to: that of its symbol at Treeherder with its platform, else its kind, else its
// task queue.
func groupOf(d task.Definition) string {
	var e struct {
		Treeherder struct {
			GroupName   string `json:"groupName"`
			GroupSymbol string `json:"groupSymbol"`
			Machine     struct {
				Platform string `json:"platform"`
			} `json:"machine"`
		} `json:"treeherder"`
	}
	_ = json.Unmarshal(d.Extra, &e) // it may hold anything
	t := e.Treeherder
	group := t.GroupName
	if group == "" && t.GroupSymbol != "?" {
		group = t.GroupSymbol
	}
	name := strings.TrimSpace(t.Machine.Platform + " " + group)
	if kind := d.Tags["kind"]; group == "" && kind != "" {
		name = strings.TrimSpace(kind + " " + t.Machine.Platform)
	}
	return cutLine(cmp.Or(name, d.TaskQueueID, "tasks"), 100)
}

// escapeBlock keeps a description's Markdown, and calls nobody by it.
func escapeBlock(s string) string { return strings.ReplaceAll(s, "@", "@\u200b") }
