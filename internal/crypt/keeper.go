package crypt

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Keeper guards the keys of a ring: it wraps a key for storage in a configuration, and unwraps it at
// the start of a server. A cloud's key management service fits behind it: its master key never leaves
// it, and what lies in the configuration is worth nothing without it. Local is one with the master
// key in a file or an environment variable.
type Keeper interface {
	Wrap(ctx context.Context, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// Local is a Keeper whose master key this process knows.
type Local struct{ ring *Ring }

// wrapping is the context that wrapped keys are bound to.
var wrapping = []byte("treeline wrapped key")

// NewLocal makes a Keeper of master keys: the first wraps, all unwrap.
func NewLocal(master ...Key) (*Local, error) {
	ring, err := NewRing(master...)
	if err != nil {
		return nil, err
	}
	return &Local{ring}, nil
}

// Wrap implements Keeper.
func (l *Local) Wrap(_ context.Context, key []byte) ([]byte, error) {
	return l.ring.Seal(key, wrapping)
}

// Unwrap implements Keeper.
func (l *Local) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	return l.ring.Open(wrapped, wrapping)
}

// OpenKeeper makes the Keeper that a setting names: "file:PATH" or "env:NAME", where the file or the
// variable holds master keys in the form that ParseKeys reads. It gives nil for "".
func OpenKeeper(ctx context.Context, setting string) (Keeper, error) {
	kind, at, _ := strings.Cut(setting, ":")
	var text string
	switch {
	case setting == "":
		return nil, nil
	case kind == "file" && at != "":
		data, err := os.ReadFile(at)
		if err != nil {
			return nil, fmt.Errorf("crypt: master key: %w", err)
		}
		text = string(data)
	case kind == "env" && at != "":
		if text = os.Getenv(at); text == "" {
			return nil, fmt.Errorf("crypt: master key: the environment variable %s is empty", at)
		}
	default:
		return nil, errors.New("crypt: master key: say file:PATH or env:NAME")
	}
	keys, err := ParseKeys(ctx, text, nil)
	if err != nil {
		return nil, fmt.Errorf("crypt: master key in %s %s: %w", kind, at, err)
	}
	return NewLocal(keys...)
}

// wrappedMark precedes a key that a Keeper wrapped.
const wrappedMark = "wrapped:"

// ParseKeys reads keys, the current one first, divided by white space or commas. Each is 32 bytes in
// base64, or "wrapped:" and what the keeper made of them, in base64. Lines that begin with # are
// remarks. Errors name a key by its place and hold nothing of it.
func ParseKeys(ctx context.Context, text string, keeper Keeper) ([]Key, error) {
	var keys []Key
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) }) {
			secret, err := parseKey(ctx, word, keeper)
			if err != nil {
				return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
			}
			keys = append(keys, Key{Secret: secret})
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key; `treeline db key` makes one")
	}
	return keys, nil
}

func parseKey(ctx context.Context, word string, keeper Keeper) ([]byte, error) {
	word, wrapped := strings.CutPrefix(word, wrappedMark)
	data, err := base64.StdEncoding.DecodeString(word)
	if err != nil {
		return nil, errors.New("it is no base64") // not the text: it may be nearly right
	}
	if wrapped {
		if keeper == nil {
			return nil, errors.New("it is wrapped, and no master key is set")
		}
		if data, err = keeper.Unwrap(ctx, data); err != nil {
			return nil, err
		}
	}
	if len(data) != KeySize {
		return nil, fmt.Errorf("it has %d bytes; a key has %d", len(data), KeySize)
	}
	return data, nil
}

// FormatKey writes a key as ParseKeys reads it, wrapped when there is a keeper.
func FormatKey(ctx context.Context, secret []byte, keeper Keeper) (string, error) {
	if keeper == nil {
		return base64.StdEncoding.EncodeToString(secret), nil
	}
	wrapped, err := keeper.Wrap(ctx, secret)
	if err != nil {
		return "", fmt.Errorf("crypt: wrap a key: %w", err)
	}
	return wrappedMark + base64.StdEncoding.EncodeToString(wrapped), nil
}
