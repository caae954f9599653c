package logs

import (
	"time"

	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	pace    = 100 * time.Millisecond // between two messages about a log that grows
	beat    = 10 * time.Second       // a message is sent at least so often, so that who has gone is noticed
	recheck = 2 * time.Second        // between two looks whether the run goes on
	ahead   = 400                    // of the newest lines, so many go along with the news of them
)

// followJSON is news of a log that grows: how far it is, and its last lines as far as they are new.
type followJSON struct {
	progressJSON
	Piece   *lineindex.Piece `json:"piece,omitempty"`
	Problem string           `json:"problem,omitempty"`
}

// follow tells how a log grows until it is whole, beginning behind the lines that the page has.
func (ps *Pages) follow(v *page.Visit, t text) (any, error) {
	have := number(v, "have", 0)
	if have < 0 {
		return nil, fault.New(fault.BadArguments, "have must be a number of lines.")
	}
	withLines := v.R.FormValue("lines") != "0"
	out := newNDJSON(v)
	ctx, cancel := drain.Context(v.R.Context())
	defer cancel()
	looks, beats := time.NewTicker(recheck), time.NewTicker(beat)
	defer looks.Stop()
	defer beats.Stop()
	var last progressJSON
	for first := true; ; first = false {
		s := t.index.State()
		now := followJSON{progressJSON: t.progress(s)}
		if s.Err != nil {
			v.Kit.Log.WarnContext(ctx, "the lines of a log cannot be found", "task", t.task, "error", s.Err)
			now.Problem = "The log cannot be read at the moment."
		}
		if first || now.progressJSON != last {
			// The line that has no end yet comes again when it has grown.
			if withLines && now.Total > 0 && now.Bytes != last.Bytes {
				p, err := t.index.Lines(ctx, max(have, now.Total-ahead+1), now.Total, lineindex.Shown)
				if err == nil && len(p.Lines) > 0 {
					now.Piece = &p
				}
			}
			last, have = now.progressJSON, now.Total
			if out.write(now) != nil {
				return nil, nil // the browser has gone
			}
		}
		if now.Done || now.Problem != "" {
			return nil, nil // all is told
		}
		select {
		case <-ctx.Done():
			return nil, nil // the browser has gone
		case <-s.Changed:
			select {
			case <-ctx.Done():
			case <-time.After(pace):
			}
		case <-beats.C:
			if out.write(now.progressJSON) != nil {
				return nil, nil // the browser has gone
			}
		case <-looks.C:
			status, err := ps.Queue.Status(ctx, t.task)
			if err != nil {
				return nil, nil //nolint:nilerr // the page asks again, and is told then
			}
			t.run = status.Runs[t.run.RunID]
			t.endWithRun()
		}
	}
}

// The limits of a search.
const (
	searchFor = 25 * time.Second
	maxHits   = 50_000 // sent; all are counted
	searches  = 3      // at the same time
)

// searchJSON is what a search has found since the message before.
type searchJSON struct {
	Hits  [][3]int `json:"hits"`  // line, and from and to in what is seen of it
	Count int      `json:"count"` // of all so far
	Line  int      `json:"line"`  // so far the log is searched
	Done  bool     `json:"done"`
	// Stopped says why not the whole log was searched.
	Stopped string `json:"stopped,omitempty"`
}

// search streams the places where something stands in a log. What comes to the log later is not searched.
func (ps *Pages) search(v *page.Visit, t text) (any, error) {
	q := lineindex.Query{Text: v.R.FormValue("q"), Regex: v.R.FormValue("regex") == "1", Case: v.R.FormValue("case") == "1", From: number(v, "after", 0) + 1}
	if err := q.Check(); err != nil {
		return nil, err
	}
	ctx := v.R.Context()
	select {
	case ps.searching <- struct{}{}:
		defer func() { <-ps.searching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := t.index.Wait(ctx, 1<<40); err != nil {
		return nil, err
	}
	out, end := newNDJSON(v), time.Now().Add(searchFor)
	total := t.index.State().Lines
	now := searchJSON{Hits: [][3]int{}}
	sent, told := 0, time.Now()
	err := t.index.Search(ctx, q, func(line int, hits []lineindex.Hit) bool {
		now.Line = line
		now.Count += len(hits)
		for _, h := range hits {
			if sent < maxHits {
				now.Hits = append(now.Hits, [3]int{h.Line, h.From, h.To})
				sent++
			}
		}
		// The first hit is told at once, the others together.
		if since := time.Since(told); sent > 0 && sent == len(now.Hits) && told.Before(end.Add(-searchFor).Add(time.Millisecond)) || since > pace {
			told = time.Now()
			if told.After(end) {
				now.Stopped = "The search took too long: it ends here. Look for something that is found sooner."
				return false
			}
			if out.write(now) != nil {
				return false
			}
			now.Hits = now.Hits[:0]
		}
		return true
	})
	if err != nil {
		now.Stopped = "The log could not be read to its end."
	}
	now.Done = true
	if now.Stopped == "" {
		now.Line = total
	}
	_ = out.write(now) // the browser may have gone
	return nil, nil    // the answer was streamed
}
