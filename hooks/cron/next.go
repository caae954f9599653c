package cron

import (
	"math/bits"
	"time"
)

// horizon is how many years Next looks ahead: a fifth Friday in February is up to forty years away.
const horizon = 41

// Next returns the first time after t at which the expression is true, in UTC; the zero time when that
// is not within 41 years.
func (s *Schedule) Next(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Second).Add(time.Second)
	year, month, day := t.Date()
	if at, ok := s.clock(t.Hour(), t.Minute(), t.Second()); ok && s.onDay(year, month, day) {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Add(at)
	}
	for last := year + horizon; year <= last; year++ {
		for ; month <= 12; month++ {
			if s.month&(1<<month) == 0 {
				day = 0
				continue
			}
			for day++; day <= days(year, month); day++ {
				if s.onDay(year, month, day) {
					at, _ := s.clock(0, 0, 0)
					return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Add(at)
				}
			}
			day = 0
		}
		month = 1
	}
	return time.Time{}
}

// First returns the earliest Next of some schedules; the zero time when none comes.
func First(schedules []*Schedule, after time.Time) time.Time {
	var first time.Time
	for _, s := range schedules {
		if t := s.Next(after); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// days is how many days a month has.
func days(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// onDay tells whether the expression is true on a day.
func (s *Schedule) onDay(year int, month time.Month, day int) bool {
	if s.month&(1<<month) == 0 {
		return false
	}
	length := days(year, month)
	weekday := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday()
	byDay := s.day&(1<<day) != 0 || s.lastDay && day == length
	byWeek := s.weekday&(1<<weekday) != 0 || s.lastWeekday&(1<<weekday) != 0 && day+7 > length
	everyDay := s.listed >= longest(int(month))
	switch {
	case s.nth > 0 && (day-1)/7+1 != s.nth:
		return false
	case !s.weekRestricts:
		return byDay
	case everyDay:
		return byWeek
	}
	return byDay || byWeek
}

// clock returns the first time of a day, from midnight, that is not before the given one.
func (s *Schedule) clock(hour, minute, second int) (time.Duration, bool) {
	h, ok := from(s.hour, hour)
	if ok && h > hour {
		minute, second = 0, 0
	}
	m, some := from(s.minute, minute)
	if some && m > minute {
		second = 0
	}
	sec, left := from(s.second, second)
	switch {
	case !ok:
		return 0, false
	case some && left:
		return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second, true
	case some && minute < 59: // this minute is over
		return s.clock(h, m+1, 0)
	case h < 23: // this hour is over
		return s.clock(h+1, 0, 0)
	}
	return 0, false
}

// from returns the lowest bit of a set that is not below n.
func from(set uint64, n int) (int, bool) {
	set &= ^uint64(0) << n
	return bits.TrailingZeros64(set), set != 0
}
