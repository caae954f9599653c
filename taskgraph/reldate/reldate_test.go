package reldate_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/reldate"
)

func TestParse(t *testing.T) {
	day := 24 * time.Hour
	for in, want := range map[string]time.Duration{
		"1 day": day, "28 days": 28 * day, "2h": 2 * time.Hour, "3 mo": 90 * day, "1 year 1 second": 365 * day, "in 5 min": 5 * time.Minute,
		"0 seconds": 0, "-1 day": day,
	} {
		if got, err := reldate.Parse(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "day", "1 week", "99999999999999999999 days", "9999999 years"} {
		if _, err := reldate.Parse(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestReplace(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 5e6, time.UTC)
	in := map[string]any{"created": map[string]any{"relative-datestamp": "0 seconds"}, "l": []any{map[string]any{"relative-datestamp": "1 day"}, int64(1)}, "other": map[string]any{"relative-datestamp": "x", "y": "z"}}
	got, err := reldate.Replace(in, now)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"created": "2026-01-01T00:00:00.005Z", "l": []any{"2026-01-02T00:00:00.005Z", int64(1)}, "other": map[string]any{"relative-datestamp": "x", "y": "z"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := reldate.Replace(map[string]any{"relative-datestamp": int64(1)}, now); err == nil {
		t.Error("a number is accepted")
	}
}
