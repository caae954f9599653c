package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

const (
	eventsService = "events"
	// maxEvent is the most bytes of one event's line.
	maxEvent = 4 << 20
)

// Event is one thing that happened, as the feed tells it.
type Event struct {
	ID          string          `json:"id"`
	Position    int64           `json:"position"`
	Kind        string          `json:"kind"`
	Time        time.Time       `json:"time"`
	TaskID      string          `json:"taskId"`
	TaskGroupID string          `json:"taskGroupId"`
	RunID       *int            `json:"runId"`
	Topic       string          `json:"topic"`
	Text        json.RawMessage `json:"-"` // the whole event as it came
}

// EventFilter chooses events; see the stream endpoint of the events service.
type EventFilter struct {
	Tasks, TaskGroups, Repositories []string // any of these; all events without any
	Kinds                           []string
	After                           *int64 // position to go on from; nil: from now on
	// Stands, where given, is called each time the stream stands: what happens after that comes.
	Stands func()
}

// Events returns events as they happen, in order. A broken connection is taken up again where it
// broke, for as long as the client's patience lasts. It ends with ctx, or with an error:
// fault.Gone when the server does not know any more what came after the position.
func (c *Client) Events(ctx context.Context, filter EventFilter) iter.Seq2[Event, error] {
	query := url.Values{}
	for name, list := range map[string][]string{"taskId": filter.Tasks, "taskGroupId": filter.TaskGroups, "repo": filter.Repositories, "kinds": filter.Kinds} {
		if len(list) > 0 {
			query.Set(name, strings.Join(list, ","))
		}
	}
	return func(yield func(Event, error) bool) {
		s := eventStream{c: c, address: c.URL(eventsService, "/stream", query), at: filter.After, stands: filter.Stands, yield: yield}
		for !s.stopped {
			err := s.once(ctx)
			if err != nil && !s.stopped {
				yield(Event{}, err)
				return
			}
		}
	}
}

// eventStream is a stream that resumes.
type eventStream struct {
	c       *Client
	address string
	at      *int64
	stands  func()
	yield   func(Event, error) bool
	stopped bool // nobody wants more
}

// once reads one connection until it breaks. Its error is one that connecting again does not cure.
func (s *eventStream) once(ctx context.Context) error {
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The server sends something every 15 s.
	stall := time.AfterFunc(stallTime, cancel)
	defer stall.Stop()
	header := http.Header{"Accept": {"text/event-stream"}}
	if s.at != nil {
		header.Set("Last-Event-ID", strconv.FormatInt(*s.at, 10))
	}
	var failed error
	err := s.c.do(ctx, s.c.bulk, http.MethodGet, s.address, header, nil, true, func(resp *http.Response) error {
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // a shorter message is still a message
			failed = newError(http.MethodGet, s.address, &Reply{Status: resp.StatusCode, Header: resp.Header, Body: text})
			return nil
		}
		failed = s.read(resp.Body, func() { stall.Reset(stallTime) })
		return nil
	})
	switch {
	case failed != nil:
		return failed
	case s.stopped:
		return nil
	case parent.Err() != nil:
		return parent.Err()
	case ctx.Err() != nil:
		return nil // it had stalled
	}
	return err
}

// read hands out the events of a connection until it breaks.
func (s *eventStream) read(body io.Reader, alive func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	var id, kind, data string
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if lines.Text() != "" || id == "" {
				continue // a heartbeat, or nothing
			}
			if err := s.message(id, kind, data); err != nil || s.stopped {
				return err
			}
			id, kind, data = "", "", ""
		}
	}
	return nil // whatever broke it, the next connection goes on
}

func (s *eventStream) message(id, kind, data string) error {
	position, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return fault.New(fault.Internal, "the server gave the event id %.50q, which is no position", id)
	}
	if kind == "reset" {
		return fault.New(fault.Gone, "the server does not know any more what happened after position %d; read the state anew and go on after %d", *s.at, position)
	}
	s.at = &position
	if data == "" { // only says where the stream stands
		if s.stands != nil {
			s.stands()
		}
		return nil
	}
	var e Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return fmt.Errorf("client: event %d: %w", position, err)
	}
	e.Text = json.RawMessage(data)
	s.stopped = !s.yield(e, nil)
	return nil
}
