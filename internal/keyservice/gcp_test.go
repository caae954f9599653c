package keyservice

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
)

const gcpName = "projects/p/locations/europe-west1/keyRings/ci/cryptoKeys/treeline"

// serveCloudKMS answers encrypt and decrypt as Cloud KMS does, and signs a service account in.
func (d cloud) serveCloudKMS(w http.ResponseWriter, r *http.Request) {
	d.Lock()
	defer d.Unlock()
	if r.URL.Path == "/token" {
		if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.PostFormValue("assertion") == "" {
			d.T.Errorf("signed in with %v", r.PostForm)
		}
		d.Answer(w, 200, map[string]any{"access_token": "ya29.token", "token_type": "Bearer", "expires_in": 3600})
		return
	}
	refuse := func(status int, text string) {
		d.Answer(w, status, map[string]any{"error": map[string]any{"code": status, "message": text, "status": "X"}})
	}
	if d.Down {
		refuse(503, "the service is currently unavailable")
		return
	}
	if r.Header.Get("Authorization") != "Bearer ya29.token" {
		refuse(401, "no token")
		return
	}
	var in struct {
		Plaintext, Ciphertext []byte
		About                 []byte `json:"additionalAuthenticatedData"`
		PlaintextSum          int64  `json:"plaintextCrc32c,string"`
		CiphertextSum         int64  `json:"ciphertextCrc32c,string"`
		AboutSum              int64  `json:"additionalAuthenticatedDataCrc32c,string"`
	}
	d.Decode(r, &in)
	if castagnoli(in.Plaintext) != in.PlaintextSum || castagnoli(in.Ciphertext) != in.CiphertextSum || castagnoli(in.About) != in.AboutSum {
		refuse(400, "a checksum does not fit")
		return
	}
	name, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
	if d.Keys[name] == nil {
		refuse(404, name+" is not found")
		return
	}
	switch what {
	case "encrypt":
		sealed := d.Seal(name, in.Plaintext, in.About)
		d.Answer(w, 200, map[string]any{
			"name": name + "/cryptoKeyVersions/3", "ciphertext": sealed, "ciphertextCrc32c": sum(sealed),
			"verifiedPlaintextCrc32c": true, "verifiedAdditionalAuthenticatedDataCrc32c": true, "protectionLevel": "HSM",
		})
	case "decrypt":
		spoil := d.Spoil
		d.Spoil = nil
		plain, ok := d.Open(name, in.Ciphertext, in.About)
		if d.Spoil = spoil; !ok {
			refuse(400, "Decryption failed: the ciphertext is invalid.")
			return
		}
		answer := map[string]any{"plaintext": plain, "plaintextCrc32c": sum(plain)}
		if spoil != nil { // on its way
			spoil(plain)
		}
		d.Answer(w, 200, answer)
	default:
		d.T.Errorf("asked for %s", r.URL)
	}
}

func sum(data []byte) string {
	text, _ := json.Marshal(castagnoli(data)) // a number
	return string(text)
}

func TestGoogleCloudKMS(t *testing.T) {
	d := cloud{keyservicetest.NewDouble(t, gcpName)}
	server := httptest.NewServer(http.HandlerFunc(d.serveCloudKMS))
	t.Cleanup(server.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "client_email": "treeline@p.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": server.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	early := keeperOf(t, "gcpkms:///"+gcpName+"?endpoint="+server.URL+"&deployment=ci")
	if _, err := early.Wrap(t.Context(), make([]byte, crypt.KeySize)); err == nil || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("without credentials: %v", err)
	}
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Wrap(t.Context(), make([]byte, crypt.KeySize)); err != nil {
		t.Errorf("credentials that came later: %v", err)
	}
	checked(t, d.Double, gcpName, func(deployment string) crypt.Keeper {
		return keeperOf(t, "gcpkms:///"+gcpName+"?endpoint="+server.URL+"&deployment="+deployment)
	})
	k := keeperOf(t, "gcpkms:///"+gcpName+"2?endpoint="+server.URL+"&deployment=ci")
	wrapped, err := keeperOf(t, "gcpkms://"+gcpName+"?endpoint="+server.URL+"&deployment=ci").Wrap(t.Context(), make([]byte, crypt.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Unwrap(t.Context(), wrapped); err == nil || !strings.Contains(err.Error(), "wrapped by") {
		t.Errorf("another key: %v", err)
	}
}
