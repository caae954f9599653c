package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestEventsGoOnWhereTheyBroke(t *testing.T) {
	var begins []string
	c := serve(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		begins = append(begins, r.Header.Get("Last-Event-ID")+" "+r.URL.RawQuery)
		w.Header().Set("Content-Type", "text/event-stream")
		switch len(begins) {
		case 1:
			_, _ = fmt.Fprint(w, "retry: 1000\nid: 4\n\n: alive\n\nid: 5\ndata: {\"position\": 5, \"kind\": \"a\", \"taskId\": \"t\"}\n\nid: 6\ndata: {\"pos")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			_, _ = fmt.Fprint(w, "id: 5\n\nid: 6\ndata: {\"position\": 6, \"kind\": \"b\"}\n\n")
		default:
			_, _ = fmt.Fprint(w, "id: 6\n\nid: 99\nevent: reset\ndata: {}\n\n")
		}
	})
	var got []string
	var last error
	for e, err := range c.Events(t.Context(), client.EventFilter{Kinds: []string{"a", "b"}}) {
		if err != nil {
			last = err
			break
		}
		got = append(got, fmt.Sprint(e.Position, e.Kind, e.TaskID, string(e.Text)))
	}
	want := []string{`5at{"position": 5, "kind": "a", "taskId": "t"}`, `6b{"position": 6, "kind": "b"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(last, fault.Gone) {
		t.Error(last)
	}
	if diff := cmp.Diff([]string{" kinds=a%2Cb", "5 kinds=a%2Cb", "5 kinds=a%2Cb", "6 kinds=a%2Cb"}, begins); diff != "" {
		t.Error(diff)
	}
}

func TestEventsEnd(t *testing.T) {
	t.Run("when the server refuses", func(t *testing.T) {
		c := serve(t, time.Second, func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusForbidden, map[string]string{"code": "InsufficientScopes", "message": "no"})
		})
		for _, err := range c.Events(t.Context(), client.EventFilter{}) {
			if !errors.Is(err, fault.Forbidden) {
				t.Error(err)
			}
		}
	})
	t.Run("when the server stays away", func(t *testing.T) {
		c := connect(t, "http://127.0.0.1:1", -1)
		for _, err := range c.Events(t.Context(), client.EventFilter{}) {
			if !errors.Is(err, fault.Unavailable) {
				t.Error(err)
			}
		}
	})
	t.Run("with the context", func(t *testing.T) {
		var begun atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		c := serve(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
			begun.Store(true)
			_, _ = fmt.Fprint(w, "id: 4\n\n")
			_ = http.NewResponseController(w).Flush()
			cancel()
			<-r.Context().Done()
		})
		for _, err := range c.Events(ctx, client.EventFilter{}) {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if !begun.Load() {
			t.Error("nothing was asked")
		}
	})
}
