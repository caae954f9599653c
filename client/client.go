// Package client speaks to the services of a Treeline server, or of any server that has the same
// HTTP API (taskcluster-map 3 and 21.2): the workers, the commands and the tests go through it.
//
// Every call is signed with Hawk when credentials are set, tried again with growing, jittered
// pauses while the server is away or answers 5xx, and never follows a redirect by itself. Errors
// of the server come back as [*Error] and answer to the kinds of internal/fault. A Client is
// immutable and safe for concurrent use; the With methods return changed copies that share its
// connections.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Defaults of Config.
const (
	DefaultPatience = 30 * time.Second
	DefaultMaxDelay = 5 * time.Second
	DefaultTimeout  = 45 * time.Second
)

// maxReply bounds what is read of a JSON reply.
const maxReply = 256 << 20

// Config says which server to speak to and how.
type Config struct {
	RootURL     string           // such as https://ci.example.org, without /api
	DirectURL   string           // when RootURL is a task proxy, which signs by itself: the server behind it
	Credentials hawk.Credentials // empty: anonymous
	HTTP        *http.Client     // transport to use; nil for one of our own
	Patience    time.Duration    // how long to go on trying while the server is away; 0: DefaultPatience, negative: one attempt
	MaxDelay    time.Duration    // longest pause between two attempts; 0: DefaultMaxDelay
	Timeout     time.Duration    // for one attempt of a call; 0: DefaultTimeout. Transfers of content have no limit but must move.
	Clock       func() time.Time // this machine's, if another than time.Now
	Log         *slog.Logger     // retries are logged at debug level; nil: nowhere
}

// Client calls services. Make one with New or FromEnv.
type Client struct {
	root        *url.URL
	direct      *url.URL // where requests with credentials of their own go; nil: to root
	credentials hawk.Credentials
	source      func() hawk.Credentials // instead of credentials; nil: none
	calls       *http.Client            // with a limit for each attempt
	bulk        *http.Client            // content: no limit, the transfer watches its progress
	patience    time.Duration
	maxDelay    time.Duration
	log         *slog.Logger
	clock       *clock
}

// New checks the configuration and returns a client. It makes no call.
func New(cfg Config) (*Client, error) {
	root, err := parseRoot(cfg.RootURL)
	if err != nil {
		return nil, err
	}
	var direct *url.URL
	if cfg.DirectURL != "" {
		if direct, err = parseRoot(cfg.DirectURL); err != nil {
			return nil, err
		}
	}
	c := &Client{
		root: root, direct: direct, credentials: cfg.Credentials, log: cfg.Log,
		patience: orDefault(cfg.Patience, DefaultPatience), maxDelay: orDefault(cfg.MaxDelay, DefaultMaxDelay),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.clock = &clock{here: cfg.Clock, log: c.log}
	if cfg.Clock == nil {
		c.clock.here = time.Now
	}
	base := http.Client{}
	if cfg.HTTP != nil {
		base = *cfg.HTTP
	}
	if base.Transport == nil {
		base.Transport = newTransport()
	}
	base.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	calls, bulk := base, base
	calls.Timeout, bulk.Timeout = orDefault(cfg.Timeout, DefaultTimeout), 0
	c.calls, c.bulk = &calls, &bulk
	return c, nil
}

func parseRoot(address string) (*url.URL, error) {
	root, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || root.Scheme != "http" && root.Scheme != "https" || root.Host == "" {
		return nil, fault.New(fault.Invalid, "root URL %q must be of the form https://host", address)
	}
	root.User, root.RawQuery, root.Fragment = nil, "", ""
	return root, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone() // always of this type: nothing here replaces it
	t.MaxIdleConnsPerHost = 32
	t.ResponseHeaderTimeout = 2 * time.Minute
	t.DisableCompression = true // sizes, ranges and hashes speak of the bytes as sent
	return t
}

// FromEnv returns a client for the server and the credentials that the variables
// TASKCLUSTER_ROOT_URL, TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and
// TASKCLUSTER_CERTIFICATE name; where they name no credentials, those that "treeline signin" stored
// are taken. Inside a task with a proxy (TASKCLUSTER_PROXY_URL and no credentials) calls go through
// the proxy.
func FromEnv(log *slog.Logger) (*Client, error) {
	cfg := Config{RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"), Log: log, Credentials: hawk.Credentials{
		ClientID:    os.Getenv("TASKCLUSTER_CLIENT_ID"),
		AccessToken: os.Getenv("TASKCLUSTER_ACCESS_TOKEN"),
		Certificate: os.Getenv("TASKCLUSTER_CERTIFICATE"),
	}}
	if proxy := os.Getenv("TASKCLUSTER_PROXY_URL"); proxy != "" && cfg.Credentials.ClientID == "" {
		cfg.RootURL, cfg.DirectURL = proxy, cfg.RootURL
	}
	if err := remember(&cfg); err != nil {
		return nil, err
	}
	if cfg.RootURL == "" {
		return nil, fault.New(fault.Invalid, "TASKCLUSTER_ROOT_URL is not set: set it to the server's URL (treeline dev writes it to DATA/env), or run \"treeline signin URL\"")
	}
	return New(cfg)
}

