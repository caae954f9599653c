package hawk_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
)

const address = "http://tc.example:8080/api/queue/v1/ping?x=1"

var (
	now    = time.Unix(1_800_000_000, 0)
	caller = hawk.Credentials{ClientID: "who", AccessToken: strings.Repeat("k", 44)}
	req    = hawk.Request{Method: "GET", Resource: "/api/queue/v1/ping?x=1", Host: "tc.example", Port: 8080}
)

func TestHeaderIsRefused(t *testing.T) {
	header, err := hawk.Header(caller, "GET", address, now, "n1", "", "")
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*hawk.Request)) hawk.Request { r := req; change(&r); return r }
	tests := []struct {
		name string
		key  string
		req  hawk.Request
		now  time.Time
		text string // part of the message, "" when it is accepted
	}{
		{"as signed", caller.AccessToken, req, now, ""},
		{"at 15 minutes late", caller.AccessToken, req, now.Add(hawk.Skew), ""},
		{"at 15 minutes early", caller.AccessToken, req, now.Add(-hawk.Skew), ""},
		{"past 15 minutes late", caller.AccessToken, req, now.Add(hawk.Skew + time.Second), "Stale timestamp"},
		{"past 15 minutes early", caller.AccessToken, req, now.Add(-hawk.Skew - time.Second), "Stale timestamp"},
		{"with another key", "x", req, now, "Bad mac"},
		{"for another method", caller.AccessToken, with(func(r *hawk.Request) { r.Method = "POST" }), now, "Bad mac"},
		{"for another path", caller.AccessToken, with(func(r *hawk.Request) { r.Resource = "/" }), now, "Bad mac"},
		{"for another host", caller.AccessToken, with(func(r *hawk.Request) { r.Host = "evil" }), now, "Bad mac"},
		{"for another port", caller.AccessToken, with(func(r *hawk.Request) { r.Port = 80 }), now, "Bad mac"},
		{"with the method in lower case", caller.AccessToken, with(func(r *hawk.Request) { r.Method = "get" }), now, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := hawk.ParseAuthorization(header)
			if err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, a.Verify(tt.key, tt.req, tt.now), tt.text)
		})
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	for _, bad := range []string{
		``, `Hawk`, `Basic abc`, `Hawk id="a", ts="1", nonce="n"`, `Hawk id="a", ts="x", nonce="n", mac="m"`, `Hawk id="a", id="b", ts="1", nonce="n", mac="m"`,
		`Hawk id="", ts="1", nonce="n", mac="m"`, `Hawk id="a", ts="-1", nonce="n", mac="m"`, `Hawk id="a", ts="1", nonce="n", mac="m", other="x"`,
		`Hawk id="a" ts="1" nonce="n" mac="m"`, `Hawk id=a, ts=1`, `Hawk id="é", ts="1", nonce="n", mac="m"`, `Hawk id="` + strings.Repeat("a", 70_000) + `"`,
	} {
		if _, err := hawk.ParseAuthorization(bad); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("ParseAuthorization(%.60q) = %v", bad, err)
		}
	}
}

