// Package chat posts messages to Slack and Matrix by their HTTP APIs. Where those stand is configuration
// alone: nothing of a message leads a request elsewhere, and redirects are not followed.
package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/treeline-ci/treeline/notify/message"
)

const (
	attemptTime = 10 * time.Second // of one request
	maxAnswer   = 64 << 10         // bytes of an answer that are read
	shortWait   = 2 * time.Second  // what is waited for within one attempt; longer waits are the outbox's
)

// CheckBase refuses what is no address of an API, or tells a secret in it.
func CheckBase(what, base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("%s: its address must be like https://example.com, without user and query", what)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s: a token must not go over a connection that is not encrypted: use https", what)
	}
	return nil
}

// caller makes requests with a token. Within one attempt it tries again what surely had no effect, or may
// be repeated.
type caller struct {
	client *retryablehttp.Client
	name   string // of the other side, for errors
	token  string
}

func newCaller(name, token string, repeatable bool, log *slog.Logger) caller {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 2, 200*time.Millisecond, shortWait
	c.HTTPClient.Timeout = attemptTime
	c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		again := false
		switch {
		case err != nil:
			var dial *net.OpError
			again = repeatable || errors.As(err, &dial) && dial.Op == "dial"
		case resp.StatusCode == http.StatusTooManyRequests:
			wait := retryAfter(resp.Header)
			again = wait > 0 && wait <= shortWait
		case resp.StatusCode >= 500:
			again = repeatable
		}
		if again {
			log.DebugContext(ctx, "a message is tried again at once", "to", name, "err", err)
		}
		return again, nil
	}
	return caller{client: c, name: name, token: token}
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseFloat(h.Get("Retry-After"), 64)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 86400) * float64(time.Second))
}

// call sends body as JSON and decodes the answer into out, whatever its status is.
func (c caller) call(ctx context.Context, method, address string, body, out any) (status int, header http.Header, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, &message.Failure{Message: "The message is no JSON", Err: err}
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return 0, nil, &message.Failure{Message: "The address of " + c.name + " cannot be used", Temporary: true, Err: err}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "treeline")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, &message.Failure{Message: c.name + " does not answer", Temporary: true, Err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, &message.Failure{Message: c.name + " broke off its answer", Temporary: true, Err: err}
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return 0, nil, &message.Failure{Message: fmt.Sprintf("%s answers %s, and not JSON", c.name, resp.Status), Temporary: true, After: retryAfter(resp.Header)}
	}
	return resp.StatusCode, resp.Header, nil
}
