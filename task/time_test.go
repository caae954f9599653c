package task_test

import (
	"encoding/json"
	"testing"

	"github.com/treeline-ci/treeline/task"
)

func TestTimesStayWithinWhatTheWireCarries(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-23T01:02:03.4567+02:00": "2026-11-22T23:02:03.456Z",
		"0000-01-01T00:00:00Z":           "0000-01-01T00:00:00.000Z",
		"9999-12-31T23:59:59.9999Z":      "9999-12-31T23:59:59.999Z",
		"9999-12-31T23:59:59+14:00":      "9999-12-31T09:59:59.000Z",
		"9999-12-31T23:59:59-12:00":      "",
		"0000-01-01T00:00:00+12:00":      "",
	} {
		var at, again task.Time
		err := json.Unmarshal([]byte(`"`+text+`"`), &at)
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken as %s, which nobody can read", text, at)
			}
			continue
		}
		if err != nil || at.String() != want {
			t.Errorf("%s: %s, %v", text, at, err)
		}
		if err := json.Unmarshal([]byte(`"`+at.String()+`"`), &again); err != nil || !again.Equal(at.Time) {
			t.Errorf("%s is read again as %s, %v", at, again, err)
		}
	}
}
