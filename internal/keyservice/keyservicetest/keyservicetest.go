// Package keyservicetest stands in for key services, which cannot be had for tests: it encrypts with keys of its own, and
// answers as the documentation of each says.
package keyservicetest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Double is a key service as far as its documentation says, with keys of its own that encrypt what it is given.
type Double struct {
	T testing.TB
	sync.Mutex

	Down  bool              // it answers as while it is in trouble
	Keys  map[string][]byte // by name
	Spoil func([]byte)      // changes what is unwrapped
	Asked int               // how often it was
}

// NewDouble returns one that has keys of these names.
func NewDouble(t testing.TB, names ...string) *Double {
	d := &Double{T: t, Keys: map[string][]byte{}}
	for i, name := range names {
		d.Keys[name] = bytes.Repeat([]byte{byte(i + 1)}, 32)
	}
	return d
}

// Set changes it between requests.
func (d *Double) Set(change func(*Double)) {
	d.Lock()
	defer d.Unlock()
	change(d)
}

// Seal encrypts with the key of a name; about must be given again.
func (d *Double) Seal(name string, plain, about []byte) []byte {
	return d.aead(name).Seal(make([]byte, 12, 128), make([]byte, 12), plain, about)
}

// Open is the reverse of Seal.
func (d *Double) Open(name string, sealed, about []byte) ([]byte, bool) {
	if d.Keys[name] == nil || len(sealed) < 12 {
		return nil, false
	}
	plain, err := d.aead(name).Open(nil, sealed[:12], sealed[12:], about)
	if err == nil && d.Spoil != nil {
		d.Spoil(plain)
	}
	return plain, err == nil
}

func (d *Double) aead(name string) cipher.AEAD {
	block, err := aes.NewCipher(d.Keys[name])
	if err == nil {
		var a cipher.AEAD
		if a, err = cipher.NewGCM(block); err == nil {
			return a
		}
	}
	d.T.Fatal(err)
	return nil
}

// Answer writes an answer in JSON.
func (d *Double) Answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		d.T.Error(err)
	}
}

// Decode reads a request, in which nothing may stand that into does not know.
func (d *Double) Decode(r *http.Request, into any) {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		d.T.Error(err)
	}
}

// StartVault answers as Vault's transit engine does, and names it in the environment.
func StartVault(t *testing.T) *Double {
	d := NewDouble(t, "treeline")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.Lock()
		defer d.Unlock()
		d.Asked++
		refuse := func(status int, text string) { d.Answer(w, status, map[string][]string{"errors": {text}}) }
		if d.Down {
			refuse(503, "Vault is sealed")
			return
		}
		if r.Header.Get("X-Vault-Token") != "hvs.token" || r.Header.Get("X-Vault-Request") != "true" || r.Header.Get("X-Vault-Namespace") != "team" {
			refuse(403, "permission denied")
			return
		}
		var in struct {
			Plaintext  []byte
			Ciphertext string
			About      []byte `json:"associated_data"`
		}
		d.Decode(r, &in)
		what, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
		if r.Method != http.MethodPost || !ok {
			d.T.Errorf("%s %s", r.Method, r.URL)
		}
		if d.Keys[name] == nil {
			refuse(400, "encryption key not found")
			return
		}
		switch what {
		case "encrypt":
			sealed := base64.StdEncoding.EncodeToString(d.Seal(name, in.Plaintext, in.About))
			d.Answer(w, 200, map[string]any{"request_id": "1", "data": map[string]any{"ciphertext": "vault:v1:" + sealed, "key_version": 1}})
		case "decrypt":
			text, versioned := strings.CutPrefix(in.Ciphertext, "vault:v1:")
			sealed, err := base64.StdEncoding.DecodeString(text)
			plain, ok := d.Open(name, sealed, in.About)
			if err != nil || !versioned || !ok {
				refuse(400, "cipher: message authentication failed")
				return
			}
			d.Answer(w, 200, map[string]any{"request_id": "1", "data": map[string]any{"plaintext": plain}})
		default:
			d.T.Errorf("asked for %s", what)
		}
	}))
	t.Cleanup(server.Close)
	for _, name := range []string{"BAO_ADDR", "BAO_TOKEN", "BAO_NAMESPACE", "BAO_CACERT", "VAULT_CACERT"} {
		t.Setenv(name, "")
	}
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "hvs.token")
	t.Setenv("VAULT_NAMESPACE", "team")
	return d
}
