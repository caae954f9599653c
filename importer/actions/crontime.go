package actions

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cronTime is an entry of "when" in .cron.yml; an empty list fits always.
type cronTime struct {
	weekdays            []string
	days, hours, minute []int
}

var weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}

// cronTimes reads the five fields of POSIX cron; moved says that minutes were put to a quarter of an hour.
func cronTimes(line string) (out []cronTime, moved bool, err error) {
	f := strings.Fields(line)
	if len(f) != 5 {
		return nil, false, errors.New("it must have five fields")
	}
	lists := make([][]int, 5)
	for i, field := range []struct {
		name     string
		min, max int
		names    string
	}{{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day", 1, 31, ""}, {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"weekday", 0, 7, "sunmontuewedthufrisat"}} {
		if lists[i], err = cronField(f[i], field.min, field.max, field.names); err != nil {
			return nil, false, fmt.Errorf("its %s %q: %w", field.name, f[i], err)
		}
	}
	if len(lists[3]) > 0 {
		return nil, false, errors.New(".cron.yml knows no months; let the task look at the date")
	}
	t := cronTime{hours: lists[1]}
	for _, m := range lists[0] {
		q := m / 15 * 15
		moved = moved || q != m
		t.minute = append(t.minute, q)
	}
	if len(lists[0]) > 4 && len(lists[0]) < 60 {
		moved = true
	}
	t.minute = slices.Compact(t.minute)
	if len(t.minute) == 4 {
		t.minute = nil
	}
	byDay, byWeek := t, t
	byDay.days = lists[2]
	for _, d := range lists[4] {
		byWeek.weekdays = append(byWeek.weekdays, weekdays[d%7])
	}
	slices.Sort(byWeek.weekdays)
	byWeek.weekdays = slices.Compact(byWeek.weekdays)
	switch { // with both, cron runs when one of them fits
	case len(byDay.days) == 0:
		return []cronTime{byWeek}, moved, nil
	case len(byWeek.weekdays) == 0:
		return []cronTime{byDay}, moved, nil
	}
	return []cronTime{byDay, byWeek}, moved, nil
}

// cronField is a field's numbers, none for all of them.
func cronField(s string, lo, hi int, names string) ([]int, error) {
	var out []int
	number := func(s string) (int, error) {
		if at := strings.Index(names, strings.ToLower(s)); len(s) == 3 && at >= 0 && at%3 == 0 {
			if lo == 1 {
				return at/3 + 1, nil
			}
			return at / 3, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < lo || n > hi {
			return 0, fmt.Errorf("must be %d to %d", lo, hi)
		}
		return n, nil
	}
	for _, part := range strings.Split(s, ",") {
		span, every, stepped := strings.Cut(part, "/")
		step, from, to := 1, lo, hi
		var err error
		if stepped {
			if step, err = strconv.Atoi(every); err != nil || step < 1 {
				return nil, errors.New("has no step")
			}
		}
		if span != "*" {
			a, b, isSpan := strings.Cut(span, "-")
			if from, err = number(a); err != nil {
				return nil, err
			}
			if to = from; stepped {
				to = hi
			}
			if isSpan {
				if to, err = number(b); err != nil || to < from {
					return nil, errors.New("has no end")
				}
			}
		} else if step == 1 {
			return nil, nil
		}
		for n := from; n <= to; n += step {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
