// Package static is the provider of workers that operators set up by hand: each has a secret, which its
// operator gives to worker-manager and to the worker (taskcluster-map 12.2).
package static

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
)

// Provider is the provider; it keeps nothing.
type Provider struct{}

// Type implements provider.Provider.
func (Provider) Type() string { return "static" }

// Check implements provider.Provider.
func (Provider) Check(json.RawMessage) error { return nil }

// secret is what an operator says of a worker, and what the worker shows.
type secret struct {
	StaticSecret string `json:"staticSecret"`
}

// data is what is remembered: the secret's hash. Secrets have 44 characters from a generator, so nobody finds
// one from its hash.
type data struct {
	SecretHash string `json:"secretHash"`
}

func (s secret) hash() string {
	sum := sha256.Sum256([]byte(s.StaticSecret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Adopt reads a worker's secret from what its operator says.
func (Provider) Adopt(info json.RawMessage) (json.RawMessage, error) {
	var s secret
	if err := json.Unmarshal(info, &s); err != nil || s.StaticSecret == "" {
		return nil, fault.New(fault.Invalid, "providerInfo must have a staticSecret.")
	}
	return json.Marshal(data{s.hash()})
}

// Verify implements provider.Provider.
func (Provider) Verify(_ context.Context, i provider.Instance, p provider.Proof) error {
	var shown secret
	if err := json.Unmarshal(p.Content, &shown); err != nil {
		return err
	}
	var known data
	if err := json.Unmarshal(i.Data, &known); err != nil {
		return err
	}
	if known.SecretHash == "" || subtle.ConstantTimeCompare([]byte(shown.hash()), []byte(known.SecretHash)) != 1 {
		return errors.New("the secret is not that of the worker")
	}
	return nil
}
