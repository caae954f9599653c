// Package hg reads Mercurial repositories over HTTP, as hg serve, hgweb and hg.mozilla.org offer them: the
// heads of branches and bookmarks, and the files of a revision (vcs-integration 2.1, 2.2). Nothing is
// cloned and no hg is run.
//
// What a server answers is bounded in size, and each request in time. A server that does not answer, or
// not sensibly, is a fault.Unavailable.
package hg

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Options says how a server is reached. The zero value is right for a server with a certificate that the
// machine trusts.
type Options struct {
	// RootCAs are trusted in place of the machine's.
	RootCAs *x509.CertPool

	// Fingerprints are SHA-256 of certificates, in hexadecimal, with or without colons and "sha256:". When
	// there are any, the server must show one of these certificates, whoever signed it.
	Fingerprints []string

	// Timeout is for each try of a request, its answer included; 30 seconds when zero.
	Timeout time.Duration

	// HostConnections is how many requests the server is asked at once; 4 when zero.
	HostConnections int
}

// Bounds on what is read from a server.
const (
	maxDocument = 32 << 20 // a list of branches, or of a directory
	maxFile     = 16 << 20 // a file of a tree: nothing that describes work is larger
	maxKeptFile = 1 << 20  // a file that is remembered without having been prefetched
	maxPrefetch = 64 << 20 // what Prefetch keeps
	maxHeader   = 64 << 10 // the headers of an answer
	maxEntries  = 100_000  // files of an archive
	maxPath     = 4096     // the name of a file
	maxDepth    = 100
	maxPerHost  = 4 // requests at once
	maxRedirect = 5
	maxAgain    = 2
)

// Repo is a Mercurial repository behind a URL. It is safe for concurrent use.
type Repo struct {
	url       string // without a slash at the end
	servers   *Servers
	http      *retryablehttp.Client
	noPushlog atomic.Bool // the server keeps none
	noArchive atomic.Bool // the server makes none
}

// Open makes a reader of the repository at an address such as https://hg.mozilla.org/mozilla-central. It
// asks the server nothing.
func Open(address string, o Options) (*Repo, error) { return NewServers(0).Open(address, o) }

// Open is as Open of the package, with the connections and the memory that s shares.
func (s *Servers) Open(address string, o Options) (*Repo, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "%q is no address of a Mercurial repository; expected one like https://hg.example.com/repo", address)
	}
	config, err := o.tls()
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	c := retryablehttp.NewClient()
	c.Logger, c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = nil, maxAgain, 200*time.Millisecond, 2*time.Second
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.HTTPClient = &http.Client{
		Timeout: o.Timeout, CheckRedirect: sameServer,
		Transport: s.transport(u.Scheme+"://"+u.Host, o, config),
	}
	return &Repo{url: strings.TrimSuffix(u.String(), "/"), servers: s, http: c}, nil
}

func (o Options) tls() (*tls.Config, error) {
	config := &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	var pins []string
	for _, f := range o.Fingerprints {
		pin := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(f, "sha256:"), ":", ""))
		if raw, err := hex.DecodeString(pin); err != nil || len(raw) != sha256.Size {
			return nil, fault.New(fault.Invalid, "fingerprint %q is not the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons", f)
		}
		pins = append(pins, pin)
	}
	if len(pins) > 0 {
		config.InsecureSkipVerify = true // the pin says more than a signature; it is verified below
		config.VerifyConnection = func(s tls.ConnectionState) error {
			shown := sha256.Sum256(s.PeerCertificates[0].Raw)
			if !slices.Contains(pins, hex.EncodeToString(shown[:])) {
				return fmt.Errorf("the server shows the certificate sha256:%x, which is none of those that are expected", shown)
			}
			return nil
		}
	}
	return config, nil
}

// sameServer follows redirects within a server, and from http to https there: another port may be another
// service, which only we can reach.
func sameServer(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirect:
		return errors.New("it redirects again and again")
	case first.Scheme == "https" && r.URL.Scheme != "https":
		return errors.New("it redirects from https to http")
	case r.URL.Host == first.Host:
		return nil
	case r.URL.Hostname() == first.Hostname() && first.Port() == "" && r.URL.Port() == "":
		return nil
	}
	return fmt.Errorf("it redirects to another server, %s; name that one instead", r.URL.Host)
}

