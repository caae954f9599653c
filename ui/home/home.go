// Package home is the first page: what is mine, what fails of it, what happens in the repositories that are watched,
// and how the machines keep up. It also keeps what people chose for themselves.
package home

import (
	"embed"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/trees"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue    *queue.Queue
	Push     *push.Log
	Live     *live.Live
	Gauge    *gauge.Gauge       // nil: nothing is told of queues
	Failures *failures.Failures // nil: nothing is told of failing tasks
	Trees    *trees.Book        // nil: all are open
	Settings *Settings
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /{$}", ps.home)
	k.Page("POST /ui/theme", ps.nextTheme)
	k.Page("POST /ui/watch", ps.watch)
	return k.Add(markup)
}

const (
	homePushes = 5  // of a repository
	myPushes   = 10 // of mine
	myFailing  = 12
	busyQueues = 6
)

// card is a repository on the first page.
type card struct {
	push.Repository
	Watched bool
	Icons   string
	CSRF    string
	Pushes  []line
	Tree    trees.Tree
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

type failing struct {
	failures.Failing
	Push string // address of its push
	Repo string
}

type queueLine struct {
	gauge.Line
	Href string
	Late bool // something waits for more than half an hour
}

// view is the first page.
type view struct {
	Watched []card // that the visitor chose
	Cards   []card // the others
	Mine    []line
	Failing []failing
	Emails  []string
	Queues  []queueLine
	Pending int
	Running int
	Workers int
	Notify  bool
}

// home shows what is mine, and the repositories with their last pushes.
func (ps *Pages) home(v *page.Visit) error {
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	stream := ps.Live.Path(v, "all=1")
	var b view
	if err := ps.repositories(v, &b); err != nil {
		return err
	}
	if err := ps.mine(v, &b); err != nil {
		return err
	}
	if err := ps.queues(v, &b); err != nil {
		return err
	}
	watched, err := ps.watched(v)
	if err != nil {
		return err
	}
	b.choose(watched, v.Kit.Assets.Icons, v.Session.CSRF())
	return v.Show(http.StatusOK, page.View{Title: "Home", Name: "home", Body: b, Stream: stream, Watched: append([]string{}, watched...)}, map[string]any{"emails": append([]string{}, b.Emails...), "notify": b.Notify})
}

// choose puts the cards of repositories that are watched apart.
func (b *view) choose(watched []string, icons, csrf string) {
	all := b.Cards
	b.Cards = nil
	for _, c := range all {
		c.Icons, c.CSRF = icons, csrf
		if c.Watched = slices.Contains(watched, c.Name); c.Watched {
			b.Watched = append(b.Watched, c)
		} else {
			b.Cards = append(b.Cards, c)
		}
	}
}

func (ps *Pages) repositories(v *page.Visit, b *view) error {
	ctx := v.R.Context()
	repos, err := ps.Push.Repositories(ctx)
	if err != nil {
		return err
	}
	b.Cards = make([]card, len(repos))
	for i, r := range repos {
		list, err := ps.Push.List(ctx, r.Name, 0, homePushes)
		if err != nil {
			return err
		}
		b.Cards[i] = card{Repository: r, Tree: trees.Tree{Repository: r.Name, State: trees.Open}}
		for _, p := range list {
			b.Cards[i].Pushes = append(b.Cards[i].Pushes, line{Push: p})
		}
	}
	if ps.Trees != nil {
		said, err := ps.Trees.All(ctx)
		if err != nil {
			return err
		}
		for _, t := range said {
			for i := range b.Cards {
				if b.Cards[i].Name == t.Repository {
					b.Cards[i].Tree = t
				}
			}
		}
	}
	var lines []*line
	for i := range b.Cards {
		for j := range b.Cards[i].Pushes {
			lines = append(lines, &b.Cards[i].Pushes[j])
		}
	}
	// Where something happened last stands first.
	slices.SortStableFunc(b.Cards, func(a, b card) int { return b.last().Compare(a.last()) })
	return ps.count(v, lines)
}

// count fills in how the tasks of pushes stand.
func (ps *Pages) count(v *page.Visit, lines []*line) error {
	var groups []string
	for _, l := range lines {
		if l.TaskGroupID != "" {
			groups = append(groups, l.TaskGroupID)
		}
	}
	counts, err := ps.Queue.GroupCounts(v.R.Context(), groups)
	if err != nil {
		return err
	}
	for _, l := range lines {
		l.Counts = cell.TalliesOfCounts(counts[l.TaskGroupID])
		l.State, l.Word = cell.Summarize(l.Push.State, l.Counts)
	}
	return nil
}

// mine fills in the visitor's pushes, and what fails of them.
func (ps *Pages) mine(v *page.Visit, b *view) error {
	if v.Session.ClientID == "" || ps.Settings == nil {
		return nil
	}
	ctx := v.R.Context()
	choices, _, err := ps.Settings.Of(ctx, v.Session)
	if err != nil {
		return err
	}
	b.Emails, b.Notify = choices.Emails, choices.Notify
	if len(b.Emails) == 0 {
		return nil
	}
	list, err := ps.Push.ByEmails(ctx, b.Emails, myPushes)
	if err != nil {
		return err
	}
	var lines []*line
	var groups []string
	of := map[string]push.Push{}
	b.Mine = make([]line, len(list))
	for i, p := range list {
		b.Mine[i].Push = p
		lines = append(lines, &b.Mine[i])
		if p.TaskGroupID != "" {
			groups = append(groups, p.TaskGroupID)
			of[p.TaskGroupID] = p
		}
	}
	if err := ps.count(v, lines); err != nil || ps.Failures == nil || len(groups) == 0 {
		return err
	}
	tasks, err := ps.Failures.Failing(ctx, groups, myFailing)
	if err != nil {
		return err
	}
	for _, f := range tasks {
		p := of[f.TaskGroupID]
		b.Failing = append(b.Failing, failing{f, "/jobs?" + url.Values{"repo": {p.Repository}, "revision": {p.Revision}}.Encode(), p.Repository})
	}
	return nil
}

// queues fills in how the machines keep up: the queues where most waits.
func (ps *Pages) queues(v *page.Visit, b *view) error {
	if ps.Gauge == nil {
		return nil
	}
	list, err := ps.Gauge.Lines(v.R.Context())
	if err != nil {
		return err
	}
	for _, l := range list {
		b.Pending, b.Running, b.Workers = b.Pending+l.Pending, b.Running+l.Running, b.Workers+l.Workers
		if l.Pending+l.Running > 0 {
			late := !l.Oldest.IsZero() && time.Since(l.Oldest) > 30*time.Minute
			b.Queues = append(b.Queues, queueLine{l, "/queues/" + l.TaskQueueID, late})
		}
	}
	slices.SortStableFunc(b.Queues, func(a, b queueLine) int { return b.Line.Pending - a.Line.Pending })
	b.Queues = b.Queues[:min(len(b.Queues), busyQueues)]
	return nil
}

// nextTheme moves to the next theme, and keeps it for other browsers.
func (ps *Pages) nextTheme(v *page.Visit) error { return v.NextTheme() }
