package cron_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/hooks/cron"
)

// TestTheNextTimesAreThoseOfThePeersParser holds Next against what the npm package cron-parser 4.9.0
// says of some 1,500 expressions.
func TestTheNextTimesAreThoseOfThePeersParser(t *testing.T) {
	file, err := os.Open("testdata/cron-parser.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	checked := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var c struct {
			Expression string          `json:"e"`
			From       time.Time       `json:"from"`
			Result     json.RawMessage `json:"r"`
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		s, err := cron.Parse(c.Expression)
		var want []time.Time
		if json.Unmarshal(c.Result, &want) != nil { // the text of an error
			// It gives up early in its search for a rare date, has one ? or * a field, and lacks two names.
			if err == nil && !strings.Contains(string(c.Result), "loop limit") && (!strings.Contains(c.Expression, "?") || !strings.Contains(c.Expression, ",")) && c.Expression != "@annually" && c.Expression != "@midnight" {
				t.Errorf("%q is refused by the peer: %s", c.Expression, c.Result)
			}
			continue
		}
		if err != nil {
			// It fills missing fields in, and overlooks what follows a range.
			if n := len(strings.Fields(c.Expression)); n >= 5 && !strings.Contains(c.Expression, "1-3-5") {
				t.Errorf("%q: %v, but the peer takes it", c.Expression, err)
			}
			continue
		}
		var got []time.Time
		for at := c.From; len(got) < len(want); {
			at = s.Next(at)
			got = append(got, at)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q from %v: %s", c.Expression, c.From, diff)
		}
		checked++
	}
	if checked < 1000 {
		t.Errorf("only %d expressions were compared", checked)
	}
}

func TestRefusalsSayWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "write five",
		"* * * *":                      "write five",
		"* * * * * * *":                "7 fields",
		"61 * * * *":                   "minute \"61\": 61 is not between 0 and 59",
		"0 0 30 2 *":                   "no day 30",
		"0 0 31 4,6 *":                 "no day 31",
		"0 0 * foo *":                  "a name such as jan",
		"0 0 * * 1,2#1":                "# stands alone",
		"0 0 * * 1#6":                  "from 1 to 5",
		"0 0 * * fri-mon":              "ends before it begins",
		"*/0 * * * *":                  "1 or more",
		strings.Repeat("1,", 400):      "characters",
		"0 0 L-1 * *":                  "is no day of month",
		"@reboot":                      "write five",
		"99999999999999999999 0 * * *": "is no minute",
	} {
		if _, err := cron.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTimesGoOnThroughAChangeOfTheClocks(t *testing.T) {
	s, err := cron.Parse("30 1 * * *")
	if err != nil {
		t.Fatal(err)
	}
	berlin := time.FixedZone("CET", 3600)
	for _, day := range []string{"2026-03-28", "2026-10-24", "2026-12-31"} {
		at, err := time.ParseInLocation(time.DateOnly, day, berlin)
		if err != nil {
			t.Fatal(err)
		}
		var gaps []time.Duration
		for last := s.Next(at); len(gaps) < 4; {
			next := s.Next(last)
			gaps, last = append(gaps, next.Sub(last)), next
		}
		if slices.ContainsFunc(gaps, func(d time.Duration) bool { return d != 24*time.Hour }) {
			t.Errorf("around %s: %v", day, gaps)
		}
	}
}

func TestTheFirstOfSomeSchedulesCounts(t *testing.T) {
	var list []*cron.Schedule
	for _, text := range []string{"0 3 * * *", "0 12 * * 1-5", "0 0 29 2 *"} {
		s, err := cron.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	saturday := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	if got := cron.First(list, saturday); !got.Equal(saturday.Add(23 * time.Hour)) {
		t.Error(got)
	}
	if got := cron.First(nil, saturday); !got.IsZero() {
		t.Error(got)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"0 3 * * *":            "at 03:00 (UTC)",
		"0 */6 * * 1-5":        "at 00:00, 06:00, 12:00 and 18:00 on Monday to Friday (UTC)",
		"* * * * *":            "every minute (UTC)",
		"*/5 * * * *":          "every 5 minutes (UTC)",
		"*/5 8-17 * * 1,3":     "every 5 minutes in the hours 08 to 17 on Monday and Wednesday (UTC)",
		"7 * * * *":            "at minute 7 of every hour (UTC)",
		"*/15 */2 * * *":       "every 15 minutes of every 2 hours (UTC)",
		"0 0 L * *":            "at 00:00 on the last day of the month (UTC)",
		"0 0 1,15 1 *":         "at 00:00 on day 1 and 15 in January (UTC)",
		"0 0 * * 5L":           "at 00:00 on the last Friday of the month (UTC)",
		"0 0 * * 5#2":          "at 00:00 on the second Friday of the month (UTC)",
		"30 15 10 * * *":       "at 10:15:30 (UTC)",
		"* * * * * *":          "every second of every minute (UTC)",
		"*/10 1 * * * *":       "at second 0, 10, 20, 30, 40 and 50 of minute 1 of every hour (UTC)",
		"0 0 13 * 5":           "at 00:00 on day 13 and on Friday (UTC)",
		"@weekly":              "at 00:00 on Sunday (UTC)",
		"0 0 29 feb,apr-jun *": "at 00:00 on day 29 in February and April to June (UTC)",
	} {
		s, err := cron.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Words(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzParse looks for expressions that upset the parser, or whose next time is not after the last.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 0 * * *", "*/5 1-3 L 2,3 5#2", "@daily", "0 0 0 29 2 5L", "? ? ? ? ?", "5/10 * 1/1 jan-dec sun"} {
		f.Add(seed)
	}
	start := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := cron.Parse(text)
		if err != nil {
			return
		}
		at := start
		for range 3 {
			next := s.Next(at)
			if next.IsZero() {
				return
			}
			if !next.After(at) || next.Sub(at) > 42*366*24*time.Hour {
				t.Fatalf("%q: %v after %v", text, next, at)
			}
			at = next
		}
		_ = s.Words()
	})
}
