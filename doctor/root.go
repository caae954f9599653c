package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
)

// Root is what the checks from outside need to know.
type Root struct {
	URL     string           // of the deployment
	Version string           // of this program; "" when it need not be the same
	Self    hawk.Credentials // of a client of the deployment, by which it is known again; none when it has no id
	Trust   *x509.CertPool   // who signs certificates; nil: whom the system trusts

	at time.Time // at the deployment, for signatures
}

const (
	certificateEarly = 21 * 24 * time.Hour
	maxAnswer        = 1 << 20
)

// Checks are those of the root URL.
func (r Root) Checks() []Check {
	skip := ""
	if r.URL == "" {
		skip = "no root URL is given"
	}
	return []Check{
		{Name: "root URL", Skip: skip, Look: r.address},
		{Name: "certificate", Skip: skip, Look: r.certificate},
		{Name: "health", Skip: skip, Look: r.health},
		{Name: "deployment", Skip: skip, Look: r.deployment},
	}
}

func (r Root) client() *http.Client {
	return &http.Client{
		Timeout:       Limit,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: r.Trust, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// local reports whether only this machine reaches an address.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// get asks for a path; the header is signed by the credentials, if there are any.
func (r Root) get(ctx context.Context, path string, signed bool) (status int, header http.Header, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.URL, "/")+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	if signed {
		sign, err := hawk.Header(r.Self, http.MethodGet, request.URL.String(), r.at, hawk.Nonce(), "", "")
		if err != nil {
			return 0, nil, nil, err
		}
		request.Header.Set("Authorization", sign)
	}
	answer, err := r.client().Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return answer.StatusCode, answer.Header, body, err
}

func (r Root) address(ctx context.Context) ([]Finding, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		return []Finding{Found("root-missing", "the root URL %q has no host", r.URL)}, nil
	}
	var found []Finding
	if u.Scheme != "https" && !local(u.Hostname()) {
		found = append(found, Found("root-http", "the root URL is %s", r.URL))
	}
	began := time.Now()
	status, header, _, err := r.get(ctx, "/__lbheartbeat__", false)
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return found, nil // is the certificate's check
	}
	if err != nil {
		return append(found, Found("root-unreachable", "%s: %v", r.URL, err)), nil
	}
	if status >= 300 {
		found = append(found, Found("root-unreachable", "%s/__lbheartbeat__ answers %d", r.URL, status))
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		if by := Skew(began, time.Now(), date, time.Second); by > maxSkew {
			found = append(found, Found("clock-root", "the clock at %s is %v away from this machine's", r.URL, by.Round(time.Second)))
		}
	}
	return found, nil
}

func (r Root) certificate(ctx context.Context) ([]Finding, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" {
		return nil, nil //nolint:nilerr // the check of the address says it
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	dialer := tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), RootCAs: r.Trust, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if refused, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return []Finding{Found("tls-expired", "the certificate of %s is not good: %v", u.Host, refused.Err)}, nil
	}
	if err != nil {
		return nil, nil //nolint:nilerr // the check of the address says it
	}
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil, nil
	}
	if leaf := secure.ConnectionState().PeerCertificates[0]; time.Until(leaf.NotAfter) < certificateEarly {
		return []Finding{Found("tls-ends-soon", "the certificate of %s ends at %s", u.Host, leaf.NotAfter.UTC().Format(time.RFC3339))}, nil
	}
	return nil, nil
}

func (r Root) health(ctx context.Context) ([]Finding, error) {
	status, _, body, err := r.get(ctx, "/__heartbeat__", false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL, err)
	}
	if status >= 300 {
		text := strings.TrimSpace(string(body))
		return []Finding{Found("root-unhealthy", "%s/__heartbeat__ answers %d: %.300s", r.URL, status, text)}, nil
	}
	return nil, nil
}

// deployment looks whether what answers is the deployment whose secrets are here.
func (r Root) deployment(ctx context.Context) ([]Finding, error) {
	status, header, body, err := r.get(ctx, "/__version__", false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.URL, err)
	}
	var version struct{ Version, Source string }
	if status >= 300 || json.Unmarshal(body, &version) != nil || version.Version == "" {
		return []Finding{Found("root-stranger", "%s is no Treeline: /__version__ answers %d", r.URL, status)}, nil
	}
	var found []Finding
	if r.Version != "" && version.Version != r.Version {
		found = append(found, Found("root-version", "%s runs version %s, and this program is %s", r.URL, version.Version, r.Version))
	}
	if r.Self.ClientID == "" {
		return found, nil
	}
	if r.at, err = http.ParseTime(header.Get("Date")); err != nil { // whose clock is wrong is another check's
		r.at = time.Now()
	}
	status, _, body, err = r.get(ctx, "/api/auth/v1/scopes/current", true)
	switch {
	case err != nil:
		return found, fmt.Errorf("%s: %w", r.URL, err)
	case status == http.StatusUnauthorized:
		found = append(found, Found("root-stranger", "%s does not know the client %s of this deployment by its token: %.300s", r.URL, r.Self.ClientID, body))
	case status >= 300:
		return found, fmt.Errorf("%s answers %d to who we are: %.300s", r.URL, status, body)
	}
	return found, nil
}
