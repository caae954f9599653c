package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
)

// request is one request to a server, as odd as HTTP allows.
type request struct {
	method, path string // the path with its query, as it is to be sent
	header       http.Header
	body         io.Reader // nil: none
	unsigned     bool      // without credentials
}

// reply is what a server said.
type reply struct {
	method string
	status int
	header http.Header
	body   []byte
	left   bool // the server was given up: it waits for something, which is fine
}

// browser keeps connections and follows nothing.
func browser() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
	}
}

// patience is how long a request may take; those that wait for work or news take longer.
const patience = 500 * time.Millisecond

// send makes a request with the root client's credentials.
func (s *server) send(t testing.TB, c *http.Client, r request) (reply, error) {
	t.Helper()
	limit := 90 * time.Second // machines that run all tests at once are slow
	if waits(r.path) {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, s.url, r.body)
	if err != nil {
		return reply{}, err
	}
	req.URL = &url.URL{Scheme: "http", Host: req.URL.Host, Opaque: r.path}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	if !r.unsigned && req.Header.Get("Authorization") == "" {
		header, err := hawk.Header(s.root, r.method, s.url+r.path, time.Now(), hawk.Nonce(), "", "")
		if err == nil { // else it is no URL, and cannot be signed
			req.Header.Set("Authorization", header)
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && waits(r.path) {
			return reply{left: true}, nil
		}
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil && waits(r.path) {
		return reply{left: true}, nil
	}
	return reply{r.method, resp.StatusCode, resp.Header, body, false}, err
}

// waits reports whether the endpoint of a path holds its caller until there is something to say.
func waits(path string) bool {
	return strings.Contains(path, "/claim-work/") || strings.Contains(path, "/events/v1/stream")
}

// problem says what is wrong with a server's answer to bad input; "" when nothing is: no failure of
// the server, and an error has the shape that clients know (taskcluster-map 3.3).
func (a reply) problem() string {
	switch {
	case a.left:
		return ""
	case a.status >= 500:
		return fmt.Sprintf("%d %.300s", a.status, a.body)
	case a.status < 400, a.method == http.MethodHead:
		return ""
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		return fmt.Sprintf("%d is of type %q: %.300s", a.status, a.header.Get("Content-Type"), a.body)
	}
	var e struct {
		Error, Code, Message string
		RequestInfo          *struct {
			Method, Time *string
			Params       map[string]any
			Payload      json.RawMessage
		}
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		return fmt.Sprintf("%d is no JSON: %.300s", a.status, a.body)
	}
	if a.status == http.StatusNotFound && e.Error == "Not found" {
		return "" // no such route
	}
	if i := e.RequestInfo; e.Code == "" || e.Message == "" || i == nil || i.Method == nil || i.Time == nil || i.Params == nil || i.Payload == nil {
		return fmt.Sprintf("%d has not the shape of an error: %.300s", a.status, a.body)
	}
	if a.status == http.StatusRequestEntityTooLarge != (e.Code == "InputTooLarge") || a.status == 404 != (e.Code == "ResourceNotFound") {
		return fmt.Sprintf("%d does not fit the code %s", a.status, e.Code)
	}
	return ""
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func reader(body string) io.Reader { return bytes.NewReader([]byte(body)) }
