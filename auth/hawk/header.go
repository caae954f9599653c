package hawk

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Authorization is a parsed Authorization header of scheme Hawk.
type Authorization struct {
	ID    string
	TS    int64 // seconds since 1970
	Nonce string
	MAC   string
	Hash  string // payload hash; "" when the client did not hash the body
	Ext   string
	App   string
	Dlg   string
}

var (
	// attribute matches one name="value" pair with the separator after it.
	attribute = regexp.MustCompile(`^(\w+)="([^"\\]*)"\s*(?:,\s*|$)`)
	// attributeValue is what Hawk allows between the quotes; not nothing.
	attributeValue = regexp.MustCompile("^[ \\w!#$%&'()*+,\\-./:;<=>?@\\[\\]^`{|}~]+$")
)

// ParseAuthorization reads the value of an Authorization header.
func ParseAuthorization(header string) (Authorization, error) {
	if len(header) > maxText {
		return Authorization{}, failf("Authorization header is longer than %d bytes", maxText)
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "hawk") {
		return Authorization{}, failf("Authorization header is not of scheme Hawk")
	}
	var a Authorization
	ts := ""
	known := map[string]*string{
		"id": &a.ID, "ts": &ts, "nonce": &a.Nonce, "mac": &a.MAC, "hash": &a.Hash, "ext": &a.Ext, "app": &a.App, "dlg": &a.Dlg,
	}
	for rest = strings.TrimSpace(rest); rest != ""; {
		m := attribute.FindStringSubmatch(rest)
		if m == nil {
			return Authorization{}, failf("Bad Hawk header: not a list of name=\"value\" pairs")
		}
		field, ok := known[m[1]]
		switch {
		case !ok:
			return Authorization{}, failf("Bad Hawk header: unknown attribute %s", m[1])
		case *field != "":
			return Authorization{}, failf("Bad Hawk header: attribute %s is repeated", m[1])
		case !attributeValue.MatchString(m[2]):
			return Authorization{}, failf("Bad Hawk header: attribute %s is empty or has characters that are not allowed", m[1])
		}
		*field = m[2]
		rest = rest[len(m[0]):]
	}
	if a.ID == "" || ts == "" || a.Nonce == "" || a.MAC == "" {
		return Authorization{}, failf("Bad Hawk header: id, ts, nonce and mac are required")
	}
	seconds, err := strconv.ParseInt(ts, 10, 64)
	if err != nil || seconds < 0 || seconds > maxSeconds {
		return Authorization{}, failf("Bad Hawk header: ts must be a time in seconds since 1970")
	}
	a.TS = seconds
	return a, nil
}

// maxSeconds keeps times within what time.Time and JSON numbers hold exactly.
const maxSeconds = 1 << 40

// Verify checks the signature with the key that belongs to a.ID, then the time stamp.
func (a Authorization) Verify(key string, r Request, now time.Time) error {
	f := fields{kind: "header", ts: a.TS, nonce: a.Nonce, hash: a.Hash, ext: a.Ext, app: a.App, dlg: a.Dlg}
	if !equal(mac(key, f, r), a.MAC) {
		return failf("Bad mac: the access token or the signed request differs from what the server has")
	}
	if d := now.Sub(time.Unix(a.TS, 0)); d > Skew || d < -Skew {
		return failf("Stale timestamp: the clocks of client and server differ by more than %d minutes", int(Skew.Minutes()))
	}
	return nil
}

// Header signs a request to an absolute URL and returns the value of its Authorization header. ext is
// normally Ext(creds); payloadHash is "" or from PayloadHash.
func Header(creds Credentials, method, rawURL string, ts time.Time, nonce, ext, payloadHash string) (string, error) {
	r, err := target(method, rawURL)
	if err != nil {
		return "", err
	}
	for _, v := range []string{creds.ClientID, nonce} {
		if !attributeValue.MatchString(v) {
			return "", fault.New(fault.Invalid, "hawk: client id and nonce must be printable and not empty")
		}
	}
	f := fields{kind: "header", ts: ts.Unix(), nonce: nonce, hash: payloadHash, ext: ext}
	var b strings.Builder
	b.WriteString(`Hawk id="` + creds.ClientID + `", ts="` + strconv.FormatInt(f.ts, 10) + `", nonce="` + nonce)
	if payloadHash != "" {
		b.WriteString(`", hash="` + payloadHash)
	}
	if ext != "" {
		b.WriteString(`", ext="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(ext))
	}
	b.WriteString(`", mac="` + mac(creds.AccessToken, f, r) + `"`)
	return b.String(), nil
}