// status is an answer that is not 200.
type status struct {
	code int
	text string
}

func (e *status) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

// get opens an answer of 200; another one is a *status within the error.
func (r *Repo) get(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := r.ask(ctx, path, "")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// ask is get with the headers of the answer. With the etag of an earlier answer, the server may say that
// nothing changed: status 304.
func (r *Repo) ask(ctx context.Context, path, etag string) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		return nil, fmt.Errorf("hg: %w", err)
	}
	req.Header.Set("User-Agent", "treeline")
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("hg: %s: %w", r.url, ctx.Err())
		}
		return nil, fault.Wrap(fault.Unavailable, err, "The Mercurial server of %s does not answer", r.url)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotModified && etag != "" {
		return resp, nil
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // as much as there is
	bad := &status{code: resp.StatusCode, text: strings.TrimSpace(string(said))}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return nil, fault.Wrap(fault.Unavailable, bad, "The Mercurial server of %s answers with an error (status %d)", r.url, resp.StatusCode)
	}
	return nil, fmt.Errorf("hg: %s%s: %w", r.url, path, bad)
}

// bytes reads an answer whole.
func (r *Repo) bytes(ctx context.Context, path string, limit int64) ([]byte, error) {
	body, err := r.get(ctx, path)
	if err != nil {
		return nil, err
	}
	return r.whole(body, path, limit)
}

// whole reads an answer to its end.
func (r *Repo) whole(body io.ReadCloser, path string, limit int64) ([]byte, error) {
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "An answer of the Mercurial server of %s broke off", r.url)
	}
	if int64(len(text)) > limit {
		return nil, fault.New(fault.TooLarge, "%s%s has more than %d bytes", r.url, path, limit)
	}
	return text, nil
}

// json reads an answer in JSON.
func (r *Repo) json(ctx context.Context, path string, into any) error {
	text, err := r.bytes(ctx, path, maxDocument)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s does not answer as a Mercurial server does", r.url)
	}
	return nil
}

// Answered reports whether an error is about what a server answered: it is there.
func Answered(err error) bool {
	_, ok := errors.AsType[*status](err)
	return ok
}

// missing reports whether a server said that it has no such thing.
func missing(err error) bool {
	bad, ok := errors.AsType[*status](err)
	return ok && bad.code >= 400 && bad.code < 500
}

var fullNode = regexp.MustCompile(`^[0-9a-f]{40}$`)

func checkNode(revision string) error {
	if !fullNode.MatchString(revision) {
		return fault.New(fault.Invalid, "%q is not the full id of a changeset: 40 hexadecimal digits", revision)
	}
	return nil
}

// Heads returns the tip of every branch that is not closed, and of every bookmark: as for Mercurial
// itself, the name of a bookmark goes before the same name of a branch.
func (r *Repo) Heads(ctx context.Context) (map[string]string, error) {
	var branches []struct{ Branch, Node, Status string }
	if err := r.list(ctx, "branches", &branches); err != nil {
		return nil, err
	}
	var bookmarks []struct{ Bookmark, Node string }
	if err := r.list(ctx, "bookmarks", &bookmarks); err != nil {
		return nil, err
	}
	heads := map[string]string{}
	for _, b := range branches {
		if b.Status != "closed" && fullNode.MatchString(b.Node) {
			heads[b.Branch] = b.Node
		}
	}
	for _, b := range bookmarks {
		if fullNode.MatchString(b.Node) {
			heads[b.Bookmark] = b.Node
		}
	}
	return heads, nil
}

// list reads a list that servers give bare or, by version, as a member of an object.
func (r *Repo) list(ctx context.Context, name string, into any) error {
	var raw json.RawMessage
	if err := r.json(ctx, "/json-"+name, &raw); err != nil {
		return fmt.Errorf("hg: %s: %w", name, err)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		raw = object[name]
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s does not answer as a Mercurial server does: %s", r.url, name)
	}
	return nil
}

// Has reports whether the repository has a changeset; false also when that cannot be asked.
func (r *Repo) Has(ctx context.Context, revision string) bool {
	if checkNode(revision) != nil {
		return false
	}
	known, err := r.bytes(ctx, "?cmd=known&nodes="+revision, 100)
	return err == nil && strings.TrimSpace(string(known)) == "1"
}
