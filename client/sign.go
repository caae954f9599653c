package client

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
)

// signer signs every attempt anew, so that a retry long after the first attempt does not carry a
// stale time stamp.
type signer struct {
	source func() hawk.Credentials
	clock  *clock
	next   http.RoundTripper
}

// signError says that the credentials themselves are unusable.
type signError struct{ error }

func (e *signError) Unwrap() error { return e.error }

// RoundTrip signs a copy of the request. One that is refused by a server whose clock turns out to be another is signed
// again by that clock, once.
func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	credentials := s.source()
	if credentials.ClientID == "" {
		return s.next.RoundTrip(req)
	}
	answer, err := s.once(req, req.Body, credentials)
	if err != nil || !s.clock.learn(answer) || answer.StatusCode != http.StatusUnauthorized {
		return answer, err
	}
	body := req.Body
	if body != nil && body != http.NoBody {
		if req.GetBody == nil {
			return answer, nil
		}
		if body, err = req.GetBody(); err != nil {
			return answer, nil //nolint:nilerr // the refusal is an answer
		}
	}
	_ = answer.Body.Close() // nobody reads it
	return s.once(req, body, credentials)
}

func (s *signer) once(req *http.Request, body io.ReadCloser, credentials hawk.Credentials) (*http.Response, error) {
	ext, err := hawk.Ext(credentials)
	if err != nil {
		return nil, &signError{err}
	}
	header, err := hawk.Header(credentials, req.Method, req.URL.String(), s.clock.now(), hawk.Nonce(), ext, "")
	if err != nil {
		return nil, &signError{err}
	}
	signed := req.Clone(req.Context())
	signed.Body = body
	signed.Header.Set("Authorization", header)
	return s.next.RoundTrip(signed)
}

// Transport returns a transport that signs what it sends with the client's credentials: for
// proxies, which do their own retries or none.
func (c *Client) Transport() http.RoundTripper {
	return &signer{source: c.Credentials, clock: c.clock, next: c.bulk.Transport}
}

// Sign returns a round tripper that signs requests with the client's credentials and hands them to next.
func (c *Client) Sign(next http.RoundTripper) http.RoundTripper {
	return &signer{source: c.Credentials, clock: c.clock, next: next}
}

// SignURL returns the address with a signature in it (a bewit), which lets whoever holds it GET
// the address until it expires, with the client's scopes.
func (c *Client) SignURL(address string, valid time.Duration) (string, error) {
	signed, err := hawk.SignURL(c.Credentials(), address, c.Now().Add(valid))
	if err != nil {
		return "", fmt.Errorf("client: sign %s: %w", redacted(address), err)
	}
	return signed, nil
}
