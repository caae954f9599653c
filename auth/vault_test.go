package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// bare seals as auth did before sealed values named their key: a nonce, then AES-256-GCM bound to the
// client's id.
func bare(t *testing.T, key []byte, clientID, token string) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, []byte(token), []byte(clientID))
}

func TestTokensOutliveTheirKeyAndTheirFormat(t *testing.T) {
	ctx, pool := t.Context(), pgtest.DB(t)
	old, fresh := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("n", 32))
	ring := func(secrets ...[]byte) *crypt.Ring {
		var keys []crypt.Key
		for _, s := range secrets {
			keys = append(keys, crypt.Key{Secret: s})
		}
		r, err := crypt.NewRing(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	room := func(r *crypt.Ring) *Auth {
		a, err := New(ctx, pool, Config{Ring: r, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	before := room(ring(old))
	tokens := map[string]string{}
	for _, id := range []string{"a", "b", "legacy"} {
		_, token, err := before.CreateClient(ctx, "me", id, ClientInput{Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		tokens[id] = token
	}
	set := func(id string, sealed []byte) {
		if _, err := pool.Exec(ctx, "UPDATE auth_clients SET encrypted_token = $2 WHERE client_id = $1", id, sealed); err != nil {
			t.Fatal(err)
		}
	}
	set("legacy", bare(t, old, "legacy", tokens["legacy"]))
	opens := func(a *Auth, id string) error {
		row, err := one(ctx, pool, readClientSQL.Text, id)
		if err != nil {
			return err
		}
		token, err := a.vault.open(id, row.EncryptedToken)
		if err == nil && token != tokens[id] {
			t.Errorf("the token of %s is another", id)
		}
		return err
	}
	both := room(ring(fresh, old))
	for id := range tokens {
		if err := opens(both, id); err != nil {
			t.Errorf("%s before: %v", id, err)
		}
	}
	reports, err := reseal.Run(ctx, pool, both.vault.ring, true, Sealed())
	id := both.vault.ring.CurrentID()
	want := []reseal.Report{{Table: "access tokens of clients", Resealed: 3, Keys: map[string]int{id: 3}}}
	if diff := cmp.Diff(want, reports); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	alone := room(ring(fresh))
	for id := range tokens {
		if err := opens(alone, id); err != nil {
			t.Errorf("%s after: %v", id, err)
		}
	}
	row, err := one(ctx, pool, readClientSQL.Text, "a")
	if err != nil {
		t.Fatal(err)
	}
	set("b", row.EncryptedToken)
	if err := opens(alone, "b"); err == nil || strings.Contains(err.Error(), tokens["a"]) {
		t.Errorf("a token copied to another client: %v", err)
	}
	reports, err = reseal.Run(ctx, pool, alone.vault.ring, false, Sealed())
	want = []reseal.Report{{Table: "access tokens of clients", Keys: map[string]int{id: 3}}}
	if diff := cmp.Diff(want, reports); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
