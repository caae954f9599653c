package hawk

import (
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
	for rest = strings.TrimSpace(rest); rest != ""; {
		name, value, after, ok := attribute(rest)
		if !ok {
			return Authorization{}, failf("Bad Hawk header: not a list of name=\"value\" pairs")
		}
		field := a.field(name, &ts)
		switch {
		case field == nil:
			return Authorization{}, failf("Bad Hawk header: unknown attribute %s", name)
		case *field != "":
			return Authorization{}, failf("Bad Hawk header: attribute %s is repeated", name)
		case value == "" || strings.IndexFunc(value, notAllowed) >= 0:
			return Authorization{}, failf("Bad Hawk header: attribute %s is empty or has characters that are not allowed", name)
		}
		*field, rest = value, after
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

// attribute cuts one name="value" pair from the front of a header, with the comma after it.
func attribute(text string) (name, value, rest string, ok bool) {
	name, rest, ok = strings.Cut(text, `="`)
	if !ok || name == "" || strings.IndexFunc(name, notWord) >= 0 {
		return "", "", "", false
	}
	value, rest, ok = strings.Cut(rest, `"`)
	if !ok || strings.Contains(value, `\`) {
		return "", "", "", false
	}
	if rest = strings.TrimLeft(rest, blanks); rest == "" {
		return name, value, "", true
	}
	rest, ok = strings.CutPrefix(rest, ",")
	return name, value, strings.TrimLeft(rest, blanks), ok
}

const blanks = "\t\n\f\r "

// field is where the value of an attribute belongs; nil for one that Hawk does not know.
func (a *Authorization) field(name string, ts *string) *string {
	switch name {
	case "id":
		return &a.ID
	case "ts":
		return ts
	case "nonce":
		return &a.Nonce
	case "mac":
		return &a.MAC
	case "hash":
		return &a.Hash
	case "ext":
		return &a.Ext
	case "app":
		return &a.App
	case "dlg":
		return &a.Dlg
	}
	return nil
}

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
}

// notAllowed tells what Hawk does not allow between the quotes.
func notAllowed(r rune) bool {
	return notWord(r) && !strings.ContainsRune(" !#$%&'()*+,-./:;<=>?@[]^`{|}~", r)
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
		if v == "" || strings.IndexFunc(v, notAllowed) >= 0 {
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
		b.WriteString(`", ext="` + strings.ReplaceAll(strings.ReplaceAll(ext, `\`, `\\`), `"`, `\"`))
	}
	b.WriteString(`", mac="` + mac(creds.AccessToken, f, r) + `"`)
	return b.String(), nil
}
