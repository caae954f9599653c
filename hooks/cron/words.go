package cron

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Words says in English when the expression is true, such as "at 03:00 on Monday to Friday".
func (s *Schedule) Words() string {
	words := s.clockWords()
	if days := s.dayWords(); days != "" {
		words += " " + days
	}
	if months := spans(s.month, 1, 12, func(n int) string { return time.Month(n).String() }); months != "" {
		words += " in " + months
	}
	return words + " (UTC)"
}

// clockWords says the time of day.
func (s *Schedule) clockWords() string {
	if bits.OnesCount64(s.hour)*bits.OnesCount64(s.minute)*bits.OnesCount64(s.second) <= 6 {
		var list []string
		for h := range 24 {
			for m := range 60 {
				for sec := range 60 {
					if s.hour>>h&1 != 0 && s.minute>>m&1 != 0 && s.second>>sec&1 != 0 {
						list = append(list, clockText(h, m, sec))
					}
				}
			}
		}
		return "at " + joined(list)
	}
	number := func(n int) string { return fmt.Sprint(n) }
	words := ""
	switch every, whole := stepOf(s.minute, 60); {
	case whole && every == 1:
		words = "every minute"
	case whole:
		words = fmt.Sprintf("every %d minutes", every)
	default:
		words = "at minute " + spans(s.minute, -1, 59, number)
	}
	if s.second != 1 {
		words = strings.TrimPrefix(words, "at ")
		if every, whole := stepOf(s.second, 60); whole && every == 1 {
			words = "every second of " + words
		} else {
			words = "at second " + spans(s.second, -1, 59, number) + " of " + words
		}
	}
	switch every, whole := stepOf(s.hour, 24); {
	case whole && every == 1 && !strings.HasSuffix(words, "minute") && !strings.HasSuffix(words, "minutes"):
		words += " of every hour"
	case whole && every == 1:
	case whole:
		words += fmt.Sprintf(" of every %d hours", every)
	default:
		words += " in the hours " + spans(s.hour, -1, 23, func(n int) string { return fmt.Sprintf("%02d", n) })
	}
	return words
}

func clockText(h, m, s int) string {
	if s == 0 {
		return fmt.Sprintf("%02d:%02d", h, m)
	}
	return fmt.Sprintf("%02d:%02d:%02d", h, m, s)
}

// dayWords says the days; "" is every day.
func (s *Schedule) dayWords() string {
	var list []string
	if s.restricted {
		if d := spans(s.day, -1, 31, func(n int) string { return fmt.Sprint(n) }); d != "" {
			list = append(list, "day "+d)
		}
		if s.lastDay {
			list = append(list, "the last day of the month")
		}
	}
	if s.weekRestricts {
		name := func(n int) string { return time.Weekday(n % 7).String() }
		week := spans(s.weekday, -1, 6, name)
		if s.nth > 0 {
			week = fmt.Sprintf("the %s %s of the month", [...]string{"first", "second", "third", "fourth", "fifth"}[s.nth-1], week)
		}
		if week != "" {
			list = append(list, week)
		}
		if s.lastWeekday != 0 {
			list = append(list, "the last "+spans(s.lastWeekday, -1, 6, name)+" of the month")
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "on " + strings.Join(list, " and on ")
}

// stepOf tells whether a set is every n-th of 0 to size-1.
func stepOf(set uint64, size int) (every int, whole bool) {
	for every = 1; every < size; every++ {
		var want uint64
		for n := 0; n < size; n += every {
			want |= 1 << n
		}
		if size%every == 0 && set == want {
			return every, true
		}
	}
	return 0, false
}

// spans lists a set's values, those that follow each other as ranges; "" when it has all from min to max.
func spans(set uint64, minimum, maximum int, name func(int) string) string {
	var list []string
	all := true
	for n := max(minimum, 0); n <= maximum; n++ {
		if set>>n&1 == 0 {
			all = false
			continue
		}
		end := n
		for end < maximum && set>>(end+1)&1 != 0 {
			end++
		}
		switch end - n {
		case 0:
			list = append(list, name(n))
		case 1:
			list = append(list, name(n), name(end))
		default:
			list = append(list, name(n)+" to "+name(end))
		}
		n = end
	}
	if all && minimum >= 0 {
		return ""
	}
	return joined(list)
}

func joined(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
