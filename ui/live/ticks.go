package live

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/event"
)

// tickEvery is how often a page is told, at most, that something happened to a worker pool or task queue: it then reads
// how that stands, since what happens there is far more than a page could show.
const tickEvery = time.Second

// ticks tells of pools: at once when nothing was told of one for a while, and else when it is time again.
type ticks struct {
	asked topics
	told  map[string]time.Time // by topic
	owed  map[string]bool
	timer <-chan time.Time
}

func newTicks(asked topics) *ticks {
	return &ticks{asked: asked, told: map[string]time.Time{}, owed: map[string]bool{}}
}

// wants reports whether the stream is asked for any pool.
func (t *ticks) wants() bool { return t.asked.pools }

// note takes an event into account.
func (t *ticks) note(e *event.Event) {
	if !t.wants() {
		return
	}
	id := poolOf(e)
	if id == "" {
		return
	}
	for _, topic := range []string{"pools=1", "pool=" + id} {
		if t.asked.names[topic] {
			t.owed[topic] = true
		}
	}
}

// poolOf is the worker pool or task queue that an event is about, "" for none.
func poolOf(e *event.Event) string {
	if strings.HasPrefix(e.Kind, "worker-") || strings.HasPrefix(e.Kind, "launch-config-") {
		return e.Topic
	}
	if !strings.HasPrefix(e.Kind, "task-") {
		return ""
	}
	var body struct {
		Status struct {
			TaskQueueID string `json:"taskQueueId"`
		} `json:"status"`
	}
	if json.Unmarshal(e.Payload, &body) != nil {
		return ""
	}
	return body.Status.TaskQueueID
}

// due are the messages whose time has come, and sets the timer for the others.
func (t *ticks) due(now time.Time) (list []*message) {
	next := time.Duration(-1)
	for topic := range t.owed {
		if left := tickEvery - now.Sub(t.told[topic]); left > 0 {
			if next < 0 || left < next {
				next = left
			}
			continue
		}
		delete(t.owed, topic)
		t.told[topic] = now
		list = append(list, &message{To: []string{topic}, Kind: "pool", Pool: strings.TrimPrefix(topic, "pool=")})
	}
	t.timer = nil
	if next >= 0 {
		t.timer = time.After(next)
	}
	return list
}
