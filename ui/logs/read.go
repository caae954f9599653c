package logs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/logtext"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
	"github.com/treeline-ci/treeline/ui/page"
)

// grace is how long after a run's end its log may still become whole.
const grace = 3 * time.Second

// text is the text of a log that lies in our object store.
type text struct {
	index *lineindex.Index
	run   task.Run
	task  string
}

// openLog is how an index reads.
func openLog(objects *object.Store) lineindex.Open {
	return func(ctx context.Context, id, offset int64) (lineindex.Stream, int64, bool, error) {
		s, err := objects.StreamSigned(ctx, id, offset)
		if err != nil {
			return nil, 0, false, err
		}
		return s, s.Size, s.Growing, nil
	}
}

// objectOf returns which object an address of ours leads to. Its token says so; it gave the queue the right to read it.
func (ps *Pages) objectOf(local string) (int64, error) {
	u, err := url.Parse(local)
	if err != nil {
		return 0, elsewhere()
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/api/object/v1/")
	right, name, found := strings.Cut(rest, "/")
	name, err = url.PathUnescape(name)
	if !ok || !found || err != nil {
		return 0, elsewhere()
	}
	return ps.Objects.Holds(object.Right(right), name, u.Query().Get("token"))
}

func elsewhere() error {
	return fault.New(fault.Gone, "This log lives on another server; open the raw log instead.")
}

// text finds a log's text, after the visitor's scopes were checked.
func (ps *Pages) text(v *page.Visit, id string, run int, name string) (text, error) {
	s, err := ps.Queue.Status(v.R.Context(), id)
	if err != nil {
		return text{}, err
	}
	a, _, local, err := ps.content(v, id, run, name)
	if err != nil {
		return text{}, err
	}
	if run >= len(s.Runs) {
		return text{}, fault.New(fault.NotFound, "Task %s has no run %d.", id, run)
	}
	if local == "" {
		return text{}, elsewhere()
	}
	object, err := ps.objectOf(local)
	if err != nil {
		return text{}, err
	}
	out := text{ps.indexes.Of(v.R.Context(), object, a.Expires.Time), s.Runs[run], id}
	out.endWithRun()
	return out, nil
}

// ended is when the run ended; false while it goes on.
func (t *text) ended() (time.Time, bool) {
	if t.run.State == task.Running || t.run.State == task.Pending || t.run.Resolved == nil {
		return time.Time{}, false
	}
	return t.run.Resolved.Time, true
}

// endWithRun gives up waiting for a log whose worker is gone.
func (t *text) endWithRun() {
	if at, ended := t.ended(); ended && time.Since(at) > grace {
		t.index.StopHere()
	}
}

// outlineJSON is what is known of a log besides its lines; shell/data.ts describes it.
type outlineJSON struct {
	progressJSON
	Errors   []lineindex.Error `json:"errors"`
	Failing  int               `json:"failing"` // how many lines tell of a failure
	Sections []logtext.Section `json:"sections"`
	Stamped  bool              `json:"stamped"`
}

// progressJSON is how far a log is.
type progressJSON struct {
	Total int   `json:"total"`
	Bytes int64 `json:"bytes"`
	Done  bool  `json:"done"`          // no more will come
	Cut   int64 `json:"cut,omitempty"` // the log is not whole: when its run ended
	News  int   `json:"news"`          // changes when there are more errors or sections
}

func (t *text) progress(s lineindex.State) progressJSON {
	p := progressJSON{Total: s.Lines, Bytes: s.Bytes, Done: s.Done || s.Stopped, News: s.Failing + s.Parts}
	if at, ended := t.ended(); ended && s.Stopped {
		p.Cut = at.UnixMilli()
	}
	return p
}

func (t *text) outline(*page.Visit) (any, error) {
	out := outlineJSON{progressJSON: t.progress(t.index.State())}
	out.Errors, out.Failing, out.Sections, out.Stamped = t.index.Outline()
	return out, nil
}

// packed answers with what f returns, compressed when the browser takes that. (Streams on the same path are not.)
func packed(v *page.Visit, f func(*page.Visit) (any, error)) (any, error) {
	answer, err := f(v)
	if err != nil || !strings.Contains(v.R.Header.Get("Accept-Encoding"), "gzip") {
		return answer, err
	}
	h := v.W.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Encoding", "gzip")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-store")
	z, err := gzip.NewWriterLevel(v.W, gzip.BestSpeed)
	if err == nil {
		e := json.NewEncoder(z)
		e.SetEscapeHTML(false)
		err = errors.Join(e.Encode(answer), z.Close())
	}
	if err != nil {
		v.Kit.Log.DebugContext(v.R.Context(), "an answer was not sent whole", "path", v.R.URL.Path, "error", err)
	}
	return nil, nil // the answer has been written
}

