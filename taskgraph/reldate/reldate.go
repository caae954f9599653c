// Package reldate reads the relative dates of task definitions, such as "1 day" and "28 days"
// (taskgraph-map 7), and resolves them against a moment.
package reldate

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Layout is how task definitions write moments: UTC with milliseconds.
const Layout = "2006-01-02T15:04:05.000Z"

var pair = regexp.MustCompile(`(\d*\.?\d+) *([a-z]+)`)

// Seconds is a span of time. A time.Duration ends at 292 years; what is fetched once is kept for
// 1000 (taskgraph-map 2).
type Seconds int64

const (
	day  Seconds = 24 * 60 * 60
	year         = 365 * day
	// maxYears keeps moments within four digits of the year, the form that dates have on the wire.
	maxYears = 7000
)

// After is the moment that comes s after t.
func (s Seconds) After(t time.Time) time.Time {
	return time.Unix(t.Unix()+int64(s), int64(t.Nanosecond())).In(t.Location())
}

func unit(name string) (Seconds, bool) {
	switch name {
	case "s", "second", "seconds":
		return 1, true
	case "min", "minute", "minutes":
		return 60, true
	case "h", "hour", "hours":
		return 60 * 60, true
	case "d", "day", "days":
		return day, true
	case "mo", "month", "months":
		return 30 * day, true
	case "y", "year", "years":
		return year, true
	}
	return 0, false
}

// Parse reads the first number with its unit in s: seconds, minutes, hours, days, months of
// 30 days, years of 365 days. Whatever else stands in s is passed over, as the field does.
func Parse(s string) (Seconds, error) {
	m := pair.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("relative date %q: expected a number and a unit, such as \"1 day\"", s)
	}
	u, ok := unit(m[2])
	if !ok {
		return 0, fmt.Errorf("relative date %q: unknown unit %q (seconds, minutes, hours, days, months, years)", s, m[2])
	}
	if strings.Contains(m[1], ".") {
		return 0, fmt.Errorf("relative date %q: the number must be whole; write a smaller unit", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > int64(maxYears*year/u) {
		return 0, fmt.Errorf("relative date %q is more than %d years", s, maxYears)
	}
	return Seconds(n) * u, nil
}

// Resolve gives the moment that v stands for: a text in the form of Layout or RFC 3339, or
// {"relative-datestamp": "1 day"} counted from now.
func Resolve(v any, now time.Time) (time.Time, error) {
	switch v := v.(type) {
	case string:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return time.Time{}, fmt.Errorf("date %q: expected a form like 2026-01-31T10:00:00.000Z", v)
		}
		return t, nil
	case map[string]any:
		if s, ok := v["relative-datestamp"].(string); ok && len(v) == 1 {
			d, err := Parse(s)
			return d.After(now), err
		}
	}
	return time.Time{}, fmt.Errorf("expected a date or {relative-datestamp: …}, found %v", v)
}

// Replace gives a copy of v with every relative date in it resolved and written in the form of
// Layout. v is not changed.
func Replace(v any, now time.Time) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["relative-datestamp"]; ok && len(v) == 1 {
			t, err := Resolve(v, now)
			if err != nil {
				return nil, err
			}
			return t.UTC().Format(Layout), nil
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			x, err := Replace(e, now)
			if err != nil {
				return nil, err
			}
			out[k] = x
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			x, err := Replace(e, now)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	}
	return v, nil
}
