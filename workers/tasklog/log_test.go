package tasklog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/workers/tasklog"
)

func content(t *testing.T, l *tasklog.Log) string {
	t.Helper()
	data := make([]byte, l.Size())
	if _, err := l.ReadAt(data, 0); err != nil && len(data) > 0 {
		t.Fatal(err)
	}
	return string(data)
}

func create(t *testing.T, limit int64) *tasklog.Log {
	t.Helper()
	l, err := tasklog.Create(filepath.Join(t.TempDir(), "log"), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Discard(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestLog(t *testing.T) {
	t.Run("own lines begin on a line of their own and prefix each line", func(t *testing.T) {
		l := create(t, 0)
		fmt.Fprint(l, "half a line")
		l.Error("two\nlines")
		l.Warn("careful")
		l.Say("time")
		want := regexp.MustCompile(`^half a line\n\[taskcluster:error\] two\n\[taskcluster:error\] lines\n\[taskcluster:warn\] careful\n\[taskcluster \d{4}-\d\d-\d\dT[\d:.]+Z\] time\n$`)
		if got := content(t, l); !want.MatchString(got) {
			t.Errorf("%q", got)
		}
	})
	t.Run("output beyond the limit is dropped and own lines stay", func(t *testing.T) {
		l := create(t, 10)
		fmt.Fprint(l, "0123456")
		fmt.Fprint(l, "789abcdef")
		fmt.Fprint(l, "more")
		l.Error("end")
		got := content(t, l)
		if !strings.HasPrefix(got, "0123456789\n[taskcluster:error] The log has reached 10 bytes") || strings.Contains(got, "more") || !strings.HasSuffix(got, "end\n") {
			t.Errorf("%q", got)
		}
	})
	t.Run("the sum is of the whole, and nothing is added after the end", func(t *testing.T) {
		l := create(t, 0)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 100 {
					fmt.Fprintf(l, "line of %d\n", i)
				}
			})
		}
		wg.Wait()
		l.Close()
		fmt.Fprint(l, "late")
		got := content(t, l)
		sum := sha256.Sum256([]byte(got))
		if l.Sum() != hex.EncodeToString(sum[:]) || strings.Count(got, "\n") != 800 || l.Err() != nil {
			t.Errorf("%d bytes, sum %s, %v", len(got), l.Sum(), l.Err())
		}
	})
}
