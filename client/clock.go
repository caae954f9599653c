package client

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// clock is the server's clock, as far as it can be known: this machine's, corrected by what the server's answers say.
// A signature made by a clock that is wrong by more than a quarter of an hour is refused.
type clock struct {
	here   func() time.Time
	offset atomic.Int64 // nanoseconds to add
	log    *slog.Logger
}

// tolerated is how wrong this machine's clock may be without being corrected: a Date has whole seconds, and was written
// a while ago.
const tolerated = time.Minute

func (c *clock) now() time.Time { return c.here().Add(time.Duration(c.offset.Load())) }

// learn compares with an answer's Date, and says whether the clock is another one since.
func (c *clock) learn(answer *http.Response) (changed bool) {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return false
	}
	if wrong := date.Sub(c.now()); wrong > -tolerated && wrong < tolerated {
		return false
	}
	offset := date.Sub(c.here())
	if offset > -tolerated && offset < tolerated {
		offset = 0
	}
	c.offset.Store(int64(offset))
	c.log.Warn("this machine's clock differs from the server's: requests are signed by the server's", "by", offset.Round(time.Second))
	return true
}

// Now is what time it is at the server, known from its answers; without any, or with about the same clock, this
// machine's time.
func (c *Client) Now() time.Time { return c.clock.now() }

// ClockError is how much this machine's clock is behind the server's, negative when it is ahead; 0 for less than a minute.
func (c *Client) ClockError() time.Duration { return time.Duration(c.clock.offset.Load()) }
