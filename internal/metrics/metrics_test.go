package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/metrics"
)

// scrape returns what a scrape shows, without comments.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler("", slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", metrics.Path, nil))
	if w.Code != 200 {
		t.Fatalf("a scrape is answered with %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestReadings(t *testing.T) {
	read := func(s *metrics.Sheet) { s.Set("treeline_feed_head", 7) }
	quiet := slog.New(slog.DiscardHandler)
	t.Run("scrapes that come close together share one read", func(t *testing.T) {
		m, reads := metrics.New(metrics.Options{}), atomic.Int32{}
		m.Read(t.Context(), quiet, metrics.Reading{Name: "feed", Every: time.Hour, Families: []string{"treeline_feed_head"}, Read: func(_ context.Context, s *metrics.Sheet) error {
			reads.Add(1)
			read(s)
			return nil
		}})
		for range 3 {
			if text := scrape(t, m); !strings.Contains(text, "\ntreeline_feed_head 7\n") || !strings.Contains(text, `treeline_reading_up{reading="feed"} 1`) {
				t.Errorf("%s", text)
			}
		}
		if reads.Load() != 1 {
			t.Errorf("it was read %d times", reads.Load())
		}
	})
	t.Run("one that fails says so, leaves its values out, and harms nobody else", func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		m.Read(t.Context(), quiet, metrics.Reading{Name: "feed", Families: []string{"treeline_feed_head"}, Read: func(_ context.Context, s *metrics.Sheet) error {
			read(s)
			return errors.New("no database")
		}}, metrics.Reading{Name: "other", Families: []string{"treeline_hook_messages"}, Read: func(_ context.Context, s *metrics.Sheet) error {
			s.Set("treeline_hook_messages", 3)
			return nil
		}})
		text := scrape(t, m)
		if strings.Contains(text, "\ntreeline_feed_head") || !strings.Contains(text, `treeline_reading_up{reading="feed"} 0`) || !strings.Contains(text, "\ntreeline_hook_messages 3\n") {
			t.Errorf("%s", text)
		}
	})
	t.Run("one that hangs is given up within its time", func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		m.Read(t.Context(), quiet, metrics.Reading{Name: "feed", Within: time.Millisecond, Families: []string{"treeline_feed_head"}, Read: func(ctx context.Context, _ *metrics.Sheet) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		if text := scrape(t, m); !strings.Contains(text, `treeline_reading_up{reading="feed"} 0`) {
			t.Errorf("%s", text)
		}
	})
	t.Run("what is not of a reading fails it", func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		m.Read(t.Context(), quiet, metrics.Reading{Name: "feed", Families: []string{"treeline_feed_head"}, Read: func(_ context.Context, s *metrics.Sheet) error {
			s.Set("treeline_hook_messages", 3)
			return nil
		}})
		if text := scrape(t, m); !strings.Contains(text, `treeline_reading_up{reading="feed"} 0`) {
			t.Errorf("%s", text)
		}
	})
}

func TestLabelsAreBounded(t *testing.T) {
	m := metrics.New(metrics.Options{})
	for i := range 3 * metrics.Most {
		m.Created(fmt.Sprintf("p/queue%d", i))
	}
	m.Created("p/queue0")
	text := scrape(t, m)
	if n := strings.Count(text, "\ntreeline_queue_created_tasks_total{"); n != metrics.Most+1 {
		t.Errorf("there are %d series", n)
	}
	for _, want := range []string{
		`treeline_queue_created_tasks_total{provisionerId="p",workerType="queue0"} 2`,
		fmt.Sprintf(`treeline_queue_created_tasks_total{provisionerId="other",workerType="other"} %d`, 2*metrics.Most),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	t.Run("of many that are read, those that weigh most have names", func(t *testing.T) {
		var list []metrics.Amount
		for i := range 2 * metrics.Most {
			list = append(list, metrics.Amount{ID: fmt.Sprint(i), Weight: float64(i)})
		}
		names := metrics.Top(list)
		if names["0"] != metrics.Other || names[fmt.Sprint(2*metrics.Most-1)] == metrics.Other {
			t.Errorf("%v", names)
		}
	})
}

func TestConfig(t *testing.T) {
	const good = "0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		name  string
		env   map[string]string
		wrong string
	}{
		{"nothing is served unless somebody asks for it", nil, ""},
		{"this machine needs no token", map[string]string{metrics.AddressSetting: "127.0.0.1:9100"}, ""},
		{"nor by its name", map[string]string{metrics.AddressSetting: "localhost:9100"}, ""},
		{"nor by its other address", map[string]string{metrics.AddressSetting: "[::1]:9100"}, ""},
		{"others need one", map[string]string{metrics.AddressSetting: ":9100"}, metrics.TokenFileSetting},
		{"others need one at each address", map[string]string{metrics.AddressSetting: "10.0.0.3:9100"}, metrics.TokenSetting},
		{"with one they may", map[string]string{metrics.AddressSetting: "0.0.0.0:9100", metrics.TokenSetting: good}, ""},
		{"a token that can be guessed is none", map[string]string{metrics.AddressSetting: "0.0.0.0:9100", metrics.TokenSetting: "secret"}, "16 characters"},
		{"an address has a port", map[string]string{metrics.AddressSetting: "localhost"}, "host and port"},
		{"a file with the token must be there", map[string]string{metrics.TokenFileSetting: "/nowhere/token"}, metrics.TokenFileSetting},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := metrics.LoadConfig("", func(name string) string { return c.env[name] })
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARefusalToWriteIsRemembered(t *testing.T) {
	m := metrics.New(metrics.Options{})
	end := func(err error) {
		m.SQL.TraceQueryEnd(m.SQL.TraceQueryStart(t.Context(), nil, pgx.TraceQueryStartData{}), nil, pgx.TraceQueryEndData{Err: err})
	}
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"at first", nil, false},
		{"a double key", &pgconn.PgError{Code: "23505"}, false},
		{"a full disk", fmt.Errorf("insert: %w", &pgconn.PgError{Code: "53100"}), true},
		{"what works after it", nil, true},
	} {
		if end(tt.err); m.SQL.Refused(time.Hour) != tt.want {
			t.Errorf("%s: %v is not what is remembered", tt.name, tt.want)
		}
	}
	if m.SQL.Refused(0) {
		t.Error("it is remembered for ever")
	}
}