// read answers for everything about a log's text: the last part of the path says what of it.
func (ps *Pages) read(v *page.Visit) (any, error) {
	run, err := RunNumber(v.R.PathValue("run"))
	if err != nil {
		return nil, err
	}
	id, name := v.R.PathValue("task"), v.R.PathValue("name")
	at := strings.LastIndexByte(name, '/')
	switch verb := name[at+1:]; verb {
	case "reports":
		return ps.reported(v, id, run, name[:max(0, at)])
	case "lines", "outline", "search", "follow":
		t, err := ps.text(v, id, run, name[:max(0, at)])
		if err != nil {
			return nil, err
		}
		switch verb {
		case "lines":
			return packed(v, t.lines)
		case "outline":
			return packed(v, t.outline)
		case "search":
			return ps.search(v, t)
		default:
			return ps.follow(v, t)
		}
	}
	return ps.where(v, id, run, name)
}

func (t *text) lines(v *page.Visit) (any, error) {
	from, to := number(v, "from", 1), number(v, "to", 1)
	if from < 1 || to < from {
		return nil, fault.New(fault.BadArguments, "from and to must be numbers of lines, from 1 on, and from at most to.")
	}
	most := lineindex.Shown
	if v.R.FormValue("whole") != "" {
		to, most = from, lineindex.Whole
	}
	return t.index.Lines(v.R.Context(), from, to, most)
}

func number(v *page.Visit, name string, otherwise int) int {
	text := v.R.FormValue(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// ndjson writes an answer of one JSON value a line, each sent at once.
type ndjson struct {
	encode func(any) error
	flush  func() error
}

func (v ndjson) write(value any) error {
	if err := v.encode(value); err != nil {
		return err
	}
	return v.flush()
}

func newNDJSON(v *page.Visit) ndjson {
	h := v.W.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	e := json.NewEncoder(v.W)
	e.SetEscapeHTML(false)
	return ndjson{e.Encode, http.NewResponseController(v.W).Flush}
}

// ErrorLine is a line of a log that tells of a failure.
type ErrorLine struct {
	Line int    // from 1
	Text string // without colours and times
	Href string // leads to it in the viewer
}

// Errors returns the lines of a run's main log that tell of a failure, the first ones; none when it has no log, the
// visitor may not read it, or the log is not read through within wait.
func (ps *Pages) Errors(v *page.Visit, id string, run int, wait time.Duration) ([]ErrorLine, error) {
	_, name, err := ps.Artifacts(v, id, run)
	if err != nil || name == "" {
		return nil, err
	}
	t, err := ps.text(v, id, run, name)
	if err != nil {
		return nil, nil //nolint:nilerr // who cannot read it sees none
	}
	ctx, cancel := context.WithTimeout(v.R.Context(), wait)
	defer cancel()
	if t.index.Wait(ctx, 1<<40) != nil {
		return nil, nil
	}
	found, _, _, _ := t.index.Outline()
	out := make([]ErrorLine, len(found))
	for i, e := range found {
		out[i] = ErrorLine{e.Line, e.Text, ViewerPath(id, run, name) + "#L" + strconv.Itoa(e.Line)}
	}
	return out, nil
}

// where answers where a log's bytes are now: while it grows in one place, later in another, with the same bytes.
func (ps *Pages) where(v *page.Visit, id string, run int, name string) (any, error) {
	growing, err := ps.growing(v.R.Context(), id, run)
	if err != nil {
		return nil, err
	}
	a, _, local, err := ps.content(v, id, run, name)
	if err != nil {
		return nil, err
	}
	if local == "" {
		return nil, elsewhere()
	}
	w := where{local, growing, -1}
	if a.ContentLength != nil && !growing {
		w.Size = *a.ContentLength
	}
	return w, nil
}

// gone says of a log that is not there any more until when it was kept.
func gone(a queue.Artifact, item queue.Item, run int, name string, err error) error {
	const layout = "2 January 2006, 15:04 UTC"
	switch {
	case errors.Is(err, fault.Gone) && !a.Expires.IsZero() && !a.Expires.After(time.Now()):
		return fault.New(fault.NotFound, "The log %s of run %d was kept until %s and is gone.", name, run, a.Expires.UTC().Format(layout))
	case errors.Is(err, fault.NotFound) && item.Status.Runs[run].Resolved != nil:
		return fault.New(fault.NotFound, "Run %d of this task has no log %s. What a run leaves is kept until %s at the longest, and often for a shorter time.",
			run, name, item.Task.Expires.UTC().Format(layout))
	}
	return err
}
