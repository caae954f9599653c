package jsone

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// offsetUnits are the names of the units of a time offset, from the largest; years and months are 365 and 30 days.
var offsetUnits = []string{
	"y|year|years|yr", "months|month|mo", "weeks|week|wk|w", "days|day|d", "hours|hour|hr|h", "minutes|minute|min|m",
	"seconds|second|sec|s",
}

// day is in milliseconds.
const day = 86400e3

var offsetText = regexp.MustCompile(offsetPattern())

func offsetPattern() string {
	var b strings.Builder
	b.WriteString(`(?i)^(?: *(-|\+))?`)
	for _, u := range offsetUnits {
		b.WriteString(`(?: *([0-9]+) *(?:` + u + `))?`)
	}
	return b.String() + ` *$`
}

// fromNow adds an offset such as "-2 days 3 hours" to a reference time. As in the reference, a time that cannot be
// read gives null. The second result is the complaint, "" when there is none.
func (r *renderer) fromNow(offset string, reference any) (any, string) {
	millis, ok := parseOffset(offset)
	if !ok {
		return nil, fmt.Sprintf("String: '%s' isn't a time expression", offset)
	}
	var base float64
	if truthyJS(reference) {
		var ok bool
		if base, ok = millisOf(reference); !ok {
			return nil, "the time to start from is an object that has no text"
		}
	} else {
		if r.now.IsZero() {
			return nil, "the template asks for the current time, but it was rendered without one"
		}
		base = float64(r.now.UnixMilli())
	}
	for _, m := range millis {
		base += m
	}
	if math.IsNaN(base) || math.Abs(base) > maxMillis {
		return nil, ""
	}
	return formatTime(base), ""
}

// maxMillis is the last moment JavaScript knows.
const maxMillis = 8.64e15

// parseOffset returns the parts of an offset in milliseconds, in the order in which they are added.
func parseOffset(s string) ([]float64, bool) {
	plain := strings.Map(func(c rune) rune {
		if isSpace(c) {
			return ' '
		}
		return c
	}, s)
	if !isASCII(plain) {
		return nil, false
	}
	m := offsetText.FindStringSubmatch(plain)
	if m == nil {
		return nil, false
	}
	sign := 1.0
	if m[1] == "-" {
		sign = -1
	}
	count := make([]float64, len(offsetUnits))
	for i := range count {
		if m[i+2] != "" {
			count[i] = sign * parseDecimal(m[i+2])
		}
	}
	days := count[3] + 30*count[1] + 365*count[0]
	return []float64{count[2] * 7 * day, days * day, count[4] * 3600e3, count[5] * 60e3, count[6] * 1e3}, true
}

// millisOf is JavaScript's new Date(v).getTime(): NaN when v is no time, false when v cannot even become a text.
func millisOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		if math.Abs(v) > maxMillis {
			return math.NaN(), true
		}
		return math.Trunc(v), true
	case bool:
		return toNumber(v), true
	}
	s, ok := toText(v, 0)
	return parseTime(s), ok
}

// timeLayouts are the ways to write a time that events and people use: ISO 8601, with and without parts, and mail's.
// A time without a zone is UTC.
var timeLayouts = []string{
	"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02", "2006-01", "2006", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	time.RFC1123, time.RFC1123Z, "Mon, 2 Jan 2006 15:04:05 MST", "Mon, 2 Jan 2006 15:04:05 -0700",
}

func parseTime(s string) float64 {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return float64(t.UnixMilli())
		}
	}
	return math.NaN()
}

// formatTime writes milliseconds since 1970 as JavaScript's toJSON.
func formatTime(millis float64) string {
	t := time.UnixMilli(int64(millis)).UTC()
	year := fmt.Sprintf("%04d", t.Year())
	if t.Year() < 0 || t.Year() > 9999 {
		year = fmt.Sprintf("%+07d", t.Year())
	}
	return year + t.Format("-01-02T15:04:05.000Z")
}
