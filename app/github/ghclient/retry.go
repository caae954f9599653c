package ghclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/hashicorp/go-retryablehttp"
)

// Bounds of repetition. What takes longer is left to whoever asked, who has a queue.
const (
	retries     = 3
	shortest    = 200 * time.Millisecond
	longestWait = 3 * time.Second
)

// patient repeats requests that failed for a moment and may be repeated.
func patient(t http.RoundTripper) http.RoundTripper {
	c := &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		RetryMax:   retries, RetryWaitMin: shortest, RetryWaitMax: longestWait,
		CheckRetry: checkRetry, Backoff: backoff, ErrorHandler: last,
	}
	return &retryablehttp.RoundTripper{Client: c}
}

// last hands out the last answer as it is, or the error of who waits no longer: never both.
func last(answer *http.Response, err error, _ int) (*http.Response, error) {
	if err != nil && answer != nil {
		_ = answer.Body.Close() // nobody reads it
		answer = nil
	}
	return answer, err
}

// repeatable reports whether doing a request twice is doing it once.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch:
		return true
	case http.MethodPost:
		return strings.HasSuffix(r.URL.Path, "/access_tokens") // a second token does no harm
	}
	return false
}

// checkRetry says whether to send a request again. A request that is not repeatable is sent again only when its
// connection was never made. Refusals by a rate limit are told to the caller, who waits without holding anything.
func checkRetry(ctx context.Context, answer *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			return true, nil
		}
		sent, ok := errors.AsType[*url.Error](err)
		return ok && sent.Op != "Post", nil
	}
	if answer.StatusCode < 500 || answer.StatusCode == http.StatusNotImplemented {
		return false, nil
	}
	if wait := answer.Header.Get("Retry-After"); wait != "" {
		seconds, err := strconv.Atoi(wait)
		if err != nil || time.Duration(seconds)*time.Second > longestWait {
			return false, nil
		}
	}
	return answer.Request != nil && repeatable(answer.Request), nil
}

func backoff(least, most time.Duration, attempt int, answer *http.Response) time.Duration {
	return min(most, retryablehttp.DefaultBackoff(least, most, attempt, answer))
}

// Limited reports whether an error says that too many requests were made, and for how long to make none. Both limits of
// GitHub come with status 403 or 429, with headers or without (vcs-integration 1.7).
func Limited(err error, now time.Time) (wait time.Duration, ok bool) {
	var header http.Header
	var status int
	var message string
	if e, is := errors.AsType[*github.RateLimitError](err); is {
		return atLeast(e.Rate.Reset.Sub(now)), true
	}
	if e, is := errors.AsType[*github.AbuseRateLimitError](err); is {
		if e.RetryAfter != nil {
			return atLeast(*e.RetryAfter), true
		}
		return time.Minute, true
	}
	if e, is := errors.AsType[*github.ErrorResponse](err); is && e.Response != nil {
		header, status, message = e.Response.Header, e.Response.StatusCode, strings.ToLower(e.Message)
	} else if e, is := errors.AsType[*TokenError](err); is {
		header, status = e.Header, e.Status
	}
	if status != http.StatusForbidden && status != http.StatusTooManyRequests {
		return 0, false
	}
	if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil {
		return atLeast(time.Duration(seconds) * time.Second), true
	}
	if header.Get("X-RateLimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return atLeast(time.Unix(reset, 0).Sub(now)), true
		}
	}
	if status == http.StatusTooManyRequests || strings.Contains(message, "rate limit") {
		return time.Minute, true
	}
	return 0, false
}

func atLeast(d time.Duration) time.Duration { return max(d, time.Second) }

// Status returns the status of a refusal; 0 when err is none.
func Status(err error) int {
	if e, ok := errors.AsType[*github.ErrorResponse](err); ok && e.Response != nil {
		return e.Response.StatusCode
	}
	if e, ok := errors.AsType[*TokenError](err); ok {
		return e.Status
	}
	return 0
}

// Gone reports whether GitHub says that what was asked for is not there, or not for us: asking again does not help.
func Gone(err error) bool {
	switch Status(err) {
	case http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		return true
	}
	return false
}
