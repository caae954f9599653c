package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/treeline-ci/treeline/internal/fault"
)

// firstDelay is the pause after the first failure; each further one is twice as long, ±25 %
// (taskcluster-map 21.2).
const firstDelay = 100 * time.Millisecond

// do sends a request, again and again while there is no answer, or a temporary one, or handle
// cannot read it, until patience is over. handle must close the body or keep it; it sees only the
// final answer, whatever its status. body is nil or something that go-retryablehttp can rewind.
func (c *Client) do(ctx context.Context, via *http.Client, method, address string, header http.Header, body any, sign bool, handle func(*http.Response) error) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return fmt.Errorf("client: %s %s: %w", method, redacted(address), err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	attempts := *via
	if sign {
		attempts.Transport = &signer{source: c.Credentials, clock: c.clock, next: via.Transport}
	}
	req.SetResponseHandler(handle)
	if _, err := c.retrying(&attempts).Do(req); err != nil { //nolint:bodyclose // the response handler closes each body
		if ctx.Err() != nil {
			return fmt.Errorf("client: %s %s: %w", method, redacted(address), ctx.Err())
		}
		if _, ok := errors.AsType[*signError](err); ok {
			return fault.Wrap(fault.Invalid, withoutURL(err), "%s %s: the credentials cannot sign", method, redacted(address))
		}
		return fault.Wrap(fault.Unavailable, withoutURL(err), "%s %s: no complete answer", method, redacted(address))
	}
	return nil
}

// retrying returns the retry loop for one request; its patience starts now. The answer to the
// last attempt is handed out even when its status is 5xx, so that its message is not lost.
func (c *Client) retrying(via *http.Client) *retryablehttp.Client {
	started := time.Now()
	return &retryablehttp.Client{
		HTTPClient:   via,
		RetryMax:     math.MaxInt32,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		Backoff: func(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
			d := max(c.pause(attempt), wanted(resp))
			c.log.Debug("trying again", "status", statusOf(resp), "attempt", attempt+1, "pause", d)
			return d
		},
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			if !temporary(resp, err) || time.Since(started)+wanted(resp) >= c.patience {
				return false, err
			}
			return true, nil
		},
	}
}

// wanted is the pause that a server asks for, which has had too many requests: with 429 in any case, with 503 where it
// is long. Short ones, as of a server that starts again, are not worth waiting out.
func wanted(resp *http.Response) time.Duration {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > math.MaxInt32 || resp.StatusCode == http.StatusServiceUnavailable && seconds <= 1 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// pause is how long to wait after the given attempt, counted from zero.
func (c *Client) pause(attempt int) time.Duration {
	d := min(firstDelay<<min(attempt, 20), c.maxDelay)
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2))
}

// temporary says whether the same request may succeed later.
func temporary(resp *http.Response, err error) bool {
	if err == nil {
		return resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented ||
			resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return false
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*signError](err); ok {
		return false
	}
	return true
}

func statusOf(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

// withoutURL drops the URL that net/http puts into its errors: it may carry a signature.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// redacted is an address fit for messages: without its query, which may be a signature.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable URL)"
	}
	u.RawQuery, u.User, u.Fragment = "", nil, ""
	return u.String()
}
