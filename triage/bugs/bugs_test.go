package bugs_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/triage/bugs"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ test, message, want string }{
		{"dom/base/test/test_range.js", "x", "test_range.js"},
		{"pkg/queue TestClaim/twice", "x", "twice"},
		{"TestClaim", "x", "TestClaim"},
		{"", "error: 12 of 14 widgets are missing at 0xfe", "error widgets missing"},
		{"", "a.c:12: undefined reference to 'frobnicate' in libx, which is odd", "undefined reference frobnicate libx"},
		{"", "12:13", ""},
	} {
		if got := bugs.Words(c.test, c.message); got != c.want {
			t.Errorf("%q, %q: got %q, want %q", c.test, c.message, got, c.want)
		}
	}
}

func TestWhatIsFiledIsChecked(t *testing.T) {
	for name, n := range map[string]bugs.New{
		"without a summary": {Description: "x"}, "two lines": {Summary: "a\nb"}, "too long": {Summary: strings.Repeat("ä", bugs.MaxSummary+1)},
		"too long a text": {Summary: "a", Description: strings.Repeat("x", bugs.MaxDescription+1)}, "no text": {Summary: "a\xff"},
	} {
		if err := n.Check(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (bugs.New{Summary: strings.Repeat("ä", bugs.MaxSummary), Description: "one\ntwo"}).Check(); err != nil {
		t.Error(err)
	}
}

// slow is a tracker that takes a second for each search, and fails for "broken".
type slow struct {
	bugs.Tracker
	asked, now, most atomic.Int32
}

func (s *slow) Search(ctx context.Context, words string) ([]bugs.Bug, error) {
	s.asked.Add(1)
	if n := s.now.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.now.Add(-1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if words == "broken" {
		return nil, errors.New("it is broken")
	}
	return []bugs.Bug{{ID: words}}, nil
}

func TestASearchIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &slow{}
		m := bugs.Remember(tracker, time.Now)
		ask := func(words string) error {
			found, err := m.Search(t.Context(), words)
			if err == nil && (len(found) != 1 || found[0].ID != words) {
				t.Errorf("%s: %v", words, found)
			}
			return err
		}
		for range 5 { // at once: one search
			go func() { _ = ask("a") }()
		}
		synctest.Wait()
		if err := ask("a"); err != nil || tracker.asked.Load() != 1 {
			t.Errorf("%d searches, %v", tracker.asked.Load(), err)
		}
		<-time.After(11 * time.Minute)
		if err := ask("a"); err != nil || tracker.asked.Load() != 2 {
			t.Errorf("after a while: %d searches, %v", tracker.asked.Load(), err)
		}
		for range 2 {
			if err := ask("broken"); err == nil {
				t.Error("no error")
			}
		}
		if got := tracker.asked.Load(); got != 4 {
			t.Errorf("what failed is not asked again: %d searches", got)
		}
		for i := range 20 {
			go func() { _ = ask(strings.Repeat("x", i+1)) }()
		}
		synctest.Wait()
		<-time.After(time.Minute)
		if got := tracker.most.Load(); got != 4 {
			t.Errorf("%d searches were under way at once", got)
		}
	})
}
