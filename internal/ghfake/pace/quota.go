package pace

import (
	"net/http"
	"strconv"
	"time"
)

// Quota is the primary rate limit of an installation.
type Quota struct {
	Limit, Used int
	Reset       time.Time
	TooMany     bool // 429 instead of 403
}

// HourlyLimit is how many requests an installation has.
const HourlyLimit = 5000

// Renew begins a window when the last is over.
func (q *Quota) Renew(now time.Time) {
	if !now.Before(q.Reset) {
		*q = Quota{Limit: HourlyLimit, Reset: now.Add(time.Hour)}
	}
}

// Headers tell how it stands.
func (q *Quota) Headers(h http.Header) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(q.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, q.Limit-q.Used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(q.Used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(q.Reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}
