package ui

import (
	"net/http"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// seePushes is what seeing repositories and pushes asks for: they are the past of the feed.
var seePushes = scope.String("events:read")

const homePushes = 5 // of a repository on the first page

// card is a repository on the first page.
type card struct {
	push.Repository
	Pushes []line
}

func (c card) last() time.Time {
	if len(c.Pushes) == 0 {
		return time.Time{}
	}
	return c.Pushes[0].Time
}

// line is one push in short.
type line struct {
	push.Push
	Counts []tally
	State  string // of the whole push, for its mark
	Word   string
}

// home shows the repositories with their last pushes.
func (u *UI) home(v *visit) error {
	if err := v.allow(seePushes); err != nil {
		return err
	}
	ctx := v.r.Context()
	stream := u.streamPath(v, "all=1")
	repos, err := u.deps.Push.Repositories(ctx)
	if err != nil {
		return err
	}
	cards := make([]card, len(repos))
	var groups []string
	for i, r := range repos {
		list, err := u.deps.Push.List(ctx, r.Name, 0, homePushes)
		if err != nil {
			return err
		}
		cards[i].Repository = r
		for _, p := range list {
			cards[i].Pushes = append(cards[i].Pushes, line{Push: p})
			if p.TaskGroupID != "" {
				groups = append(groups, p.TaskGroupID)
			}
		}
	}
	counts, err := u.deps.Queue.GroupCounts(ctx, groups)
	if err != nil {
		return err
	}
	for _, c := range cards {
		for i := range c.Pushes {
			p := &c.Pushes[i]
			p.Counts = talliesOfCounts(counts[p.TaskGroupID])
			p.State, p.Word = summarize(p.Push.State, p.Counts)
		}
	}
	// Where something happened last stands first.
	slices.SortStableFunc(cards, func(a, b card) int { return b.last().Compare(a.last()) })
	return v.show(http.StatusOK, view{Title: "Repositories", Name: "home", Body: cards, Stream: stream}, nil)
}

// talliesOfCounts is talliesOf for counts by the queue, which does not tell a cancelled task from
// another exception.
func talliesOfCounts(counts map[task.State]int) []tally {
	var out []tally
	for _, s := range shownStates() {
		from := task.State(s)
		if s == "passed" {
			from = task.Completed
		}
		if n := counts[from]; n > 0 {
			out = append(out, tally{s, n})
		}
	}
	return out
}

// summarize tells a push's state in a word.
func summarize(state push.State, counts []tally) (mark, word string) {
	n := map[string]int{}
	for _, t := range counts {
		n[t.State] = t.N
	}
	switch {
	case state == push.Failed:
		return "failed", "decision failed"
	case state == push.Ignored:
		return "cancelled", "nothing to do"
	case n["failed"]+n["exception"] > 0:
		return "failed", "failed"
	case len(counts) == 0 || state != push.Decided:
		return "running", "deciding"
	case n["running"]+n["pending"]+n["unscheduled"] > 0:
		return "running", "in progress"
	case n["cancelled"] > 0:
		return "cancelled", "cancelled"
	}
	return "passed", "passed"
}