// RootURL returns the server's root URL without a trailing slash.
func (c *Client) RootURL() string { return c.root.String() }

// Credentials returns what calls are signed with.
func (c *Client) Credentials() hawk.Credentials {
	if c.source != nil {
		return c.source()
	}
	return c.credentials
}

// WithSource returns a client that asks for the credentials to sign with before every attempt: for those that
// are renewed while the client is in use. source is called concurrently.
func (c *Client) WithSource(source func() hawk.Credentials) *Client {
	d := c.WithCredentials(source())
	d.source = source
	return d
}

// WithCredentials returns a client that signs with other credentials. A client of a task proxy goes
// past it then: the proxy would sign with the task's.
func (c *Client) WithCredentials(creds hawk.Credentials) *Client {
	d := *c
	d.credentials, d.source = creds, nil
	if c.direct != nil && creds.ClientID != "" {
		d.root, d.direct = c.direct, nil
	}
	return &d
}

// WithPatience returns a client that goes on trying for the given time while the server is away;
// negative means a single attempt.
func (c *Client) WithPatience(patience time.Duration) *Client {
	d := *c
	d.patience = patience
	return &d
}

// Path joins segments to a path, each one escaped, slashes in them included.
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// URL returns the address of an endpoint; path starts with a slash and is escaped already.
func (c *Client) URL(service, path string, query url.Values) string {
	u := c.RootURL() + "/api/" + service + "/v1" + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// Call makes one call of an endpoint: path starts with a slash and is escaped already (see Path);
// in, unless nil, is sent as JSON; the reply is decoded into out unless that is nil. A redirect
// counts as success and its JSON body is decoded. Every endpoint of the API may be repeated, so
// calls are retried whatever their method.
func (c *Client) Call(ctx context.Context, service, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("client: %s %s: encode: %w", method, path, err)
		}
	}
	reply, err := c.CallRaw(ctx, method, c.URL(service, path, query), body)
	if err != nil {
		return err
	}
	if out == nil || len(bytes.TrimSpace(reply.Body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(reply.Body, out); err != nil {
		return fmt.Errorf("client: %s %s: the reply is not what was expected: %w", method, path, err)
	}
	return nil
}

// Reply is an answer as it came.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// CallRaw makes a signed call of any URL of the server with a JSON body (nil: none) and returns
// the answer unread. A status of 400 or more is an *Error.
func (c *Client) CallRaw(ctx context.Context, method, address string, body []byte) (*Reply, error) {
	x := exchange{method: method, url: address, header: http.Header{}, sign: true, via: c.calls}
	if body != nil {
		x.header.Set("Content-Type", "application/json")
		x.body = body
	}
	reply, err := c.exchange(ctx, x)
	if err != nil {
		return nil, err
	}
	if reply.Status >= 400 {
		return nil, newError(method, address, reply)
	}
	return reply, nil
}

// exchange is one request with its retries, the answer read to its end.
type exchange struct {
	method, url string
	header      http.Header
	body        any // nil, []byte or func() (io.Reader, error)
	sign        bool
	via         *http.Client
}

func (c *Client) exchange(ctx context.Context, x exchange) (*Reply, error) {
	reply := &Reply{}
	read := func(resp *http.Response) error {
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
		if err != nil {
			return err
		}
		if len(body) > maxReply {
			return errors.New("the reply is too large")
		}
		*reply = Reply{Status: resp.StatusCode, Header: resp.Header, Body: body}
		return nil
	}
	if err := c.do(ctx, x.via, x.method, x.url, x.header, x.body, x.sign, read); err != nil {
		return nil, err
	}
	return reply, nil
}
