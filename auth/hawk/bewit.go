package hawk

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bewit is the parsed bewit parameter of a signed URL.
type Bewit struct {
	ID       string
	Exp      int64 // seconds since 1970
	MAC      string
	Ext      string
	Resource string // path and query as they were signed, without the bewit
}

// bewitParam finds the parameter; the greedy start makes it the last one.
var bewitParam = regexp.MustCompile(`^(/.*)([?&])bewit=([^&$]*)(?:&(.+))?$`)

// HasBewit reports whether the resource (path and query) carries a bewit parameter.
func HasBewit(resource string) bool {
	_, query, ok := strings.Cut(resource, "?")
	return ok && (strings.HasPrefix(query, "bewit=") || strings.Contains(query, "&bewit="))
}

// ParseBewit takes the bewit out of a resource that has one.
func ParseBewit(resource string) (Bewit, error) {
	if len(resource) > maxText {
		return Bewit{}, failf("URL is longer than %d bytes", maxText)
	}
	m := bewitParam.FindStringSubmatch(resource)
	if m == nil {
		return Bewit{}, failf("URL has no bewit that can be read")
	}
	value, err := url.QueryUnescape(m[3])
	if err != nil || value == "" {
		return Bewit{}, failf("Empty or badly escaped bewit")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return Bewit{}, failf("Bad bewit: not base64url")
	}
	parts := strings.Split(string(raw), `\`)
	if len(parts) != 4 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Bewit{}, failf("Bad bewit: it must hold id, expiry, mac and ext")
	}
	exp, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || exp < 0 || exp > maxSeconds {
		return Bewit{}, failf("Bad bewit: the expiry must be a time in seconds since 1970")
	}
	b := Bewit{ID: parts[0], Exp: exp, MAC: parts[2], Ext: parts[3], Resource: m[1]}
	if m[4] != "" {
		b.Resource += m[2] + m[4]
	}
	return b, nil
}

// Verify checks expiry and signature; r is the request as received, of which only GET and HEAD can be
// signed this way.
func (b Bewit) Verify(key string, r Request, now time.Time) error {
	if !strings.EqualFold(r.Method, "GET") && !strings.EqualFold(r.Method, "HEAD") {
		return failf("A bewit signs only GET requests, not %s", strings.ToUpper(r.Method))
	}
	if !now.Before(time.Unix(b.Exp, 0)) {
		return failf("Access expired: the bewit of this URL was valid until %s", time.Unix(b.Exp, 0).UTC().Format(time.RFC3339))
	}
	r.Method, r.Resource = "GET", b.Resource
	if !equal(mac(key, fields{kind: "bewit", ts: b.Exp, ext: b.Ext}, r), b.MAC) {
		return failf("Bad mac: the access token or the signed URL differs from what the server has")
	}
	return nil
}

// SignBewit returns the bewit for an absolute URL, valid until expires (whole seconds).
func SignBewit(creds Credentials, rawURL string, expires time.Time, ext string) (string, error) {
	r, err := target("GET", rawURL)
	if err != nil {
		return "", err
	}
	code := mac(creds.AccessToken, fields{kind: "bewit", ts: expires.Unix(), ext: ext}, r)
	text := creds.ClientID + `\` + strconv.FormatInt(expires.Unix(), 10) + `\` + code + `\` + ext
	return base64.RawURLEncoding.EncodeToString([]byte(text)), nil
}

// SignURL returns the absolute URL with a bewit of the credentials added, valid until expires.
func SignURL(creds Credentials, rawURL string, expires time.Time) (string, error) {
	ext, err := Ext(creds)
	if err != nil {
		return "", err
	}
	bewit, err := SignBewit(creds, rawURL, expires, ext)
	if err != nil {
		return "", err
	}
	if strings.Contains(rawURL, "?") {
		return rawURL + "&bewit=" + bewit, nil
	}
	return rawURL + "?bewit=" + bewit, nil
}
