package serveflags

import (
	"testing"
	"time"
)

func TestAges(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "2y": 730 * 24 * time.Hour, "36h": 36 * time.Hour, "": 0, "0d": 0, "-3d": 0, "9999y": 0, "x": 0, "1.5d": 0} {
		got, err := parseAge(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}
