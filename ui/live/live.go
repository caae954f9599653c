// Package live tells open pages what happens: each page has one stream of server-sent events.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	heartbeat = 15 * time.Second
	// gather is how long messages are held back to go out together.
	gather = 20 * time.Millisecond
)

// Live is the streams. It is safe for concurrent use.
type Live struct {
	Feed   *event.Feed // nil: pages get no streams
	Push   *push.Log
	Cron   *cron.Calendar // nil: there is none
	Log    *slog.Logger
	owners owners
}

// Register adds the streams to a kit.
func (l *Live) Register(k *page.Kit) error {
	k.Stream("GET /ui/api/stream", l.stream)
	return nil
}

// message is what the stream tells a page; shell/data.ts describes it.
type message struct {
	To       []string   `json:"to"` // the topics that it belongs to and the stream was asked for: all tabs of a browser share one
	Kind     string     `json:"kind"`
	GroupID  string     `json:"groupId,omitempty"`
	Repo     string     `json:"repo,omitempty"`
	Push     int64      `json:"push,omitempty"`
	Task     *cell.Move `json:"task,omitempty"`
	Artifact string     `json:"artifact,omitempty"` // the task whose artifact is new
	Said     *said      `json:"said,omitempty"`
	Pool     string     `json:"pool,omitempty"` // the worker pool or task queue, of kind "pool"
}

// said is what counts of a task's classification; shell/data.ts describes it.
type said struct {
	ID    int64        `json:"id"`
	Task  string       `json:"task"`
	Class triage.Class `json:"class"`
	Bug   string       `json:"bug"`
	Note  string       `json:"note"`
	By    string       `json:"by"`
	Time  int64        `json:"time"`
}

// Path is the address of the stream of a page, beginning where the page's data was read; "" for
// one who may not follow the feed. It must be made before the data is read. topics are a query, as in
// "task=ID&task=ID", "group=ID", "repo=NAME" or "all=1".
func (l *Live) Path(v *page.Visit, topics string) string {
	if v.Allow(page.SeePushes) != nil || l.Feed == nil {
		return ""
	}
	head, err := l.Feed.Head(v.R.Context())
	if err != nil {
		l.Log.WarnContext(v.R.Context(), "a page gets no stream", "error", err)
		return ""
	}
	return fmt.Sprintf("/ui/api/stream?after=%d&%s", head, topics)
}

// stream sends what belongs to the topics that are asked for, until the page is closed.
func (l *Live) stream(v *page.Visit) (any, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	after, err := l.resumeAt(v.R)
	if err != nil {
		return nil, err
	}
	asked, err := askedFor(v.R.URL.Query())
	if err != nil {
		return nil, err
	}
	ctx, cancel := drain.Context(v.R.Context())
	defer cancel()
	h := v.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	out := &sse{w: v.W, flush: http.NewResponseController(v.W).Flush}
	out.write("retry: 1000\n\n")
	for out.err == nil {
		events := make(chan item, 256)
		go l.follow(ctx, after, events)
		err := out.run(ctx, events, l.filter(ctx, asked), newTicks(asked))
		if !errors.Is(err, event.ErrTooFarBehind) {
			break
		}
		// The page reads everything anew, and the stream goes on from before that.
		if after, err = l.Feed.Head(ctx); err != nil {
			break
		}
		out.write(fmt.Sprintf("event: reset\nid: %d\ndata: {}\n\n", after))
	}
	return nil, nil // the stream has been answered
}

func (l *Live) resumeAt(r *http.Request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.FormValue("after")
	}
	if text == "" {
		return l.Feed.Head(r.Context())
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, fault.New(fault.BadArguments, "after must be a position in the feed, not %q", text)
	}
	return after, nil
}

type item struct {
	event event.Event
	err   error
}