func TestBewitIsRefused(t *testing.T) {
	signed, err := hawk.SignURL(caller, address, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	resource := strings.TrimPrefix(signed, "http://tc.example:8080")
	tests := []struct {
		name, resource, method string
		now                    time.Time
		text                   string
	}{
		{"as signed", resource, "GET", now, ""},
		{"with HEAD", resource, "HEAD", now, ""},
		{"with POST", resource, "POST", now, "only GET"},
		{"once expired", resource, "GET", now.Add(time.Hour), "Access expired"},
		{"for another path", strings.Replace(resource, "ping", "pong", 1), "GET", now, "Bad mac"},
		{"with a parameter added", resource + "&y=2", "GET", now, "Bad mac"},
		{"when empty", "/p?bewit=", "GET", now, "Empty"},
		{"when not base64", "/p?bewit=!!", "GET", now, "not base64url"},
		{"with parts missing", "/p?bewit=" + base64.RawURLEncoding.EncodeToString([]byte(`a\1\m`)), "GET", now, "must hold"},
		{"with a bad expiry", "/p?bewit=" + base64.RawURLEncoding.EncodeToString([]byte(`a\x\m\`)), "GET", now, "expiry"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hawk.ParseBewit(tt.resource)
			if err == nil {
				err = b.Verify(caller.AccessToken, hawk.Request{Method: tt.method, Host: req.Host, Port: req.Port}, tt.now)
			}
			wantRefusal(t, err, tt.text)
		})
	}
}

func TestCertificateIsRefused(t *testing.T) {
	good := hawk.TempOptions{Scopes: []string{"a", "b"}, Start: now, Expiry: now.Add(time.Hour), ClientID: "temp"}
	creds, err := hawk.CreateTemporary(caller, good)
	if err != nil {
		t.Fatal(err)
	}
	change := func(key string, value any) string {
		var m map[string]any
		if err := json.Unmarshal([]byte(creds.Certificate), &m); err != nil {
			t.Fatal(err)
		}
		m[key] = value
		if value == nil {
			delete(m, key)
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	tests := []struct {
		name, certificate, id string
		now                   time.Time
		text                  string
	}{
		{"as made", creds.Certificate, "temp", now, ""},
		{"five minutes before its start", creds.Certificate, "temp", now.Add(-5 * time.Minute), ""},
		{"too early", creds.Certificate, "temp", now.Add(-6 * time.Minute), "not valid yet"},
		{"five minutes after its expiry", creds.Certificate, "temp", now.Add(65 * time.Minute), ""},
		{"too late", creds.Certificate, "temp", now.Add(66 * time.Minute), "expired"},
		{"under another name", creds.Certificate, "temp2", now, "signature"},
		{"under the issuer's name", creds.Certificate, "who", now, "must differ"},
		{"with more scopes", change("scopes", []string{"a", "b", "c"}), "temp", now, "signature"},
		{"with the issuer dropped", change("issuer", nil), "temp", now, "signature"},
		{"with an empty issuer", change("issuer", ""), "temp", now, "issuer is empty"},
		{"with a client id inside", change("clientId", "temp"), "temp", now, "must not contain a clientId"},
		{"of version 2", change("version", 2), "temp", now, "version"},
		{"with a long life", change("expiry", now.Add(32*24*time.Hour).UnixMilli()), "temp", now, "31 days"},
		{"with a short seed", change("seed", "x"), "temp", now, "seed"},
		{"without scopes", change("scopes", nil), "temp", now, "scopes must be an array"},
		{"with a line break in a scope", change("scopes", []string{"a\nb"}), "temp", now, "printable"},
		{"with a fraction in its times", change("start", 1.5), "temp", now, "wrong types"},
		{"that is no object", `[]`, "temp", now, "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := hawk.ParseCertificate([]byte(tt.certificate))
			if err == nil {
				err = c.Verify(tt.id, caller.AccessToken, tt.now)
			}
			wantRefusal(t, err, tt.text)
		})
	}
	t.Run("temporary credentials make no further ones", func(t *testing.T) {
		if _, err := hawk.CreateTemporary(creds, good); !errors.Is(err, fault.Invalid) {
			t.Errorf("CreateTemporary = %v", err)
		}
	})
	t.Run("tokens stay out of printed credentials", func(t *testing.T) {
		if text := fmt.Sprintf("%v %s", creds, creds); strings.Contains(text, creds.AccessToken) {
			t.Error(text)
		}
	})
}

func TestVerifyPayload(t *testing.T) {
	hash := hawk.PayloadHash("application/json", []byte(`{}`))
	wantRefusal(t, hawk.VerifyPayload("", "text/plain", []byte("anything")), "")
	wantRefusal(t, hawk.VerifyPayload(hash, "application/json;charset=utf-8", []byte(`{}`)), "")
	wantRefusal(t, hawk.VerifyPayload(hash, "application/json", []byte(`{ }`)), "payload hash")
	wantRefusal(t, hawk.VerifyPayload(hash, "text/plain", []byte(`{}`)), "payload hash")
}

func wantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("refused: %v", err)
	case text != "" && (!errors.Is(err, fault.Unauthenticated) || !strings.Contains(fault.Message(err), text)):
		t.Errorf("got %v, want a refusal about %q", err, text)
	case err != nil && strings.Contains(err.Error(), caller.AccessToken):
		t.Errorf("the token is in %v", err)
	}
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add(`Hawk id="a", ts="1", nonce="n", mac="m", ext="e", hash="h", app="x", dlg="y"`)
	f.Add(`hawk id="a",ts="1"`)
	f.Fuzz(func(t *testing.T, header string) {
		a, err := hawk.ParseAuthorization(header)
		if err != nil {
			if !errors.Is(err, fault.Unauthenticated) {
				t.Fatal(err)
			}
			return
		}
		if a.Verify("key", req, time.Unix(a.TS, 0)) == nil {
			t.Fatalf("%q is taken for a signature", header)
		}
	})
}

func FuzzParseBewit(f *testing.F) {
	signed, err := hawk.SignURL(caller, address, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.TrimPrefix(signed, "http://tc.example:8080"))
	f.Add("/x?bewit=YWJj&y=1")
	f.Fuzz(func(t *testing.T, resource string) {
		b, err := hawk.ParseBewit(resource)
		if err != nil {
			if !errors.Is(err, fault.Unauthenticated) {
				t.Fatal(err)
			}
			return
		}
		if b.Verify("key", req, time.Unix(b.Exp-1, 0)) == nil {
			t.Fatalf("%q is taken for a signature", resource)
		}
	})
}

func FuzzParseExt(f *testing.F) {
	creds, err := hawk.CreateTemporary(caller, hawk.TempOptions{Scopes: []string{"a"}, Start: now, Expiry: now.Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	ext, err := hawk.Ext(creds)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ext)
	f.Add(base64.StdEncoding.EncodeToString([]byte(`{"authorizedScopes":["a"]}`)))
	f.Fuzz(func(t *testing.T, ext string) {
		e, err := hawk.ParseExt(ext)
		if err != nil && !errors.Is(err, fault.Unauthenticated) {
			t.Fatal(err)
		}
		if e.Certificate != nil && e.Certificate.Verify("who", "another", now) == nil {
			t.Fatalf("%q is taken for a signed certificate", ext)
		}
	})
}
