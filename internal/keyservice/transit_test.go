package keyservice

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/treeline-ci/treeline/internal/crypt"
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
