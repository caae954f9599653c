package eventapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/eventapi"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

type fixture struct {
	t    *testing.T
	pool *pgxpool.Pool
	feed *event.Feed
	url  string
}

func newFixture(t *testing.T, auth web.Authenticator) *fixture {
	t.Helper()
	fx := &fixture{t: t, pool: pgtest.DB(t)}
	fx.feed = event.NewFeed(fx.pool, slog.New(slog.DiscardHandler))
	fx.feed.Start(context.WithoutCancel(t.Context()))
	h, err := web.Mount([]web.Service{eventapi.Service(fx.feed)}, auth, web.Options{CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	t.Cleanup(fx.feed.Stop)
	fx.url = srv.URL
	return fx
}

func (fx *fixture) append(events ...event.Event) {
	fx.t.Helper()
	err := pg.Tx(fx.t.Context(), fx.pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, events...) })
	if err != nil {
		fx.t.Fatal(err)
	}
	fx.feed.Wake()
}

// message is one message of a stream.
type message struct{ ID, Type, Kind string }

// open begins a stream and returns a function that reads its next message.
func (fx *fixture) open(query, last string) (next func() message, cut func()) {
	fx.t.Helper()
	ctx, cancel := context.WithTimeout(fx.t.Context(), 30*time.Second)
	fx.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", fx.url+"/api/events/v1/stream"+query, nil)
	if err != nil {
		fx.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fx.t.Fatal(err)
	}
	fx.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		fx.t.Fatal(resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() message {
		fx.t.Helper()
		var m message
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "" && m.ID != "":
				return m
			case name == "id":
				m.ID = value
			case name == "event":
				m.Type = value
			case name == "data":
				var e event.Event
				if err := json.Unmarshal([]byte(value), &e); err != nil {
					fx.t.Fatal(err)
				}
				m.Kind = e.Kind
			}
		}
		fx.t.Fatalf("the stream ended: %v", lines.Err())
		return m
	}, cancel
}

func TestStream(t *testing.T) {
	fx := newFixture(t, webtest.As("someone", "events:read"))
	next, cut := fx.open("?taskGroupId=g1,g2&repo=sample", "")
	want := func(next func() message, messages ...message) {
		t.Helper()
		for _, m := range messages {
			if got := next(); !cmp.Equal(got, m) {
				t.Fatal(cmp.Diff(m, got))
			}
		}
	}
	want(next, message{ID: "0"})
	fx.append(event.Event{Kind: "a", TaskGroupID: "g1"}, event.Event{Kind: "b", TaskGroupID: "g3"}, event.Event{Kind: "c", Topic: "sample"})
	want(next, message{ID: "1", Kind: "a"}, message{ID: "3", Kind: "c"})
	cut()
	fx.append(event.Event{Kind: "d", TaskGroupID: "g2"}, event.Event{Kind: "e", TaskGroupID: "g1"})

	t.Run("who comes back misses nothing", func(t *testing.T) {
		next, _ := fx.open("?taskGroupId=g1,g2&repo=sample", "3")
		want(next, message{ID: "3"}, message{ID: "4", Kind: "d"}, message{ID: "5", Kind: "e"})
	})
	t.Run("the header wins over the parameter", func(t *testing.T) {
		next, _ := fx.open("?after=1&kinds=e", "4")
		want(next, message{ID: "4"}, message{ID: "5", Kind: "e"})
	})
	t.Run("the parameter is enough", func(t *testing.T) {
		next, _ := fx.open("?after=3&kinds=d", "")
		want(next, message{ID: "3"}, message{ID: "4", Kind: "d"})
	})
	t.Run("who knows another feed begins anew", func(t *testing.T) {
		next, _ := fx.open("", "999")
		want(next, message{ID: "999"}, message{ID: "5", Type: "reset"})
		fx.append(event.Event{Kind: "f"})
		want(next, message{ID: "6", Kind: "f"})
	})
	t.Run("nonsense is refused", func(t *testing.T) {
		for _, query := range []string{"?after=x", "?taskId=a,,b", "?nope=1", "?repo="} {
			resp, err := http.Get(fx.url + "/api/events/v1/stream" + query)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 400 {
				t.Errorf("%s: %s", query, resp.Status)
			}
		}
	})
}

func TestStreamNeedsTheScope(t *testing.T) {
	fx := newFixture(t, webtest.As("someone", "events:write"))
	resp, err := http.Get(fx.url + "/api/events/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Error(resp.Status)
	}
}