// follow passes the feed on until ctx ends or the feed does.
func (l *Live) follow(ctx context.Context, after int64, to chan<- item) {
	defer close(to)
	for e, err := range l.Feed.Subscribe(ctx, event.Filter{After: &after}) {
		select {
		case to <- item{e, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// sse writes a stream of server-sent events.
type sse struct {
	w     http.ResponseWriter
	flush func() error
	err   error
}

func (s *sse) write(text string) {
	if s.err == nil {
		_, s.err = s.w.Write([]byte(text))
	}
	if s.err == nil {
		s.err = s.flush()
	}
}

// run sends events that the filter turns into messages, those of some milliseconds together.
func (s *sse) run(ctx context.Context, events <-chan item, filter func(*event.Event) *message, pools *ticks) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var pending strings.Builder
	var due <-chan time.Time
	at := int64(0)
	add := func(list ...*message) error {
		for _, m := range list {
			body, err := json.Marshal(m)
			if err != nil {
				return fmt.Errorf("ui: stream: %w", err)
			}
			fmt.Fprintf(&pending, "id: %d\ndata: %s\n\n", at, body)
			if due == nil {
				due = time.After(gather)
			}
		}
		return nil
	}
	for s.err == nil {
		select {
		case <-pools.timer:
			if err := add(pools.due(time.Now())...); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
			// The position goes along, so that a stream without news does not fall behind.
			if at > 0 {
				fmt.Fprintf(&pending, "id: %d\n\n", at)
			}
			s.write(pending.String() + ":\n\n")
			pending.Reset()
			due = nil
		case <-due:
			s.write(pending.String())
			pending.Reset()
			due = nil
		case it, ok := <-events:
			if !ok {
				return nil
			}
			if it.err != nil {
				return it.err
			}
			at = it.event.Position
			if m := filter(&it.event); m != nil {
				if err := add(m); err != nil {
					return err
				}
			}
			if pools.note(&it.event); pools.timer == nil {
				if err := add(pools.due(time.Now())...); err != nil {
					return err
				}
			}
		}
	}
	return s.err
}

// maxTopics is how many a stream may be asked for: some tabs with a hundred tasks each.
const maxTopics = 10_000

// topics are what a stream is asked for.
type topics struct {
	names map[string]bool // such as "task=ID"
	all   bool
	repos bool // some are repositories, which events of tasks do not name
	pools bool // some are worker pools, which are told of now and then
}

func askedFor(query url.Values) (topics, error) {
	asked := topics{names: map[string]bool{}}
	for key, values := range query {
		for _, value := range values {
			asked.names[key+"="+value] = true
			asked.repos = asked.repos || key == "repo" || key == "all"
			asked.pools = asked.pools || key == "pool" || key == "pools"
		}
	}
	asked.all = asked.names["all=1"]
	if len(asked.names) > maxTopics {
		return asked, fault.New(fault.BadArguments, "a stream has at most %d topics", maxTopics)
	}
	return asked, nil
}

// filter returns what a stream tells of an event, nil when nothing.
func (l *Live) filter(ctx context.Context, asked topics) func(*event.Event) *message {
	return func(e *event.Event) *message {
		var to []string
		in := func(topic string) {
			if asked.all || asked.names[topic] {
				to = append(to, topic)
			}
		}
		in("all=1")
		if e.Kind == "tree-changed" {
			in("trees=1")
		}
		if e.Kind == auth.Approvals {
			in("approvals=1")
		}
		of := owner{}
		if strings.HasPrefix(e.Kind, "push-") {
			l.owners.set(e.TaskGroupID, owner{repo: e.Topic})
			in("repo=" + e.Topic)
		} else if strings.HasPrefix(e.Kind, "hook-") {
			in("hook=" + e.Topic)
		} else {
			in("task=" + e.TaskID)
			in("group=" + e.TaskGroupID)
			if asked.repos && e.TaskGroupID != "" {
				of = l.ownerOf(ctx, e.TaskGroupID)
				in("repo=" + of.repo)
			}
		}
		if len(to) == 0 {
			return nil
		}
		m := messageOf(e)
		if m == nil {
			return nil
		}
		m.To = to
		if of.push != 0 && e.Kind == "task-defined" {
			m.Repo, m.Push = of.repo, of.push // the page does not know the group
		}
		return m
	}
}

func messageOf(e *event.Event) *message {
	m := &message{Kind: e.Kind, GroupID: e.TaskGroupID}
	if e.Kind == "tree-changed" {
		m.Repo = e.Topic
	}
	switch {
	case strings.HasPrefix(e.Kind, "push-"):
		var body struct {
			ID int64 `json:"id"`
		}
		if json.Unmarshal(e.Payload, &body) != nil {
			return nil
		}
		m.Repo, m.Push = e.Topic, body.ID
	case e.Kind == triage.Kind:
		var body struct {
			Classification triage.Classification `json:"classification"`
		}
		if json.Unmarshal(e.Payload, &body) != nil {
			return nil
		}
		c := body.Classification
		m.Said = &said{c.ID, c.TaskID, c.Class, c.Bug, c.Note, c.By, c.Time.UnixMilli()}
	case e.Kind == failures.Changed: // the page asks what there is now
	case e.Kind == "artifact-created":
		m.Artifact = e.TaskID
	case e.TaskID != "":
		var body struct {
			Status *task.Status `json:"status"`
		}
		if json.Unmarshal(e.Payload, &body) != nil || body.Status == nil {
			return nil
		}
		moved := cell.MoveOf(body.Status)
		m.Task = &moved
	}
	return m
}

// owners remembers which repository a task group belongs to.
type owners struct {
	mu sync.Mutex
	of map[string]owner
}

// owner is where the tasks of a group are shown.
type owner struct {
	repo string // "" for a group without a push
	push int64  // for a group that is not the push's own, such as that of a job of .cron.yml; else 0
}

const maxOwners = 20000

func (o *owners) get(group string) (of owner, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of, known = o.of[group]
	return of, known
}

func (o *owners) set(group string, of owner) {
	if group == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil || len(o.of) >= maxOwners {
		o.of = map[string]owner{}
	}
	o.of[group] = of
}

func (l *Live) ownerOf(ctx context.Context, group string) owner {
	if of, known := l.owners.get(group); known {
		return of
	}
	p, err := l.Push.ByTaskGroup(ctx, group)
	of := owner{repo: p.Repository}
	if errors.Is(err, fault.NotFound) && l.Cron != nil {
		var run cron.Run
		if run, err = l.Cron.ByTaskGroup(ctx, group); err == nil && run.PushID != 0 {
			of = owner{run.Repository, run.PushID}
		}
	}
	if err != nil && !errors.Is(err, fault.NotFound) {
		return owner{} // asked again at the next event
	}
	l.owners.set(group, of)
	return of
}
