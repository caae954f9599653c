package cron

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Quarter is the length of a slot.
const Quarter = 15 * time.Minute

// Slot is the slot that t is in, by its beginning.
func Slot(t time.Time) time.Time { return t.UTC().Truncate(Quarter) }

func weekdays() []string {
	out := make([]string, 7)
	for i := range out {
		out[i] = time.Weekday((i + 1) % 7).String()
	}
	return out
}

// times is an entry of when: slots that have one of each; nil: any.
type times struct {
	weekdays            []time.Weekday
	days, hours, minute []int
}

// newTimes reads an entry of the right shape; numbers are checked here.
func newTimes(m map[string]any) (times, error) {
	var t times
	for _, name := range texts(m["weekday"]) {
		t.weekdays = append(t.weekdays, time.Weekday((slices.Index(weekdays(), name)+1)%7))
	}
	for _, field := range []struct {
		key       string
		to        *[]int
		low, high int
	}{{"day", &t.days, 1, 31}, {"hour", &t.hours, 0, 23}, {"minute", &t.minute, 0, 59}} {
		for _, n := range numbers(m[field.key]) {
			if n < field.low || n > field.high {
				return t, fmt.Errorf("%s is %d, not between %d and %d", field.key, n, field.low, field.high)
			}
			if field.key == "minute" && n%15 != 0 {
				return t, fmt.Errorf("minute is %d: jobs start at minutes 0, 15, 30 and 45 only", n)
			}
			*field.to = append(*field.to, n)
		}
	}
	return t, nil
}

func texts(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, _ := value.Strings(v)
	return list
}

func numbers(v any) []int {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []int
	for _, e := range list {
		if n, ok := e.(int64); ok {
			out = append(out, int(n))
		}
	}
	return out
}

func has[T comparable](list []T, v T) bool { return list == nil || slices.Contains(list, v) }

// onDay reports whether slots of the day of t may fit.
func (w times) onDay(t time.Time) bool { return has(w.weekdays, t.Weekday()) && has(w.days, t.Day()) }

// fits reports whether the slot does.
func (w times) fits(slot time.Time) bool {
	return w.onDay(slot) && has(w.hours, slot.Hour()) && has(w.minute, slot.Minute())
}

// String says the times as people do.
func (w times) String() string {
	var parts []string
	add := func(name string, n int, list string) {
		if n > 0 {
			parts = append(parts, name+" "+list)
		}
	}
	names := make([]string, len(w.weekdays))
	for i, d := range w.weekdays {
		names[i] = d.String()
	}
	add("on", len(names), strings.Join(names, ", "))
	add("day", len(w.days), commas(w.days))
	add("hour", len(w.hours), commas(w.hours))
	add("minute", len(w.minute), commas(w.minute))
	if len(parts) == 0 {
		return "every quarter of an hour"
	}
	return strings.Join(parts, ", ")
}

func commas(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

// schedule gives the entries of when for a project.
func (j *Job) schedule(project string) ([]times, error) {
	if j.when == nil {
		return nil, nil
	}
	v, err := j.resolver.Evaluate(j.when, "`when` of the job "+j.Name, value.NameMap{"project": project}, keyedby.Options{})
	if err != nil {
		return nil, j.at.Child("when").Errorf("%v", err)
	}
	list, _ := v.([]any)
	out := make([]times, 0, len(list))
	for _, e := range list {
		m, _ := e.(map[string]any) // as the schema has it
		w, err := newTimes(m)
		if err != nil {
			return nil, j.at.Child("when").Errorf("%v", err)
		}
		out = append(out, w)
	}
	return out, nil
}
