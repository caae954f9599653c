// Package cron reads cron expressions as hooks have them, and says when they next come true.
//
// The grammar is that of the npm package cron-parser, which Taskcluster's hooks are written for: five
// fields (minute, hour, day of month, month, day of week) or six (a second before them), in UTC; names
// of months and days, ranges, lists, steps, `?` for `*`, `L` for the last day or the last such weekday
// of a month, `5#2` for the second Friday, and @yearly, @monthly, @weekly, @daily, @hourly. When both
// days are restricted either may match. It is pure: who asks brings the time.
package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// MaxLength is the most bytes of an expression.
const MaxLength = 500

// Schedule is a parsed expression. It is immutable.
type Schedule struct {
	text                      string
	second, minute, hour      uint64 // a bit each
	day, month, weekday       uint64 // days from 1, months from 1, weekdays from 0 to 7: Sunday is both
	lastDay                   bool   // L as a day of the month
	lastWeekday               uint64 // 5L: the last Friday
	nth                       int    // 5#2: the second Friday; 0: none
	listed                    int    // days of the month as the expression lists them, repetitions too
	restricted, weekRestricts bool   // not every day of the month, not every weekday
}

// field is a place of an expression.
type field struct {
	name     string
	min, max int
	names    string // three letters each, from names of the value min (months) or 0 (days)
}

var fields = [...]field{
	{name: "second", max: 59}, {name: "minute", max: 59}, {name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: "janfebmaraprmayjunjulaugsepoctnovdec"},
	{name: "day of week", max: 7, names: "sunmontuewedthufrisat"},
}

// alias are the expressions that have a name.
func alias(text string) string {
	switch text {
	case "@yearly", "@annually":
		return "0 0 1 1 *"
	case "@monthly":
		return "0 0 1 * *"
	case "@weekly":
		return "0 0 * * 0"
	case "@daily", "@midnight":
		return "0 0 * * *"
	case "@hourly":
		return "0 * * * *"
	}
	return text
}

// Parse reads an expression. The error names the field and says what to write. An expression that never
// comes true, such as one for 30 February, is refused.
func Parse(text string) (*Schedule, error) {
	if len(text) > MaxLength {
		return nil, fmt.Errorf("the cron expression has %d characters, more than the %d allowed", len(text), MaxLength)
	}
	atoms := strings.Fields(alias(strings.TrimSpace(text)))
	if len(atoms) == 5 {
		atoms = append([]string{"0"}, atoms...)
	}
	if len(atoms) != len(fields) {
		return nil, fmt.Errorf("cron expression %q has %d fields; write five (minute, hour, day of month, month, day of week) or six with the second before them", text, len(atoms))
	}
	s := &Schedule{text: strings.TrimSpace(text)}
	listed := 0
	for i, into := range []*uint64{&s.second, &s.minute, &s.hour, &s.day, &s.month, &s.weekday} {
		var err error
		if listed, err = s.parseField(fields[i], atoms[i], into); err != nil {
			return nil, fmt.Errorf("cron expression %q: %s %q: %w", text, fields[i].name, atoms[i], err)
		}
		if into == &s.day {
			s.listed = listed
		}
	}
	// As cron-parser has it: * and 1-7 are no restriction, 0-6 is one (that lets every day through).
	s.weekRestricts = listed != 8
	s.weekday &= 1<<7 - 1
	if err := s.checkDays(); err != nil {
		return nil, fmt.Errorf("cron expression %q: %w", text, err)
	}
	return s, nil
}

// String is the expression as it was written.
func (s *Schedule) String() string { return s.text }

// parseField reads a field, and says how many values it lists, repetitions too.
func (s *Schedule) parseField(f field, atom string, into *uint64) (listed int, err error) {
	atom = strings.ToLower(atom)
	weekday := f.max == 7
	if weekday && strings.Contains(atom, "#") {
		if strings.ContainsAny(atom, ",/-") {
			return 0, fmt.Errorf("# stands alone: write one weekday and its number, such as 5#2")
		}
		day, n, _ := strings.Cut(atom, "#")
		nth, err := strconv.Atoi(n)
		if err != nil || nth < 1 || nth > 5 {
			return 0, fmt.Errorf("after # write a number from 1 to 5")
		}
		s.nth, atom = nth, day
	}
	for _, part := range strings.Split(atom, ",") {
		switch last, is := strings.CutSuffix(part, "l"); {
		case is && f.max == 31 && last == "":
			s.lastDay = true
			listed++
		case is && weekday && last != "":
			n, err := f.value(last)
			if err != nil {
				return 0, err
			}
			s.lastWeekday |= 1 << (n % 7)
			listed++
		default:
			set, err := f.parsePart(part)
			if err != nil {
				return 0, err
			}
			*into |= set
			listed += bits.OnesCount64(set)
		}
	}
	return listed, nil
}

// parsePart reads a value, a range, or * with or without a step.
func (f field) parsePart(part string) (uint64, error) {
	body, step, stepped := strings.Cut(part, "/")
	every := 1
	if stepped {
		n, err := strconv.Atoi(step)
		if err != nil || n < 1 || strings.HasPrefix(step, "+") {
			return 0, fmt.Errorf("after / write a whole number of 1 or more")
		}
		every = n
	}
	from, to := f.min, f.max
	if body != "*" && (body != "?" || f.max != 31 && f.max != 7) {
		first, last, ranged := strings.Cut(body, "-")
		var err error
		if from, err = f.value(first); err != nil {
			return 0, err
		}
		switch {
		case ranged:
			if to, err = f.value(last); err != nil {
				return 0, err
			}
		case !stepped: // 5/10 is 5-59/10
			to = from
		}
	}
	if from > to {
		return 0, fmt.Errorf("the range ends before it begins; write the smaller value first")
	}
	var set uint64
	for n := from; n <= to; n += min(every, f.max+1) {
		set |= 1 << n
	}
	switch {
	case f.max != 7 || to != 7:
	case from == to && !stepped && !strings.Contains(body, "-"): // Sunday, by its other number
		set = 1
	default: // a range that ends with Sunday has it, whatever the step
		set |= 1
	}
	return set, nil
}

func (f field) value(text string) (int, error) {
	if i := strings.Index(f.names, text); len(text) == 3 && i >= 0 && i%3 == 0 {
		return i/3 + f.min, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || strings.HasPrefix(text, "+") {
		return 0, fmt.Errorf("%q is no %s; write a number from %d to %d%s", text, f.name, f.min, f.max, f.example())
	}
	if n < f.min || n > f.max {
		return 0, fmt.Errorf("%d is not between %d and %d", n, f.min, f.max)
	}
	return n, nil
}

func (f field) example() string {
	switch f.max {
	case 12:
		return " or a name such as jan"
	case 7:
		return " or a name such as mon"
	}
	return ""
}

// longest is how many days a month can have.
func longest(month int) int {
	switch month {
	case 2:
		return 29
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// checkDays refuses days that no month of the expression has.
func (s *Schedule) checkDays() error {
	s.restricted = s.day != 1<<32-2
	if s.day == 0 {
		return nil // L alone
	}
	first := bits.TrailingZeros64(s.day)
	most := 0
	for m := 1; m <= 12; m++ {
		if s.month&(1<<m) != 0 {
			most = max(most, longest(m))
		}
	}
	if first > most && (bits.OnesCount64(s.month) == 1 || !s.lastDay && !s.weekRestricts) {
		return fmt.Errorf("no such date: the month has no day %d", first)
	}
	return nil
}
