package failures

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Kind is what a failure is, to the one who pushed.
type Kind string

// The kinds, in the order in which a page shows them.
const (
	Fresh  Kind = "new"    // it came with this push
	Unsure Kind = "unsure" // nobody can tell yet, as the parent has not finished
	Known  Kind = "known"  // somebody has classified it, or it fails without this push too
	Flaky  Kind = "flaky"  // it fails and passes on the same revision
	Infra  Kind = "infra"  // the machines' fault, not the push's
)

// Kinds lists the kinds in their order.
func Kinds() []Kind { return []Kind{Fresh, Unsure, Known, Flaky, Infra} }

// Failed is a run that did not pass.
type Failed struct {
	TaskID   string    `json:"taskId"`
	Run      int       `json:"run"`
	Label    string    `json:"label"`
	Name     string    `json:"name"`
	Platform string    `json:"platform"`
	Line     int       `json:"line"` // of its log, 0 unknown
	Ended    time.Time `json:"ended"`

	label int64
}

// Mark is how a push did, in a strip of several.
type Mark struct {
	Push     int64  `json:"push"` // within the repository
	Revision string `json:"revision"`
	State    string `json:"state"` // failed, passed, or "" where it did not run
}

// Group is failures of one signature on a push.
type Group struct {
	Signature string   `json:"signature"`
	Test      string   `json:"test"`
	Message   string   `json:"message"`
	Job       string   `json:"job"` // build, lint, test or other
	Excerpt   string   `json:"excerpt"`
	Kind      Kind     `json:"kind"`
	Reason    string   `json:"reason"` // why it is of that kind, a sentence
	Tasks     []Failed `json:"tasks"`
	Platforms []string `json:"platforms"`
	Parent    string   `json:"parent"` // how its tasks did on the parent: failed, passed, running or "" for not at all
	K         int      `json:"k"`      // of flaky ones: how many runs of the last 14 days failed so,
	N         int      `json:"n"`      // of how many
	Strip     []Mark   `json:"strip"`
	First     *Mark    `json:"first"` // the first push of the last 14 days that had it, nil for this one
	Bug       string   `json:"bug"`

	lost   bool
	labels []int64
	past   []seen
}

// seen is a signature on another push.
type seen struct {
	signature string
	push      int64 // of this room
	at        Mark
	label     int64
	runs      int
	mixed     bool // the label passed there, too
	taskID    string
}

// tally is how often a label's runs passed and failed.
type tally struct{ passed, failed int }

// Base is the push that one is compared with.
type Base struct {
	ID         int64 // the push's, within the repository; 0 when it is not Known
	Push       int64 // of this room; 0: nothing of it has ended
	Revision   string
	Known      bool // there is such a push
	Unfinished int  // tasks of it that have not ended; -1: they are not decided yet
}

// Said is what somebody has classified a task as.
type Said struct {
	Class         string // such as "intermittent"
	Infra         bool
	Settled       bool // nobody needs to look any more
	Bug, Note, By string
}

// Few is the number of runs below which a share of failures says little.
const Few = 5

// facts is what Judge goes by, besides the groups.
type facts struct {
	base     Base
	here     map[int64]tally           // by label, on the push
	parent   map[int64]tally           // by label, on the base
	window   map[int64]tally           // by label, in the window
	recent   []recent                  // pushes of the branch up to this one, the newest first
	outcomes map[int64]map[int64]tally // of recent pushes, by label
	said     map[string]Said           // by task
}

// recent is a push of the branch.
type recent struct {
	id int64
	Mark
}

// judge says of each group of what kind it is and why, and puts them in order.
func judge(groups []*Group, f *facts) {
	for _, g := range groups {
		g.Parent = f.onParent(g)
		g.Kind, g.Reason = f.kindOf(g)
		f.strip(g)
	}
	order := Kinds()
	slices.SortStableFunc(groups, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(len(b.Tasks), len(a.Tasks)),
			cmp.Compare(a.Test, b.Test), cmp.Compare(a.Message, b.Message))
	})
}

func (f *facts) onParent(g *Group) string {
	if slices.ContainsFunc(g.past, func(s seen) bool { return f.base.Push != 0 && s.push == f.base.Push }) {
		return "failed"
	}
	for _, label := range g.labels {
		if f.parent[label].passed > 0 {
			return "passed"
		}
	}
	if f.base.Known && f.base.Unfinished != 0 {
		return "running"
	}
	return ""
}

