// Package crontime turns the five fields of POSIX cron into the times of .cron.yml.
package crontime

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Time is an entry of "when" in .cron.yml; an empty list fits always.
type Time struct {
	Weekdays             []string
	Days, Hours, Minutes []int
}

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// Parse reads the five fields of POSIX cron; moved says that minutes were put to a quarter of an hour.
func Parse(line string) (out []Time, moved bool, err error) {
	fields := strings.Fields(line)
	if len(fields) != 5 {
		return nil, false, errors.New("it must have five fields")
	}
	lists := make([][]int, 5)
	for i, f := range []struct {
		name     string
		min, max int
		names    string
	}{{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day", 1, 31, ""}, {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"weekday", 0, 7, "sunmontuewedthufrisat"}} {
		if lists[i], err = field(fields[i], f.min, f.max, f.names); err != nil {
			return nil, false, fmt.Errorf("its %s %q: %w", f.name, fields[i], err)
		}
	}
	if len(lists[3]) > 0 {
		return nil, false, errors.New(".cron.yml knows no months; let the task look at the date")
	}
	t := Time{Hours: lists[1]}
	for _, m := range lists[0] {
		q := m / 15 * 15
		moved = moved || q != m
		t.Minutes = append(t.Minutes, q)
	}
	if len(lists[0]) > 4 && len(lists[0]) < 60 {
		moved = true
	}
	t.Minutes = slices.Compact(t.Minutes)
	if len(t.Minutes) == 4 {
		t.Minutes = nil
	}
	byDay, byWeek := t, t
	byDay.Days = lists[2]
	for i, name := range weekdays {
		if slices.Contains(lists[4], i+1) || i == 6 && slices.Contains(lists[4], 0) {
			byWeek.Weekdays = append(byWeek.Weekdays, name)
		}
	}
	switch { // with both, cron runs when one of them fits
	case len(byDay.Days) == 0:
		return []Time{byWeek}, moved, nil
	case len(byWeek.Weekdays) == 0:
		return []Time{byDay}, moved, nil
	}
	return []Time{byDay, byWeek}, moved, nil
}

// field is a field's numbers, none for all of them.
func field(s string, lo, hi int, names string) ([]int, error) {
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

// String is the time as .cron.yml has it.
func (t Time) String() string {
	var parts []string
	numbers := func(key string, list []int) {
		if len(list) == 0 {
			return
		}
		text := make([]string, len(list))
		for i, n := range list {
			text[i] = strconv.Itoa(n)
		}
		if len(text) == 1 {
			parts = append(parts, key+": "+text[0])
		} else {
			parts = append(parts, key+": ["+strings.Join(text, ", ")+"]")
		}
	}
	if len(t.Weekdays) == 1 {
		parts = append(parts, "weekday: "+t.Weekdays[0])
	} else if len(t.Weekdays) > 1 {
		parts = append(parts, "weekday: ["+strings.Join(t.Weekdays, ", ")+"]")
	}
	numbers("day", t.Days)
	numbers("hour", t.Hours)
	numbers("minute", t.Minutes)
	return strings.Join(parts, ", ")
}
