package ui

import (
	"net/http"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

// overview is the first page and the way to everything else.
type overview struct {
	Queue *queue.Queue
	Push  *push.Log
	Live  *live.Live
}

// Register adds the pages to a kit.
func (ps *overview) Register(k *page.Kit) error {
	k.Page("GET /{$}", ps.home)
	k.Page("POST /ui/theme", (*page.Visit).NextTheme)
	return k.Add(markup)
}

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
	Counts []cell.Tally
	State  string // of the whole push, for its mark
	Word   string
}

// home shows the repositories with their last pushes.
func (ps *overview) home(v *page.Visit) error {
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	ctx := v.R.Context()
	stream := ps.Live.Path(v, "all=1")
	repos, err := ps.Push.Repositories(ctx)
	if err != nil {
		return err
	}
	cards := make([]card, len(repos))
	var groups []string
	for i, r := range repos {
		list, err := ps.Push.List(ctx, r.Name, 0, homePushes)
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
	counts, err := ps.Queue.GroupCounts(ctx, groups)
	if err != nil {
		return err
	}
	for _, c := range cards {
		for i := range c.Pushes {
			p := &c.Pushes[i]
			p.Counts = cell.TalliesOfCounts(counts[p.TaskGroupID])
			p.State, p.Word = cell.Summarize(p.Push.State, p.Counts)
		}
	}
	// Where something happened last stands first.
	slices.SortStableFunc(cards, func(a, b card) int { return b.last().Compare(a.last()) })
	return v.Show(http.StatusOK, page.View{Title: "Repositories", Name: "home", Body: cards, Stream: stream}, nil)
}