func (f *facts) kindOf(g *Group) (Kind, string) {
	if kind, why, ok := f.classified(g); ok {
		return kind, why
	}
	if g.lost {
		return Infra, f.lostReason(g)
	}
	if g.Parent == "failed" {
		return Known, "It fails on the parent " + shortRevision(f.base.Revision) + " too."
	}
	if why, ok := f.flaky(g); ok {
		return Flaky, why
	}
	if why, ok := f.failedBefore(g); ok {
		return Known, why
	}
	switch {
	case !f.base.Known:
		return Fresh, "No push before it is known to compare with."
	case f.base.Unfinished < 0:
		return Unsure, "The tasks of the parent " + shortRevision(f.base.Revision) + " are not decided yet."
	case f.base.Unfinished > 0:
		return Unsure, fmt.Sprintf("The parent %s has not finished: %s to end.", shortRevision(f.base.Revision), have(f.base.Unfinished))
	case g.Parent == "passed":
		return Fresh, "It passed on the parent " + shortRevision(f.base.Revision) + "."
	}
	return Fresh, "It has not failed so in the last 14 days; the parent " + shortRevision(f.base.Revision) + " did not run it."
}

// classified goes by what people said of its tasks, or of tasks that failed so on other pushes.
func (f *facts) classified(g *Group) (Kind, string, bool) {
	where := ""
	var said Said
	for _, t := range g.Tasks {
		if s := f.said[t.TaskID]; s.Settled {
			said = s
			break
		}
	}
	for _, p := range g.past {
		if said.Settled {
			break
		}
		if s := f.said[p.taskID]; s.Settled {
			said, where = s, " on "+shortRevision(p.at.Revision)
		}
	}
	if !said.Settled {
		return "", "", false
	}
	g.Bug = said.Bug
	why := fmt.Sprintf("%s classified it%s as %s", said.By, where, said.Class)
	if said.Bug != "" {
		why += " (" + said.Bug + ")"
	}
	if said.Infra {
		return Infra, why + ".", true
	}
	return Known, why + ".", true
}

func (f *facts) lostReason(g *Group) string {
	again := 0
	for _, label := range g.labels {
		if f.here[label].passed > 0 {
			again++
		}
	}
	switch again {
	case 0:
		return "The machines' fault: it says nothing about the push."
	case len(g.labels):
		return "The machines' fault; what was tried again has passed."
	}
	return fmt.Sprintf("The machines' fault; of %d, %d passed when tried again.", len(g.labels), again)
}

// flaky looks for a pass and a failure on the same revision.
func (f *facts) flaky(g *Group) (string, bool) {
	where := ""
	for _, label := range g.labels {
		if f.here[label].passed > 0 {
			where = "this revision"
		}
	}
	for _, p := range g.past {
		if where == "" && p.mixed {
			where = shortRevision(p.at.Revision)
		}
	}
	if where == "" {
		return "", false
	}
	g.K = len(g.Tasks)
	for _, p := range g.past {
		g.K += p.runs
	}
	for _, label := range g.labels {
		g.N += f.window[label].passed + f.window[label].failed
	}
	g.N = max(g.N, g.K)
	why := fmt.Sprintf("It passed and failed on %s; %d of %d runs in 14 days failed so", where, g.K, g.N)
	if g.N < Few {
		why += " (few samples)"
	}
	return why + ".", true
}

// failedBefore looks at the nearest push before that ran it, where the parent did not.
func (f *facts) failedBefore(g *Group) (string, bool) {
	if g.Parent != "" {
		return "", false
	}
	for _, r := range f.recent[min(1, len(f.recent)):] {
		if f.base.ID != 0 && r.Push > f.base.ID {
			continue // what came in between is not what one compares with
		}
		ran := false
		for _, label := range g.labels {
			t := f.outcomes[r.id][label]
			ran = ran || t.passed+t.failed > 0
		}
		if !ran {
			continue
		}
		if slices.ContainsFunc(g.past, func(s seen) bool { return s.push == r.id }) {
			return "It fails on " + shortRevision(r.Revision) + " already, the last push before that ran it.", true
		}
		return "", false
	}
	return "", false
}

// strip fills in how the last pushes did, and the first that had the failure.
func (f *facts) strip(g *Group) {
	g.Strip = make([]Mark, 0, len(f.recent))
	for i := len(f.recent) - 1; i >= 0; i-- {
		r := f.recent[i]
		m := r.Mark
		for _, label := range g.labels {
			if t := f.outcomes[r.id][label]; t.passed > 0 && m.State == "" {
				m.State = "passed"
			}
		}
		if i == 0 || slices.ContainsFunc(g.past, func(s seen) bool { return s.push == r.id }) {
			m.State = "failed"
		}
		g.Strip = append(g.Strip, m)
	}
	for i := range g.past {
		if p := &g.past[i]; (g.First == nil || p.at.Push < g.First.Push) && (len(f.recent) == 0 || p.at.Push < f.recent[0].Push) {
			first := p.at
			first.State = "failed"
			g.First = &first
		}
	}
}

func shortRevision(r string) string { return r[:min(10, len(r))] }

func have(n int) string {
	if n == 1 {
		return "1 task has yet"
	}
	return fmt.Sprintf("%d tasks have yet", n)
}
