// Package hawk signs and verifies requests the Hawk way, with SHA-256: in an Authorization header or, for
// links, in a "bewit" query parameter. It also makes and checks temporary credentials, which travel in
// Hawk's ext field (taskcluster-map 4.6 to 4.8).
//
// The package is pure: the caller gives the time, the keys and the request, and nothing is remembered
// between calls, so everything is safe for concurrent use. Failed checks are faults of kind
// Unauthenticated whose text tells what was wrong and never contains a key or a token.
package hawk

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Skew is how far a request's time stamp may be from the server's clock, either way.
const Skew = 15 * time.Minute

// maxText bounds headers and URLs that are parsed, in bytes: certificates list scopes and grow long.
const maxText = 64 << 10

// Request is what a signature covers besides its own fields.
type Request struct {
	Method   string // any case
	Resource string // path and query exactly as sent
	Host     string // without port; brackets around an IPv6 address do not matter
	Port     int
}

// fields are the parts of a MAC that come from the header or the bewit.
type fields struct {
	kind  string // "header" or "bewit"
	ts    int64  // seconds since 1970
	nonce string
	hash  string
	ext   string
	app   string
	dlg   string
}

// mac computes the message authentication code in base64.
func mac(key string, f fields, r Request) string {
	var b strings.Builder
	host := strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
	for _, line := range []string{
		"hawk.1." + f.kind, strconv.FormatInt(f.ts, 10), f.nonce, strings.ToUpper(r.Method), r.Resource,
		strings.ToLower(host), strconv.Itoa(r.Port), f.hash,
		strings.ReplaceAll(strings.ReplaceAll(f.ext, `\`, `\\`), "\n", `\n`),
	} {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	if f.app != "" {
		b.WriteString(f.app + "\n" + f.dlg + "\n")
	}
	sum := hmac.New(sha256.New, []byte(key))
	sum.Write([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// PayloadHash is the value of a header's hash for a body. Of the content type only the part before a
// semicolon counts, in lower case.
func PayloadHash(contentType string, body []byte) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	sum := sha256.New()
	sum.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(mediaType)) + "\n"))
	sum.Write(body)
	sum.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// VerifyPayload compares the hash a header carried with the body received. An empty hash accepts any
// body: it is the client's choice to protect it.
func VerifyPayload(hash, contentType string, body []byte) error {
	if hash == "" || equal(hash, PayloadHash(contentType, body)) {
		return nil
	}
	return failf("Hawk payload hash does not match the body")
}

// Nonce returns a fresh random nonce.
func Nonce() string { return rand.Text()[:10] }

// target takes the signed parts out of an absolute URL.
func target(method, rawURL string) (Request, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Request{}, fault.Wrap(fault.Invalid, err, "hawk: the URL to sign cannot be parsed")
	}
	port := 443
	if u.Scheme == "http" {
		port = 80
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil {
			return Request{}, fault.Wrap(fault.Invalid, err, "hawk: the URL to sign has a bad port")
		}
	}
	if u.Hostname() == "" {
		return Request{}, fault.New(fault.Invalid, "hawk: the URL to sign has no host")
	}
	return Request{Method: method, Resource: u.RequestURI(), Host: u.Hostname(), Port: port}, nil
}

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

func failf(format string, args ...any) error {
	return fault.New(fault.Unauthenticated, format, args...)
}

// printable reports whether s is printable ASCII, which scopes must be: a line break in one could make
// two different certificates sign alike.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
