package hg

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Bounds on what is asked of a pushlog.
const (
	pushPage      = 50   // pushes of a request, without their changesets
	fullPage      = 500  // changesets of a request that tells of them
	maxFullPush   = 2000 // changesets of a push whose changesets are asked for; of a larger one its last is
	maxChangesets = 200_000
)

// Pushed is a push of a pushlog.
type Pushed struct {
	ID         int64
	User       string
	Time       time.Time
	Nodes      []string   // oldest first; none when all are obsolete by now
	Changesets []PushedOf // as Nodes, where they were asked for
}

// PushedOf is a changeset of a push.
type PushedOf struct {
	Entry
	Files []string
}

// Page is a piece of a pushlog.
type Page struct {
	Last   int64    // the last push there is; it may go down, as machines that answer lag behind (vcs-integration 2.2)
	To     int64    // up to where the page tells of all pushes
	Pushes []Pushed // in their order
}

type rawPush[C any] struct {
	Changesets []C
	Date       float64
	User       string
}

type rawLog[C any] struct {
	LastPushID *int64                `json:"lastpushid"`
	Pushes     map[string]rawPush[C] `json:"pushes"`
}

// ErrNoPushlog is the error about a server that keeps none.
var ErrNoPushlog = fault.New(fault.NotFound, "the server keeps no pushlog")

// Pushes reads the pushes after one, fifty at most, without their changesets. With the tag of an earlier
// answer, changed is false when the server says that nothing is different since.
func (r *Repo) Pushes(ctx context.Context, after int64, tag string) (page Page, newTag string, changed bool, err error) {
	to := after + pushPage
	path := fmt.Sprintf("/json-pushes?version=2&startID=%d&endID=%d", after, to)
	resp, err := r.ask(ctx, path, tag) //nolint:bodyclose // whole closes it
	if missing(err) {
		return Page{}, "", false, ErrNoPushlog
	}
	if err != nil {
		return Page{}, "", false, err
	}
	text, err := r.whole(resp.Body, path, maxDocument)
	if err != nil {
		return Page{}, "", false, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return Page{}, tag, false, nil
	}
	var raw rawLog[string]
	if err := r.decodeObject(text, &raw); err != nil {
		return Page{}, "", false, err
	}
	if raw.LastPushID == nil {
		return Page{}, "", false, r.strange(nil, "its pushlog has no lastpushid")
	}
	list, err := pushes(r, raw, after, to, func(p *Pushed, nodes []string) { p.Nodes = nodes })
	return Page{Last: *raw.LastPushID, To: min(to, max(*raw.LastPushID, after)), Pushes: list}, tagOf(resp), true, err
}

// pushes sorts the pushes of an answer by their ids, which are names there.
func pushes[C any](r *Repo, raw rawLog[C], after, to int64, keep func(*Pushed, []C)) ([]Pushed, error) {
	var list []Pushed
	total := 0
	for name, p := range raw.Pushes {
		id, err := strconv.ParseInt(name, 10, 64)
		if err != nil || id <= after || id > to {
			return nil, r.strange(err, "asked for pushes %d to %d, it tells of push %.40q", after+1, to, name)
		}
		if math.IsNaN(p.Date) || p.Date < 0 || p.Date > 1e11 {
			return nil, r.strange(nil, "push %d is dated %v", id, p.Date)
		}
		if total += len(p.Changesets); total > maxChangesets {
			return nil, fault.New(fault.TooLarge, "the pushlog of %s has more than %d changesets in %d pushes", r.url, maxChangesets, len(raw.Pushes))
		}
		push := Pushed{ID: id, User: p.User, Time: time.Unix(int64(p.Date), 0).UTC()}
		keep(&push, p.Changesets)
		for _, node := range push.Nodes {
			if !fullNode.MatchString(node) {
				return nil, r.strange(nil, "push %d has a changeset %.100q", id, node)
			}
		}
		list = append(list, push)
	}
	slices.SortFunc(list, func(a, b Pushed) int { return int(a.ID - b.ID) })
	return list, nil
}

// Fill adds the changesets of pushes, several pushes in a request while they are small. Of a push that is
// very large only the last changeset is told.
func (r *Repo) Fill(ctx context.Context, list []Pushed) error {
	for begin := 0; begin < len(list); {
		end, n := begin, 0
		for end < len(list) && (end == begin || n+len(list[end].Nodes) <= fullPage) {
			n += len(list[end].Nodes)
			end++
		}
		if err := r.fill(ctx, list[begin:end], n); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

func (r *Repo) fill(ctx context.Context, list []Pushed, n int) error {
	if n == 0 {
		return nil
	}
	if n > maxFullPush { // so it is one push
		return r.fillTip(ctx, &list[0])
	}
	after, to := list[0].ID-1, list[len(list)-1].ID
	var raw rawLog[rawEntry]
	if err := r.json(ctx, fmt.Sprintf("/json-pushes?version=2&full=1&startID=%d&endID=%d", after, to), &raw); err != nil {
		return fmt.Errorf("hg: pushes %d to %d: %w", after+1, to, err)
	}
	full, err := pushes(r, raw, after, to, func(p *Pushed, entries []rawEntry) {
		for _, e := range entries {
			p.Nodes = append(p.Nodes, e.Node)
			p.Changesets = append(p.Changesets, PushedOf{Entry: e.entry(), Files: e.Files})
		}
	})
	if err != nil {
		return err
	}
	told := map[int64]Pushed{}
	for _, p := range full {
		told[p.ID] = p
	}
	for i := range list {
		p, ok := told[list[i].ID]
		if !ok && len(list[i].Nodes) > 0 {
			return fault.New(fault.Unavailable, "the server of %s tells of push %d, and then does not", r.url, list[i].ID)
		}
		list[i].Nodes, list[i].Changesets = p.Nodes, p.Changesets
	}
	return nil
}

func (r *Repo) fillTip(ctx context.Context, p *Pushed) error {
	tip := p.Nodes[len(p.Nodes)-1]
	e, err := r.Entry(ctx, tip)
	if err != nil {
		return err
	}
	files, err := r.Files(ctx, p.Nodes)
	p.Changesets = []PushedOf{{Entry: e, Files: files}}
	return err
}
