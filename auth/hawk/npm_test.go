package hawk_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
)

type vectors struct {
	Headers []struct {
		place
		Credentials      hawk.Credentials
		AuthorizedScopes []string
		URL, Method      string
		TS               int64
		Nonce, Ext       string
		Payload          *string
		Header           string
	}
	Bewits []struct {
		place
		Credentials      hawk.Credentials
		AuthorizedScopes []string
		URL              string
		Expires          int64
		Ext, Bewit       string
	}
	Temporary []struct {
		Issuer        hawk.Credentials
		Name          string
		Scopes        []string
		Credentials   hawk.Credentials
		Start, Expiry int64
	}
	Payload []struct{ ContentType, Body, Hash string }
}

type place struct {
	Resource, Host string
	Port           int
}

func (p place) request(method string) hawk.Request {
	return hawk.Request{Method: method, Resource: p.Resource, Host: p.Host, Port: p.Port}
}

// TestNpm holds us to what the npm packages hawk and taskcluster-client produce.
func TestNpm(t *testing.T) {
	data, err := os.ReadFile("testdata/npm.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	t.Run("payload hashes are equal", func(t *testing.T) {
		for _, p := range v.Payload {
			if got := hawk.PayloadHash(p.ContentType, []byte(p.Body)); got != p.Hash {
				t.Errorf("PayloadHash(%q, %q) = %s, want %s", p.ContentType, p.Body, got, p.Hash)
			}
		}
	})
	t.Run("headers are made byte for byte and verified", func(t *testing.T) { npmHeaders(t, v) })
	t.Run("bewits are made byte for byte and verified", func(t *testing.T) { npmBewits(t, v) })
	t.Run("temporary credentials are made byte for byte and verified", func(t *testing.T) { npmTemporary(t, v) })
}

func npmHeaders(t *testing.T, v vectors) {
	for _, h := range v.Headers {
		creds := h.Credentials
		creds.AuthorizedScopes = h.AuthorizedScopes
		ext, err := hawk.Ext(creds)
		if err != nil {
			t.Fatal(err)
		}
		if ext != h.Ext {
			t.Errorf("%s: ext %s, want %s", h.URL, ext, h.Ext)
		}
		hash := ""
		if h.Payload != nil {
			hash = hawk.PayloadHash("application/json", []byte(*h.Payload))
		}
		got, err := hawk.Header(creds, h.Method, h.URL, time.Unix(h.TS, 0), h.Nonce, ext, hash)
		if err != nil {
			t.Fatal(err)
		}
		if got != h.Header {
			t.Errorf("%s:\n got %s\nwant %s", h.URL, got, h.Header)
		}
		a, err := hawk.ParseAuthorization(h.Header)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(creds.AccessToken, h.request(h.Method), time.Unix(h.TS, 0)); err != nil {
			t.Errorf("%s: %v", h.URL, err)
		}
		parsed, err := hawk.ParseExt(a.Ext)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h.AuthorizedScopes, parsed.AuthorizedScopes); diff != "" {
			t.Error(diff)
		}
		if (parsed.Certificate != nil) != (creds.Certificate != "") {
			t.Errorf("%s: certificate %v", h.URL, parsed.Certificate)
		}
	}
}

func npmBewits(t *testing.T, v vectors) {
	for _, b := range v.Bewits {
		creds := b.Credentials
		creds.AuthorizedScopes = b.AuthorizedScopes
		got, err := hawk.SignBewit(creds, b.URL, time.Unix(b.Expires, 0), b.Ext)
		if err != nil {
			t.Fatal(err)
		}
		if got != b.Bewit {
			t.Errorf("%s:\n got %s\nwant %s", b.URL, got, b.Bewit)
		}
		if !hawk.HasBewit(b.Resource) {
			t.Errorf("no bewit seen in %s", b.Resource)
		}
		parsed, err := hawk.ParseBewit(b.Resource)
		if err != nil {
			t.Fatal(err)
		}
		if err := parsed.Verify(creds.AccessToken, b.request("GET"), time.Unix(b.Expires-1, 0)); err != nil {
			t.Errorf("%s: %v", b.URL, err)
		}
	}
}

func npmTemporary(t *testing.T, v vectors) {
	for _, c := range v.Temporary {
		cert, err := hawk.ParseCertificate([]byte(c.Credentials.Certificate))
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.Verify(c.Credentials.ClientID, c.Issuer.AccessToken, time.UnixMilli(c.Start)); err != nil {
			t.Error(err)
		}
		got, err := hawk.CreateTemporary(c.Issuer, hawk.TempOptions{
			ClientID: c.Name, Scopes: c.Scopes, Start: time.UnixMilli(c.Start), Expiry: time.UnixMilli(c.Expiry), Seed: cert.Seed,
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Credentials, got); diff != "" {
			t.Error(diff)
		}
	}
}
