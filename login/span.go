package login

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

var (
	spanPart  = regexp.MustCompile(`^\s*(\d{1,6})\s*([a-z]+)`)
	spanUnits = map[string]time.Duration{
		"y": 365 * 24 * time.Hour, "yr": 365 * 24 * time.Hour, "year": 365 * 24 * time.Hour, "years": 365 * 24 * time.Hour,
		"mo": 30 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "months": 30 * 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "wk": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	}
)

// maxSpan is the farthest future: a hundred years.
const maxSpan = 100 * 365 * 24 * time.Hour

// ParseSpan reads a time to come as the field writes it: "1d", "2 hours 30 minutes", "1 year"; a month
// has 30 days, a year 365. Signs and times past are no spans.
func ParseSpan(text string) (time.Duration, error) {
	rest := strings.ToLower(strings.TrimSpace(text))
	var total time.Duration
	for rest != "" {
		m := spanPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, fault.New(fault.Invalid, "%.40q is no span of time; write one as 1d, 2 hours or 1 week.", text)
		}
		unit, ok := spanUnits[m[2]]
		n, err := strconv.Atoi(m[1])
		if !ok || err != nil {
			return 0, fault.New(fault.Invalid, "%.40q is no span of time; write one as 1d, 2 hours or 1 week.", text)
		}
		if total += min(time.Duration(n), maxSpan/unit+1) * unit; total > maxSpan {
			return 0, fault.New(fault.Invalid, "%.40q is more than 100 years.", text)
		}
		rest = strings.TrimSpace(rest[len(m[0]):])
	}
	if total <= 0 {
		return 0, fault.New(fault.Invalid, "%.40q is no span of time; write one as 1d, 2 hours or 1 week.", text)
	}
	return total, nil
}
