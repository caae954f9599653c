package live

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event"
)

// TestPoolsAreToldOfAtMostOnceASecond: the first event at once, what comes meanwhile together, and nothing is lost.
func TestPoolsAreToldOfAtMostOnceASecond(t *testing.T) {
	asked, err := askedFor(url.Values{"pool": {"p/a", "p/b"}, "pools": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	ticks := newTicks(asked)
	now := time.Now()
	told := func(after time.Duration) map[string]int {
		out := map[string]int{}
		for _, m := range ticks.due(now.Add(after)) {
			out[m.To[0]]++
		}
		return out
	}
	of := func(queue string) *event.Event {
		return &event.Event{Kind: "task-running", TaskID: "x", Payload: json.RawMessage(`{"status": {"taskQueueId": "` + queue + `"}}`)}
	}
	ticks.note(of("p/a"))
	ticks.note(of("p/other"))
	if diff := cmp.Diff(map[string]int{"pool=p/a": 1, "pools=1": 1}, told(0)); diff != "" {
		t.Error(diff)
	}
	for range 500 {
		ticks.note(of("p/a"))
	}
	ticks.note(&event.Event{Kind: "worker-running", Topic: "p/b"})
	if diff := cmp.Diff(map[string]int{"pool=p/b": 1}, told(100*time.Millisecond)); diff != "" {
		t.Error(diff)
	}
	if ticks.timer == nil {
		t.Error("nobody will tell of what is owed")
	}
	if diff := cmp.Diff(map[string]int{"pool=p/a": 1, "pools=1": 1}, told(time.Second)); diff != "" {
		t.Error(diff)
	}
	if got := told(time.Minute); len(got) != 0 || ticks.timer != nil {
		t.Errorf("told %v, timer %v, though nothing happened", got, ticks.timer)
	}
}
