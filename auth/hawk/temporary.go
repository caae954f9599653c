package hawk

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
)

const (
	// MaxTemporary is the longest that temporary credentials may live.
	MaxTemporary = 31 * 24 * time.Hour
	// certificateSkew is how wrong the clock of the issuer may be.
	certificateSkew = 5 * time.Minute
	seedLength      = 44
)

// Certificate is what makes temporary credentials verifiable with nothing but the issuer's token
// (taskcluster-map 4.7).
type Certificate struct {
	Version   int      `json:"version"`
	Scopes    []string `json:"scopes"`
	Start     int64    `json:"start"`  // ms since 1970
	Expiry    int64    `json:"expiry"` // ms since 1970
	Seed      string   `json:"seed"`
	Signature string   `json:"signature"`
	Issuer    string   `json:"issuer,omitempty"` // only of named credentials
}

// ParseCertificate reads a certificate and checks its shape, not its signature.
func ParseCertificate(data []byte) (Certificate, error) {
	var w struct {
		Certificate
		ClientID json.RawMessage `json:"clientId"`
		Issuer   json.RawMessage `json:"issuer"` // also when it is null, or empty
	}
	if err := jsonv1.Unmarshal(data, &w); err != nil {
		if jsonv1.Unmarshal(data, &map[string]json.RawMessage{}) != nil {
			return Certificate{}, failf("Bad certificate: it is not a JSON object")
		}
		return Certificate{}, failf("Bad certificate: its fields have the wrong types")
	}
	c := w.Certificate
	if w.Issuer != nil && jsonv1.Unmarshal(w.Issuer, &c.Issuer) != nil {
		return Certificate{}, failf("Bad certificate: its fields have the wrong types")
	}
	switch {
	case w.ClientID != nil:
		return Certificate{}, failf("Bad certificate: it must not contain a clientId")
	case w.Issuer != nil && c.Issuer == "":
		return Certificate{}, failf("Bad certificate: the issuer is empty")
	}
	return c, c.check()
}

// check says what is wrong with the fields of a certificate, whoever made it.
func (c Certificate) check() error {
	switch {
	case c.Version != 1:
		return failf("Bad certificate: its version must be 1")
	case c.Scopes == nil:
		return failf("Bad certificate: scopes must be an array")
	case slices.ContainsFunc(c.Scopes, func(s string) bool { return !printable(s) }):
		return failf("Bad certificate: scopes must be printable ASCII")
	case len(c.Seed) != seedLength || !printable(c.Seed):
		return failf("Bad certificate: the seed must have %d characters", seedLength)
	case c.Signature == "":
		return failf("Bad certificate: the signature is missing")
	case c.Start < 0 || c.Expiry < 0 || c.Start > maxSeconds*1000 || c.Expiry > maxSeconds*1000:
		return failf("Bad certificate: start and expiry must be times in ms since 1970")
	}
	return nil
}

// Named reports whether the credentials chose their own client id.
func (c Certificate) Named() bool { return c.Issuer != "" }

// IssuerOf returns the client whose token signed the certificate of credentials with the given id.
func (c Certificate) IssuerOf(clientID string) string {
	if c.Named() {
		return c.Issuer
	}
	return clientID
}

// sign computes the signature; clientID counts for named credentials only.
func (c Certificate) sign(issuerToken, clientID string) string {
	var b strings.Builder
	b.WriteString("version:1\n")
	if c.Named() {
		b.WriteString("clientId:" + clientID + "\nissuer:" + c.Issuer + "\n")
	}
	b.WriteString("seed:" + c.Seed + "\nstart:" + strconv.FormatInt(c.Start, 10) +
		"\nexpiry:" + strconv.FormatInt(c.Expiry, 10) + "\nscopes:\n" + strings.Join(c.Scopes, "\n"))
	sum := hmac.New(sha256.New, []byte(issuerToken))
	sum.Write([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// AccessToken returns the temporary token that goes with the certificate.
func (c Certificate) AccessToken(issuerToken string) string {
	sum := hmac.New(sha256.New, []byte(issuerToken))
	sum.Write([]byte(c.Seed))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// Verify checks the certificate of credentials with the given client id against the issuer's token and
// the clock. That the issuer may give these scopes and this name is for the caller to check.
func (c Certificate) Verify(clientID, issuerToken string, now time.Time) error {
	start, expiry := time.UnixMilli(c.Start), time.UnixMilli(c.Expiry)
	switch {
	case c.Named() && c.Issuer == clientID:
		return failf("Bad certificate: the issuer must differ from the client id")
	case start.After(now.Add(certificateSkew)):
		return failf("Temporary credentials are not valid yet: they start at %s", start.UTC().Format(time.RFC3339))
	case expiry.Before(now.Add(-certificateSkew)):
		return failf("Temporary credentials expired at %s", expiry.UTC().Format(time.RFC3339))
	case expiry.Sub(start) > MaxTemporary:
		return failf("Temporary credentials must not live longer than %d days", int(MaxTemporary.Hours()/24))
	case !equal(c.sign(issuerToken, clientID), c.Signature):
		return failf("Bad certificate: the signature does not match")
	}
	return nil
}

// TempOptions say what temporary credentials shall be.
type TempOptions struct {
	ClientID string // chosen name; "" makes unnamed credentials, which act as the issuer
	Scopes   []string
	Start    time.Time
	Expiry   time.Time
	Seed     string // 44 characters; "" draws one
}

// CreateTemporary makes temporary credentials without asking a server. The issuer must be permanent;
// whether it holds the scopes, and auth:create-client:<name> for named ones, shows when they are used.
func CreateTemporary(issuer Credentials, o TempOptions) (Credentials, error) {
	switch {
	case issuer.ClientID == "" || issuer.AccessToken == "":
		return Credentials{}, fault.New(fault.Invalid, "hawk: temporary credentials need an issuer with a token")
	case issuer.Certificate != "":
		return Credentials{}, fault.New(fault.Invalid, "hawk: temporary credentials cannot make further ones")
	case o.Expiry.Sub(o.Start) > MaxTemporary:
		return Credentials{}, fault.New(fault.Invalid, "hawk: temporary credentials must not live longer than %d days", int(MaxTemporary.Hours()/24))
	case o.ClientID == issuer.ClientID:
		return Credentials{}, fault.New(fault.Invalid, "hawk: temporary credentials must not be named as their issuer")
	}
	c := Certificate{Version: 1, Scopes: slices.Clone(o.Scopes), Start: o.Start.UnixMilli(), Expiry: o.Expiry.UnixMilli(), Seed: o.Seed}
	if c.Scopes == nil {
		c.Scopes = []string{}
	}
	if c.Seed == "" {
		c.Seed = slug.New() + slug.New()
	}
	out := Credentials{ClientID: issuer.ClientID}
	if o.ClientID != "" {
		c.Issuer, out.ClientID = issuer.ClientID, o.ClientID
	}
	c.Signature = c.sign(issuer.AccessToken, out.ClientID)
	if err := c.check(); err != nil {
		return Credentials{}, fault.Wrap(fault.Invalid, err, "hawk: temporary credentials")
	}
	out.AccessToken = c.AccessToken(issuer.AccessToken)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(c); err != nil {
		return Credentials{}, fault.Wrap(fault.Internal, err, "hawk: write certificate")
	}
	out.Certificate = strings.TrimSuffix(b.String(), "\n")
	return out, nil
}
