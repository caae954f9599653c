package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const (
	heartbeat = 15 * time.Second
	// gather is how long messages are held back to go out together.
	gather = 20 * time.Millisecond
)

// message is what the stream tells a page; shell/data.ts describes it.
type message struct {
	Kind     string `json:"kind"`
	GroupID  string `json:"groupId,omitempty"`
	Repo     string `json:"repo,omitempty"`
	Push     int64  `json:"push,omitempty"`
	Task     *move  `json:"task,omitempty"`
	Artifact string `json:"artifact,omitempty"` // the task whose artifact is new
}

// streamPath is the address of the stream of a page, beginning where the page's data was read; "" for
// one who may not follow the feed. It must be made before the data is read.
func (u *UI) streamPath(v *visit, what string) string {
	if v.allow(seePushes) != nil || u.deps.Feed == nil {
		return ""
	}
	head, err := u.deps.Feed.Head(v.r.Context())
	if err != nil {
		u.log.WarnContext(v.r.Context(), "a page gets no stream", "error", err)
		return ""
	}
	return fmt.Sprintf("/ui/api/stream?after=%d&%s", head, what)
}

// stream sends what happens to a repository, a group or a task, until the page is closed.
func (u *UI) stream(v *visit) (any, error) {
	if err := v.allow(seePushes); err != nil {
		return nil, err
	}
	after, err := u.resumeAt(v.r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(v.r.Context())
	defer cancel()
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	out := &sse{w: v.w, flush: http.NewResponseController(v.w).Flush}
	out.write("retry: 1000\n\n")
	for out.err == nil {
		events := make(chan item, 256)
		go u.follow(ctx, after, events)
		err := out.run(ctx, events, u.filter(ctx, v.r))
		if !errors.Is(err, event.ErrTooFarBehind) {
			break
		}
		// The page reads everything anew, and the stream goes on from before that.
		if after, err = u.deps.Feed.Head(ctx); err != nil {
			break
		}
		out.write(fmt.Sprintf("event: reset\nid: %d\ndata: {}\n\n", after))
	}
	return nil, nil // the stream has been answered
}

func (u *UI) resumeAt(r *http.Request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.FormValue("after")
	}
	if text == "" {
		return u.deps.Feed.Head(r.Context())
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
func (u *UI) follow(ctx context.Context, after int64, to chan<- item) {
	defer close(to)
	for e, err := range u.deps.Feed.Subscribe(ctx, event.Filter{After: &after}) {
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
func (s *sse) run(ctx context.Context, events <-chan item, filter func(*event.Event) *message) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var pending strings.Builder
	var due <-chan time.Time
	at := int64(0)
	for s.err == nil {
		select {
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
			m := filter(&it.event)
			if m == nil {
				continue
			}
			body, err := json.Marshal(m)
			if err != nil {
				return fmt.Errorf("ui: stream: %w", err)
			}
			fmt.Fprintf(&pending, "id: %d\ndata: %s\n\n", at, body)
			if due == nil {
				due = time.After(gather)
			}
		}
	}
	return s.err
}

// filter returns what a stream tells of an event, nil when nothing.
func (u *UI) filter(ctx context.Context, r *http.Request) func(*event.Event) *message {
	all, repo, group := r.FormValue("all") != "", r.FormValue("repo"), r.FormValue("group")
	tasks := map[string]bool{}
	for _, id := range r.Form["task"] {
		tasks[id] = true
	}
	return func(e *event.Event) *message {
		if strings.HasPrefix(e.Kind, "push-") {
			u.owners.set(e.TaskGroupID, owner{repo: e.Topic})
			if !all && (repo == "" || e.Topic != repo) {
				return nil
			}
			return messageOf(e)
		}
		switch {
		case all:
			return messageOf(e)
		case tasks[e.TaskID], group != "" && e.TaskGroupID == group:
			return messageOf(e)
		case repo != "" && e.TaskGroupID != "":
			of := u.ownerOf(ctx, e.TaskGroupID)
			if of.repo != repo {
				return nil
			}
			m := messageOf(e)
			if of.push != 0 && m != nil && e.Kind == "task-defined" {
				m.Repo, m.Push = of.repo, of.push // the page does not know the group
			}
			return m
		}
		return nil
	}
}

func messageOf(e *event.Event) *message {
	m := &message{Kind: e.Kind, GroupID: e.TaskGroupID}
	switch {
	case strings.HasPrefix(e.Kind, "push-"):
		var body struct {
			ID int64 `json:"id"`
		}
		if json.Unmarshal(e.Payload, &body) != nil {
			return nil
		}
		m.Repo, m.Push = e.Topic, body.ID
	case e.Kind == "artifact-created":
		m.Artifact = e.TaskID
	case e.TaskID != "":
		var body struct {
			Status *task.Status `json:"status"`
		}
		if json.Unmarshal(e.Payload, &body) != nil || body.Status == nil {
			return nil
		}
		moved := moveOf(body.Status)
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

func (u *UI) ownerOf(ctx context.Context, group string) owner {
	if of, known := u.owners.get(group); known {
		return of
	}
	p, err := u.deps.Push.ByTaskGroup(ctx, group)
	of := owner{repo: p.Repository}
	if errors.Is(err, fault.NotFound) && u.deps.Cron != nil {
		var run cron.Run
		if run, err = u.deps.Cron.ByTaskGroup(ctx, group); err == nil && run.PushID != 0 {
			of = owner{run.Repository, run.PushID}
		}
	}
	if err != nil && !errors.Is(err, fault.NotFound) {
		return owner{} // asked again at the next event
	}
	u.owners.set(group, of)
	return of
}
