package keyservice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// maxAnswer is more than Vault answers to what it is asked here.
const maxAnswer = 64 << 10

// transit is the secrets engine of that name of HashiCorp Vault and OpenBao.
type transit struct {
	client                        *http.Client
	address, namespace, tokenFile string
	mount, key                    string
}

// newTransit reads transit:///KEY. Where Vault is and who asks is said by the variables that its own client knows.
func newTransit(u *url.URL) (service, error) {
	t := &transit{
		client: &http.Client{CheckRedirect: stay}, address: strings.TrimRight(bao("ADDR"), "/"), namespace: bao("NAMESPACE"),
		tokenFile: u.Query().Get("tokenFile"), mount: cmp.Or(u.Query().Get("mount"), "transit"), key: strings.TrimPrefix(u.Path, "/"),
	}
	if t.key == "" || strings.Contains(t.key, "/") || u.Host != "" {
		return nil, fault.New(fault.Invalid, "say transit:///KEY, and ?mount=PATH where the engine is not at transit")
	}
	if t.address == "" {
		return nil, fault.New(fault.Invalid, "set VAULT_ADDR to the address of Vault or OpenBao")
	}
	if path := bao("CACERT"); path != "" {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names it
		if err != nil {
			return nil, fmt.Errorf("VAULT_CACERT: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fault.New(fault.Invalid, "VAULT_CACERT: %s is no certificate in PEM", path)
		}
		t.client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	}
	return t, nil
}

// stay follows nobody elsewhere: the token goes to the address that the operator names, and to no other.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bao is a variable of OpenBao, or of Vault.
func bao(name string) string { return cmp.Or(os.Getenv("BAO_"+name), os.Getenv("VAULT_"+name)) }

// token is read each time: an agent renews the file.
func (t *transit) token() (string, error) {
	path := t.tokenFile
	if path == "" {
		if token := bao("TOKEN"); token != "" {
			return token, nil
		}
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fault.Wrap(fault.Forbidden, err, "there is no VAULT_TOKEN")
		}
		path = filepath.Join(home, ".vault-token")
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", fault.Wrap(fault.Forbidden, err, "there is no VAULT_TOKEN, and no token in a file")
	}
	return strings.TrimSpace(string(text)), nil
}

// values are what is sent and answered, in base64 but for the ciphertext.
type values struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
	About      []byte `json:"associated_data,omitempty"`
}

func (t *transit) wrap(ctx context.Context, plain []byte, deployment string) (string, []byte, error) {
	out, err := t.ask(ctx, "encrypt", values{Plaintext: plain, About: aboutDeployment(deployment)})
	return t.mount + "/" + t.key, []byte(out.Ciphertext), err
}

func (t *transit) unwrap(ctx context.Context, key string, sealed []byte, deployment string) ([]byte, error) {
	if key != t.mount+"/"+t.key {
		return nil, fault.New(fault.Forbidden, "it was wrapped by %.300q", key)
	}
	out, err := t.ask(ctx, "decrypt", values{Ciphertext: string(sealed), About: aboutDeployment(deployment)})
	return out.Plaintext, err
}

func (t *transit) ask(ctx context.Context, what string, in values) (values, error) {
	token, err := t.token()
	if err != nil {
		return values{}, err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return values{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.address+"/v1/"+t.mount+"/"+what+"/"+url.PathEscape(t.key), bytes.NewReader(body))
	if err != nil {
		return values{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("X-Vault-Token", token)
	if t.namespace != "" {
		req.Header.Set("X-Vault-Namespace", t.namespace)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return values{}, answered(0, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data   values   `json:"data"`
		Errors []string `json:"errors"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer)
	switch {
	case resp.StatusCode != http.StatusOK:
		return values{}, answered(resp.StatusCode, fmt.Errorf("%s with %s/%s: %s: %.500s", what, t.mount, t.key, resp.Status, strings.Join(answer.Errors, "; ")))
	case err != nil:
		return values{}, answered(0, fmt.Errorf("%s with %s/%s: the answer is no JSON: %w", what, t.mount, t.key, err))
	}
	return answer.Data, nil
}
