// Package pace counts what an installation does, for the secondary limits of the double of GitHub.
package pace

import (
	"net/http"
	"time"
)

// The secondary limits, which hold beside the hourly one (vcs-integration 1.7).
const (
	pointsPerMinute   = 900 // a reading request costs 1, a writing one 5
	contentsPerMinute = 80  // what people see: check runs, statuses, comments
	contentsPerHour   = 500
)

// Pace is what an installation did lately, in whole minutes and hours.
type Pace struct {
	minute, hour time.Time
	points       int // in the minute
	made, madeIn int // contents in the minute, in the hour
	Refused      int // requests
}

// Take counts a request; false says how long to make none.
func (p *Pace) Take(now time.Time, method string, content bool) (wait time.Duration, ok bool) {
	if !now.Before(p.minute.Add(time.Minute)) {
		p.minute, p.points, p.made = now, 0, 0
	}
	if !now.Before(p.hour.Add(time.Hour)) {
		p.hour, p.madeIn = now, 0
	}
	cost := 5
	if method == http.MethodGet || method == http.MethodHead {
		cost = 1
	}
	switch {
	case content && p.madeIn >= contentsPerHour:
		wait = p.hour.Add(time.Hour).Sub(now)
	case content && p.made >= contentsPerMinute, p.points+cost > pointsPerMinute:
		wait = p.minute.Add(time.Minute).Sub(now)
	}
	if wait > 0 {
		p.Refused++
		return wait, false
	}
	p.points += cost
	if content {
		p.made++
		p.madeIn++
	}
	return 0, true
}
