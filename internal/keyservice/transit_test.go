package keyservice

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
)

func TestVaultTransit(t *testing.T) {
	checked(t, keyservicetest.StartVault(t), "treeline", func(deployment string) crypt.Keeper {
		return keeperOf(t, "transit:///treeline?deployment="+deployment)
	})
}

// An agent of Vault's renews the token in a file.
func TestTheTokenOfVaultIsReadAnew(t *testing.T) {
	keyservicetest.StartVault(t)
	t.Setenv("VAULT_TOKEN", "")
	file := filepath.Join(t.TempDir(), "token")
	k := keeperOf(t, "transit:///treeline?deployment=ci&tokenFile="+file)
	for _, c := range []struct {
		token string
		good  bool
	}{{"", false}, {"hvs.old", false}, {"hvs.token\n", true}} {
		if c.token != "" {
			if err := os.WriteFile(file, []byte(c.token), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := k.Wrap(t.Context(), make([]byte, crypt.KeySize)); (err == nil) != c.good {
			t.Errorf("%q: %v", c.token, err)
		}
	}
}

// Vault's token goes to the address that the operator names.
func TestTheTokenOfVaultIsSentNowhereElse(t *testing.T) {
	keyservicetest.StartVault(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("it was asked for %s with the token %q", r.URL.Path, r.Header.Get("X-Vault-Token"))
	}))
	t.Cleanup(elsewhere.Close)
	vault := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(vault.Close)
	t.Setenv("VAULT_ADDR", vault.URL)
	if _, err := keeperOf(t, "transit:///treeline?deployment=ci").Wrap(t.Context(), make([]byte, crypt.KeySize)); !errors.Is(err, fault.Forbidden) {
		t.Errorf("got %v", err)
	}
}
