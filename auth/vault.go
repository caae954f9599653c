package auth

import (
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// vault encrypts access tokens for the database. Each is bound to its client's id, so that a row
// copied to another client gives nothing.
type vault struct{ ring *crypt.Ring }

func tokenContext(clientID string) []byte { return []byte("auth_clients:" + clientID) }

// newVault takes the ring, or makes one of a single key.
func newVault(ring *crypt.Ring, key []byte) (vault, error) {
	if ring != nil {
		return vault{ring}, nil
	}
	ring, err := crypt.NewRing(crypt.Key{Secret: key})
	if err != nil {
		return vault{}, fault.Wrap(fault.Invalid, err, "auth: the encryption key is unusable")
	}
	return vault{ring}, nil
}

func (v vault) seal(clientID, token string) ([]byte, error) {
	sealed, err := v.ring.Seal([]byte(token), tokenContext(clientID))
	if err != nil {
		return nil, fmt.Errorf("auth: encrypt token: %w", err)
	}
	return sealed, nil
}

// open is the reverse of seal. It fails when the key is another one or the row was tampered with.
func (v vault) open(clientID string, sealed []byte) (string, error) {
	token, err := openToken(v.ring, clientID, sealed)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "auth: the stored token of client %s cannot be decrypted; is the encryption key the one it was stored with?", clientID)
	}
	return string(token), nil
}

// openToken also opens tokens of before sealed values named their key; those are bound to the id alone.
func openToken(ring *crypt.Ring, clientID string, sealed []byte) ([]byte, error) {
	token, err := ring.Open(sealed, tokenContext(clientID))
	if err == nil {
		return token, nil
	}
	token, bareErr := ring.OpenBare(sealed, []byte(clientID))
	if bareErr == nil {
		return token, nil
	}
	return nil, errors.Join(err, bareErr)
}

// Sealed is what auth has stored under encryption, for the rotation of keys.
func Sealed() reseal.Table {
	return reseal.Table{
		Name: "access tokens of clients", Columns: 1, Page: sealedTokensSQL, Swap: swapTokenSQL,
		Context: func(key []string) []byte { return tokenContext(key[0]) },
		Open: func(ring *crypt.Ring, key []string, sealed []byte) ([]byte, error) {
			return openToken(ring, key[0], sealed)
		},
	}
}

// SealedOld is the same for the tokens that clients had before.
func SealedOld() reseal.Table {
	t := Sealed()
	t.Name, t.Page, t.Swap = "old access tokens of clients", sealedOldTokensSQL, swapOldTokenSQL
	return t
}

var sealedOldTokensSQL = pg.Statement{Name: "auth.sealed_old_tokens", Text: `
SELECT ARRAY[client_id], old_token FROM auth_clients WHERE client_id > ($1::text[])[1] AND old_token IS NOT NULL ORDER BY client_id LIMIT $2`}

var swapOldTokenSQL = pg.Statement{Name: "auth.swap_old_token", Text: `
UPDATE auth_clients SET old_token = $3 WHERE client_id = ($1::text[])[1] AND old_token = $2`}

var sealedTokensSQL = pg.Statement{Name: "auth.sealed_tokens", Text: `
SELECT ARRAY[client_id], encrypted_token FROM auth_clients WHERE client_id > ($1::text[])[1] ORDER BY client_id LIMIT $2`}

var swapTokenSQL = pg.Statement{Name: "auth.swap_token", Text: `
UPDATE auth_clients SET encrypted_token = $3 WHERE client_id = ($1::text[])[1] AND encrypted_token = $2`}
