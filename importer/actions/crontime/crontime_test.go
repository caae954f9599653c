package crontime_test

import (
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/importer/actions/crontime"
)

func TestTimes(t *testing.T) {
	for in, want := range map[string]string{
		"0 4 * * *": "hour: 4, minute: 0", "30 5,17 * * 1-5": "weekday: [Monday, Tuesday, Wednesday, Thursday, Friday], hour: [5, 17], minute: 30",
		"*/15 * * * *": "", "0 */6 * * *": "hour: [0, 6, 12, 18], minute: 0", "0 0 1,15 * *": "day: [1, 15], hour: 0, minute: 0",
		"0 0 * * sun": "weekday: Sunday, hour: 0, minute: 0", "0 0 * * 0,7": "weekday: Sunday, hour: 0, minute: 0", "0 1 2 * 3": "day: 2, hour: 1, minute: 0; weekday: Wednesday, hour: 1, minute: 0",
		"17 3 * * *": "moved hour: 3, minute: 15", "*/5 * * * *": "moved ", "0 0 1 1 *": "knows no months", "0 0 * *": "five fields", "61 * * * *": "must be 0 to 59",
		"0 0 * * MON-WED/2": "weekday: [Monday, Wednesday], hour: 0, minute: 0", "x * * * *": "must be", "*/0 * * * *": "no step", "5-1 * * * *": "no end",
	} {
		list, moved, err := crontime.Parse(in)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", in, err)
			}
			continue
		}
		var parts []string
		for _, one := range list {
			parts = append(parts, one.String())
		}
		got := strings.Join(parts, "; ")
		if moved {
			got = "moved " + got
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
