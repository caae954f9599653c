package stamp_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/treeline-ci/treeline/internal/stamp"
)

func TestHandler(t *testing.T) {
	line := func(make func(*slog.Logger)) string {
		var b bytes.Buffer
		plain := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}})
		make(slog.New(stamp.Handler(plain)))
		return b.String()
	}
	ctx := stamp.With(stamp.With(t.Context(), stamp.Request, "r1"), stamp.Task, "t1")
	for _, c := range []struct {
		name, want string
		make       func(*slog.Logger)
	}{
		{"a line has the ids of its context", "msg=hello n=1 request=r1 task=t1\n", func(l *slog.Logger) { l.InfoContext(ctx, "hello", "n", 1) }},
		{"a line without a context's ids is as it was", "msg=hello\n", func(l *slog.Logger) { l.InfoContext(t.Context(), "hello") }},
		{"what a line says itself counts", "msg=hello task=mine request=r1\n", func(l *slog.Logger) { l.InfoContext(ctx, "hello", "task", "mine") }},
		{"what the logger says counts", "msg=hello room=queue task=mine request=r1\n", func(l *slog.Logger) { l.With("room", "queue", "task", "mine").InfoContext(ctx, "hello") }},
		{"a later id of a name takes the place of the earlier", "msg=hello request=r1 task=t2\n", func(l *slog.Logger) {
			l.InfoContext(stamp.With(ctx, stamp.Task, "t2"), "hello")
		}},
		{"an empty id says nothing", "msg=hello request=r1 task=t1\n", func(l *slog.Logger) { l.InfoContext(stamp.With(ctx, stamp.Task, ""), "hello") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := line(c.make); got != c.want {
				t.Errorf("the line is %q, not %q", got, c.want)
			}
		})
	}
}
