package keyservice

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
)

const (
	azureHost    = "ci.vault.azure.net"
	azureVersion = "78deebed173b48e48f55abf87ed4cf71"
)

// toServer sends all to a server of the test's, which sees to whom it was sent.
type toServer struct {
	*http.Client
	at *url.URL
}

// Do implements policy.Transporter.
func (s toServer) Do(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host, r.URL.Host = r.URL.Host, s.at.Host
	return s.Client.Do(r)
}

// serveKeyVault answers wrapkey and unwrapkey as a key vault does, and signs a client in as Microsoft does.
func (d cloud) serveKeyVault(w http.ResponseWriter, r *http.Request) {
	d.Lock()
	defer d.Unlock()
	const login = "https://login.microsoftonline.com/tenant"
	switch {
	case r.Host == "login.microsoftonline.com" && strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		d.Answer(w, 200, map[string]string{"authorization_endpoint": login + "/oauth2/v2.0/authorize", "token_endpoint": login + "/oauth2/v2.0/token", "issuer": login + "/v2.0"})
		return
	case r.Host == "login.microsoftonline.com" && r.URL.Path == "/tenant/oauth2/v2.0/token":
		if r.PostFormValue("client_secret") != "s3cr3t" || r.PostFormValue("client_id") != "client" || !strings.Contains(r.PostFormValue("scope"), "https://vault.azure.net/.default") {
			d.T.Errorf("signed in with %v", r.PostForm)
		}
		d.Answer(w, 200, map[string]any{"access_token": "a token", "token_type": "Bearer", "expires_in": 3600})
		return
	case r.Host != azureHost:
		d.T.Errorf("%s was asked for %s", r.Host, r.URL)
	}
	refuse := func(status int, code string) {
		d.Answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": "no"}})
	}
	switch {
	case d.Down:
		w.Header().Set("Retry-After-Ms", "1")
		refuse(503, "ServiceUnavailable")
		return
	case r.Header.Get("Authorization") != "Bearer a token":
		w.Header().Set("WWW-Authenticate", `Bearer authorization="`+login+`", resource="https://vault.azure.net"`)
		refuse(401, "Unauthorized")
		return
	}
	var in struct{ Alg, Value string }
	d.Decode(r, &in)
	value, err := base64.RawURLEncoding.DecodeString(in.Value)
	if err != nil || in.Alg != "RSA-OAEP-256" || r.Method != http.MethodPost || r.URL.Query().Get("api-version") == "" {
		d.T.Errorf("%s %s with %+v: %v", r.Method, r.URL, in, err)
	}
	part := strings.Split(strings.TrimPrefix(r.URL.Path, "/keys/"), "/") // name, version if any, what
	if len(part) == 2 {
		part = []string{part[0], "", part[1]}
	}
	if len(part) != 3 || d.Keys[part[0]] == nil {
		refuse(404, "KeyNotFound")
		return
	}
	answer := func(data []byte) {
		d.Answer(w, 200, map[string]string{"kid": "https://" + azureHost + "/keys/" + part[0] + "/" + azureVersion, "value": base64.RawURLEncoding.EncodeToString(data)})
	}
	switch {
	case part[2] == "wrapkey" && part[1] == "" && len(value) <= 190: // of a key of 2048 bits
		answer(d.Seal(part[0], value, nil))
	case part[2] == "unwrapkey" && part[1] == azureVersion:
		plain, ok := d.Open(part[0], value, nil)
		if !ok {
			refuse(400, "BadParameter")
			return
		}
		answer(plain)
	default:
		d.T.Errorf("asked for %s of %d bytes", r.URL, len(value))
	}
}

func TestAzureKeyVault(t *testing.T) {
	d := cloud{keyservicetest.NewDouble(t, "treeline")}
	server := httptest.NewTLSServer(http.HandlerFunc(d.serveKeyVault))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_TENANT_ID", "tenant")
	t.Setenv("AZURE_CLIENT_ID", "client")
	t.Setenv("AZURE_CLIENT_SECRET", "s3cr3t")
	open := func(vault, deployment string) crypt.Keeper {
		u, err := url.Parse("azurekeyvault://" + vault + "/keys/treeline")
		if err != nil {
			t.Fatal(err)
		}
		s, err := newAzureWith(u, toServer{server.Client(), at})
		if err != nil {
			t.Fatal(err)
		}
		return keepers{&keeper{"azurekeyvault", deployment, s}}
	}
	checked(t, d.Double, "treeline", func(deployment string) crypt.Keeper { return open(azureHost, deployment) })
	wrapped, err := open(azureHost, "ci").Wrap(t.Context(), make([]byte, crypt.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open("other.vault.azure.net", "ci").Unwrap(t.Context(), wrapped); err == nil || !strings.Contains(err.Error(), "wrapped by") {
		t.Errorf("another vault: %v", err)
	}
	if k, err := Open(t.Context(), "azurekeyvault://"+azureHost+"/keys/treeline?deployment=ci"); err != nil || k == nil {
		t.Error(err)
	}
}
