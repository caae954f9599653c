package reldate_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/reldate"
)

func TestParse(t *testing.T) {
	const hour, day = 60 * 60, 24 * 60 * 60
	for in, want := range map[string]reldate.Seconds{
		"1 day": day, "28 days": 28 * day, "2h": 2 * hour, "3 mo": 90 * day, "1 year 1 second": 365 * day, "in 5 min": 5 * 60,
		"0 seconds": 0, "-1 day": day, "1year1second": 365 * day, "01  h": hour, "1 1 day": day, "1 d ays": day, "2 hours ago": 2 * hour, "1000 years": 365000 * day,
	} {
		if got, err := reldate.Parse(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "day", "1 week", "99999999999999999999 days", "9999999 years", "1.5 days", ".5 h", "1. day", "1 Day", "½ day"} {
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
	if at, err := reldate.Resolve(map[string]any{"relative-datestamp": "1000 years"}, now); err != nil || at.Format(reldate.Layout) != "3025-05-04T00:00:00.005Z" {
		t.Errorf("a thousand years end at %v, %v", at, err)
	}
	if _, err := reldate.Replace(map[string]any{"relative-datestamp": int64(1)}, now); err == nil {
		t.Error("a number is accepted")
	}
}
