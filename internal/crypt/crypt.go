// Package crypt seals what the database must not show: access tokens, secrets, trigger tokens.
//
// A Ring holds the keys of a deployment. The first seals, all of them open; so a key is replaced by
// putting a new one in front and sealing the stored values again (package reseal does that), after
// which the old key can go. Sealed bytes say by which key they were made:
//
//	"TLS" 0x01 | length of the key's id, one byte | the id | nonce, 12 bytes | AES-256-GCM ciphertext and tag
//
// Everything before the nonce, and the context that the caller gives, is authenticated: a value moved
// to another row or table, or marked with another key's id, does not open. Nonces are random.
package crypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of a key's secret in bytes.
const KeySize = 32

// header begins sealed bytes; its last byte is the version of the format.
var header = []byte{'T', 'L', 'S', 1}

const maxID = 64

// ErrSealed says that sealed bytes do not open: they were sealed with a key that the ring lacks, for
// another context, or were changed. Errors of Open wrap it.
var ErrSealed = errors.New("crypt: the sealed value cannot be opened")

// Key is a key with the name that is written into what it seals.
type Key struct {
	ID     string // 1 to 64 bytes; "" takes the fingerprint of the secret
	Secret []byte // 32 bytes
}

// Fingerprint names a secret by its content and tells nothing else about it.
func Fingerprint(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("treeline key id"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Ring seals with its first key and opens with any. It never changes, and is safe for concurrent use.
type Ring struct {
	keys []ringKey
}

type ringKey struct {
	id   string
	aead cipher.AEAD
}

// NewRing makes a ring of at least one key. The first is the current one; the others are retired and
// only open. A key given twice counts once.
func NewRing(keys ...Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("crypt: a ring needs a key")
	}
	r := &Ring{}
	secrets := map[string][]byte{}
	for i, k := range keys {
		if len(k.Secret) != KeySize {
			return nil, fmt.Errorf("crypt: key %d has %d bytes; a key has %d", i+1, len(k.Secret), KeySize)
		}
		if k.ID == "" {
			k.ID = Fingerprint(k.Secret)
		}
		if len(k.ID) > maxID {
			return nil, fmt.Errorf("crypt: the id of key %d is longer than %d bytes", i+1, maxID)
		}
		if had, ok := secrets[k.ID]; ok {
			if !bytes.Equal(had, k.Secret) {
				return nil, fmt.Errorf("crypt: two different keys have the id %q", k.ID)
			}
			continue
		}
		secrets[k.ID] = k.Secret
		block, err := aes.NewCipher(k.Secret)
		if err != nil {
			return nil, fmt.Errorf("crypt: key %d: %w", i+1, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("crypt: key %d: %w", i+1, err)
		}
		r.keys = append(r.keys, ringKey{k.ID, aead})
	}
	return r, nil
}

// CurrentID is the id of the key that seals.
func (r *Ring) CurrentID() string { return r.keys[0].id }

// IDs lists the ids of all keys, the current one first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// Seal encrypts plaintext for a context, such as the table and the row's id. Open needs the same
// context; it is not stored. Sealing twice gives different bytes.
func (r *Ring) Seal(plaintext, context []byte) ([]byte, error) {
	k := r.keys[0]
	head := head(k.id)
	nonceAt := len(head)
	out := make([]byte, nonceAt+k.aead.NonceSize(), nonceAt+k.aead.NonceSize()+len(plaintext)+k.aead.Overhead())
	copy(out, head)
	nonce := out[nonceAt:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("crypt: seal: %w", err)
	}
	return k.aead.Seal(out, nonce, plaintext, bound(head, context)), nil
}

// Open is the reverse of Seal. Its errors wrap ErrSealed and hold nothing of the value.
func (r *Ring) Open(sealed, context []byte) ([]byte, error) {
	id, ok := KeyID(sealed)
	if !ok {
		return nil, fmt.Errorf("%w: it is not in a format that this program knows", ErrSealed)
	}
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		n := len(header) + 1 + len(id)
		return k.open(sealed[n:], bound(sealed[:n], context))
	}
	return nil, fmt.Errorf("%w: it was sealed with the key %s, which is not among this server's keys", ErrSealed, printable(id))
}

// OpenBare opens what was stored before sealed bytes had a header: nonce and ciphertext, made with
// one of the keys for the context.
func (r *Ring) OpenBare(sealed, context []byte) ([]byte, error) {
	for _, k := range r.keys {
		if plain, err := k.open(sealed, context); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("%w: none of this server's keys fits", ErrSealed)
}

// Current says whether the value was sealed in today's format with the current key; if not, it should
// be opened and sealed again.
func (r *Ring) Current(sealed []byte) bool {
	id, ok := KeyID(sealed)
	return ok && id == r.keys[0].id
}

// KeyID tells by the id of which key a value was sealed; false when it has no header.
func KeyID(sealed []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(sealed, header)
	if !ok || len(rest) == 0 || rest[0] == 0 || rest[0] > maxID || len(rest) < 1+int(rest[0]) {
		return "", false
	}
	return string(rest[1 : 1+rest[0]]), true
}

func (k ringKey) open(sealed, context []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < n+k.aead.Overhead() {
		return nil, fmt.Errorf("%w: it is cut short", ErrSealed)
	}
	plain, err := k.aead.Open(nil, sealed[:n], sealed[n:], context)
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed, or belongs elsewhere", ErrSealed)
	}
	return plain, nil
}

func head(id string) []byte {
	out := make([]byte, 0, len(header)+1+len(id))
	out = append(out, header...)
	out = append(out, byte(len(id)))
	return append(out, id...)
}

func bound(head, context []byte) []byte {
	out := make([]byte, 0, len(head)+len(context))
	out = append(out, head...)
	return append(out, context...)
}

func printable(id string) string { return fmt.Sprintf("%.80q", id) }
