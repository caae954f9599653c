package enroll_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/enroll"
)

// double is a metadata service that says that the machine is taken away once it is told to.
func double(t *testing.T, taken *atomic.Bool, answer func(w http.ResponseWriter, r *http.Request, taken bool)) enroll.Metadata {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For") != "" {
			t.Error("a proxy was used")
		}
		answer(w, r, taken.Load())
	}))
	t.Cleanup(server.Close)
	m := enroll.At(server.URL + "/")
	m.Every = 5 * time.Millisecond
	return m
}

func say(w http.ResponseWriter, text string) { _, _ = w.Write([]byte(text)) }

// aws gives tokens that are good for three questions, and fails once.
func aws() func(w http.ResponseWriter, r *http.Request, taken bool) {
	var tokens, asked atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, taken bool) {
		switch n := asked.Add(1); {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "":
			tokens.Store(3)
			say(w, "tok")
		case r.URL.Path != "/latest/meta-data/spot/instance-action" || r.Header.Get("X-Aws-Ec2-Metadata-Token") != "tok" || tokens.Add(-1) < 0:
			w.WriteHeader(http.StatusUnauthorized)
		case n == 2:
			w.WriteHeader(http.StatusInternalServerError)
		case !taken:
			w.WriteHeader(http.StatusNotFound)
		default:
			say(w, `{"action": "terminate", "time": "2026-01-01T00:02:00Z"}`)
		}
	}
}

// google answers at once to who has no tag, and when something changes to who has the last one.
func google(value, means string, taken *atomic.Bool) func(w http.ResponseWriter, r *http.Request, _ bool) {
	return func(w http.ResponseWriter, r *http.Request, _ bool) {
		name, below := strings.CutPrefix(r.URL.Path, "/computeMetadata/v1/instance/")
		if !below || r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		q := r.URL.Query()
		waits := q.Get("wait_for_change") == "true" && q.Get("last_etag") == "one"
		for waits && (name != value || !taken.Load()) {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
		w.Header().Set("ETag", "one")
		switch {
		case name == value && taken.Load():
			say(w, means+"\n")
		case name == "preempted":
			say(w, "FALSE")
		default:
			say(w, "NONE")
		}
	}
}

func azure(kind, machine string) func(w http.ResponseWriter, r *http.Request, taken bool) {
	return func(w http.ResponseWriter, r *http.Request, taken bool) {
		switch {
		case r.Header.Get("Metadata") != "true" || r.URL.Query().Get("api-version") == "":
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/metadata/instance/compute":
			say(w, `{"name": "vm-1"}`)
		case r.URL.Path == "/metadata/scheduledevents" && taken:
			say(w, `{"DocumentIncarnation": 2, "Events": [{"EventId": "1", "EventType": "`+kind+`", "ResourceType": "VirtualMachine", "Resources": ["vm-0", "`+machine+`"], "NotBefore": "Mon, 19 Sep 2026 18:29:47 GMT"}]}`)
		case r.URL.Path == "/metadata/scheduledevents":
			say(w, `{"DocumentIncarnation": 1, "Events": []}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func TestCloudsTellThatTheyTakeAMachine(t *testing.T) {
	for _, c := range []struct {
		name, cloud string
		answer      func(*atomic.Bool) func(http.ResponseWriter, *http.Request, bool)
		want        string // "": it stays
	}{
		{"an interrupted instance of the spot market", "aws", func(*atomic.Bool) func(http.ResponseWriter, *http.Request, bool) { return aws() }, "terminate"},
		{"a preempted one", "google", func(b *atomic.Bool) func(http.ResponseWriter, *http.Request, bool) {
			return google("preempted", "TRUE", b)
		}, "preempting"},
		{"one whose host is maintained", "google", func(b *atomic.Bool) func(http.ResponseWriter, *http.Request, bool) {
			return google("maintenance-event", "TERMINATE_ON_HOST_MAINTENANCE", b)
		}, "maintenance"},
		{"one that moves while it runs", "google", func(b *atomic.Bool) func(http.ResponseWriter, *http.Request, bool) {
			return google("maintenance-event", "MIGRATE_ON_HOST_MAINTENANCE", b)
		}, ""},
		{"an evicted machine", "azure", func(*atomic.Bool) func(http.ResponseWriter, *http.Request, bool) { return azure("Preempt", "VM-1") }, "Preempt"},
		{"a machine that pauses", "azure", func(*atomic.Bool) func(http.ResponseWriter, *http.Request, bool) { return azure("Freeze", "vm-1") }, ""},
		{"another machine of the set", "azure", func(*atomic.Bool) func(http.ResponseWriter, *http.Request, bool) { return azure("Preempt", "vm-2") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var taken atomic.Bool
			m := double(t, &taken, c.answer(&taken))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			said := make(chan string, 1)
			go func() {
				text, err := m.Notice(ctx, c.cloud, slog.New(slog.DiscardHandler))
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				said <- text
			}()
			select {
			case text := <-said:
				t.Fatalf("it was told at once: %s", text)
			case <-time.After(100 * time.Millisecond):
			}
			taken.Store(true)
			if c.want == "" {
				time.AfterFunc(100*time.Millisecond, cancel)
			}
			if text := <-said; (text == "") != (c.want == "") || !strings.Contains(text, c.want) {
				t.Errorf("it was told %q", text)
			}
		})
	}
	if _, err := (enroll.Metadata{}).Notice(t.Context(), "moon", nil); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
