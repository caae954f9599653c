// Package eventapi is the door of the feed: live events as a stream of server-sent events. It is
// Treeline's own; the reference services have no counterpart for browsers.
//
// Each message has the event's position as its id and the event as JSON; a client that was cut off
// comes back with Last-Event-ID and misses nothing. When it stayed away for too long it gets one
// message of type "reset" instead, and everything from now on: it reads the state anew.
package eventapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

const (
	// heartbeatEvery is how often a silent stream says that it lives; proxies cut at a minute or so.
	heartbeatEvery = 15 * time.Second
	// maxSubjects bounds each list of a filter.
	maxSubjects = 500
)

// listPattern is a list of words separated by commas, such as task ids or repository names.
const listPattern = `^[A-Za-z0-9_.:/@+-]+(,[A-Za-z0-9_.:/@+-]+)*$`

// Service returns the table of the events service.
func Service(feed *event.Feed) web.Service {
	return web.Service{
		Name: "events", Version: "v1", Title: "Events",
		Description: "The ordered feed of everything that happens, live.",
		Schemas:     schemas,
		Endpoints: []web.Endpoint{listConsumers(feed), {
			Name: "stream", Method: http.MethodGet, Route: "/stream",
			Title: "Live events", Category: "Events", Stability: "experimental",
			Description: "Answers with a `text/event-stream`. `taskId`, `taskGroupId` and `repo` choose subjects, " +
				"`kinds` chooses kinds of events; each is a list separated by commas. Without subjects all events come. " +
				"The header `Last-Event-ID`, or the parameter `after`, continues an earlier stream: every one is cut within five minutes, " +
				"so that credentials are judged anew.",
			Query:  map[string]string{"taskId": listPattern, "taskGroupId": listPattern, "repo": listPattern, "kinds": listPattern, "after": `^[0-9]{1,18}$`},
			Scopes: scope.Text("events:read"),
			Output: web.Blob,
			Handle: func(ctx context.Context, r *web.Request) (any, error) {
				filter, err := filterOf(r)
				if err != nil {
					return nil, err
				}
				return web.Streamed{}, Stream(ctx, r.Writer, feed, filter)
			},
		}},
	}
}

func filterOf(r *web.Request) (event.Filter, error) {
	var f event.Filter
	for name, list := range map[string]*[]string{"taskId": &f.Tasks, "taskGroupId": &f.TaskGroups, "repo": &f.Topics, "kinds": &f.Kinds} {
		if r.Query(name) == "" {
			continue
		}
		if *list = strings.Split(r.Query(name), ","); len(*list) > maxSubjects {
			return f, fault.New(fault.BadArguments, "The query parameter %q lists more than %d words.", name, maxSubjects)
		}
	}
	after, err := After(r.HTTP)
	f.After = after
	return f, err
}

// After returns where a request wants its stream to go on: the header of a browser that reconnects
// wins over the parameter it began with. nil is from now on.
func After(r *http.Request) (*int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return nil, fault.New(fault.BadArguments, "%q is not a position in the feed.", text)
	}
	return &n, nil
}

// Stream writes the events that pass the filter until ctx or the feed ends or the client goes away,
// none of which is an error.
func Stream(ctx context.Context, w http.ResponseWriter, feed *event.Feed, filter event.Filter) error {
	ctx, cancel := drain.Context(ctx)
	defer cancel()
	at := filter.After
	if at == nil {
		head, err := feed.Head(ctx)
		if err != nil {
			return err
		}
		at = &head
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s := &stream{w: w, control: http.NewResponseController(w)}
	// An id alone makes a browser remember where the stream stands before the first event.
	if s.send(fmt.Sprintf("retry: 1000\nid: %d\n\n", *at)) != nil {
		return nil
	}
	for {
		filter.After = at
		err := s.follow(ctx, feed, filter)
		if !errors.Is(err, event.ErrTooFarBehind) {
			return nil // whatever the reason, the client comes back and goes on where it was
		}
		head, err := feed.Head(ctx)
		if err != nil || s.send(fmt.Sprintf("id: %d\nevent: reset\ndata: {}\n\n", head)) != nil {
			return nil
		}
		at = &head
	}
}

// follow copies events to the client; between them a heartbeat tells both sides that the other is
// there.
func (s *stream) follow(ctx context.Context, feed *event.Feed, filter event.Filter) error {
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan string)
	result := make(chan error, 1)
	go func() {
		defer close(messages)
		result <- produce(ctx, feed, filter, messages)
	}()
	// The producer is never left behind.
	defer func() {
		cancel()
		for range messages {
			continue
		}
	}()
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		text := ": alive\n\n"
		select {
		case <-beat.C:
		case m, ok := <-messages:
			if !ok {
				return <-result
			}
			text = m
		}
		if err := s.send(text); err != nil {
			return err
		}
	}
}

func produce(ctx context.Context, feed *event.Feed, filter event.Filter, messages chan<- string) error {
	for e, err := range feed.Subscribe(ctx, filter) {
		if err != nil {
			return err
		}
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case messages <- fmt.Sprintf("id: %d\ndata: %s\n\n", e.Position, data):
		}
	}
	return ctx.Err()
}

type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send writes and flushes; web gives up a client that does not read.
func (s *stream) send(text string) error {
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
