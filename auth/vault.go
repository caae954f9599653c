package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
)

// vault encrypts access tokens for the database. Each is bound to its client's id, so that a row
// copied to another client gives nothing.
type vault struct{ aead cipher.AEAD }

func newVault(key []byte) (vault, error) {
	if len(key) != 32 {
		return vault{}, fault.New(fault.Invalid, "auth: the encryption key must have 32 bytes, not %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return vault{}, fmt.Errorf("auth: encryption key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return vault{}, fmt.Errorf("auth: encryption key: %w", err)
	}
	return vault{aead}, nil
}

// seal returns a fresh nonce followed by the encrypted token.
func (v vault) seal(clientID, token string) ([]byte, error) {
	nonce := make([]byte, v.aead.NonceSize(), v.aead.NonceSize()+len(token)+v.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("auth: encrypt token: %w", err)
	}
	return v.aead.Seal(nonce, nonce, []byte(token), []byte(clientID)), nil
}

// open is the reverse of seal. It fails when the key is another one or the row was tampered with.
func (v vault) open(clientID string, sealed []byte) (string, error) {
	n := v.aead.NonceSize()
	if len(sealed) < n {
		return "", fault.New(fault.Internal, "auth: the stored token of client %s is damaged", clientID)
	}
	token, err := v.aead.Open(nil, sealed[:n], sealed[n:], []byte(clientID))
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "auth: the stored token of client %s cannot be decrypted; is the encryption key the one it was stored with?", clientID)
	}
	return string(token), nil
}
