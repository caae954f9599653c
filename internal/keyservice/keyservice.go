// Package keyservice has the keepers of encryption keys: master keys of this machine, and the key services of clouds, whose
// master keys nobody can read. A key is wrapped by the service for one deployment, and opens for that one alone: the
// deployment's name is authenticated with it, by the service where it can do that, and by what is wrapped everywhere.
//
// The services are asked when keys are wrapped and unwrapped, which a server does at its start and now and then afterwards:
// while it serves it needs none of them.
package keyservice

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
)

// timeout is how long a service may take, with all attempts.
const timeout = 40 * time.Second

// Forms says how master keys and services are named, for people.
const Forms = "file:PATH, env:NAME, awskms:///KEY, gcpkms:///projects/…, azurekeyvault://VAULT/keys/KEY or transit:///KEY"

// service is the key service of a cloud. Its errors are of the kind fault.Unavailable when it could not be asked, and
// fault.Forbidden when it was asked and does not do it.
type service interface {
	// wrap encrypts for a deployment, and names the key that it did it with.
	wrap(ctx context.Context, plain []byte, deployment string) (key string, sealed []byte, err error)
	// unwrap is the reverse of wrap, given all that it returned.
	unwrap(ctx context.Context, key string, sealed []byte, deployment string) ([]byte, error)
}

// kinds make services, by the scheme of their names.
var kinds = map[string]func(*url.URL) (service, error){
	"awskms": newAWS, "gcpkms": newGCP, "azurekeyvault": newAzure, "transit": newTransit,
}

// Open makes the keeper that a setting names: one or more of Forms, divided by white space. The first wraps, all unwrap. It
// gives nil for "". No service is asked yet.
func Open(ctx context.Context, setting string) (crypt.Keeper, error) {
	var all keepers
	for _, word := range strings.Fields(setting) {
		k, err := open(ctx, word)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

func open(ctx context.Context, word string) (crypt.Keeper, error) {
	scheme, rest, _ := strings.Cut(word, ":")
	if scheme == "file" || scheme == "env" {
		return crypt.OpenKeeper(ctx, word)
	}
	newService, ok := kinds[scheme]
	if !ok {
		return nil, fault.New(fault.Invalid, "master key: say %s", Forms)
	}
	u, err := url.Parse(word)
	if err != nil || !strings.HasPrefix(rest, "//") || u.User != nil {
		return nil, fault.New(fault.Invalid, "master key: %s is no address of the form %s", scheme, Forms)
	}
	k := &keeper{kind: scheme, deployment: u.Query().Get("deployment")}
	if k.deployment == "" {
		return nil, fault.New(fault.Invalid, "master key: say for which deployment %s is to wrap keys: add ?deployment=NAME, any name, the same for ever", scheme)
	}
	if k.service, err = newService(u); err != nil {
		return nil, fmt.Errorf("master key: %s: %w", scheme, err)
	}
	return k, nil
}

// keepers are several: the first wraps.
type keepers []crypt.Keeper

// Wrap implements crypt.Keeper.
func (all keepers) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	return all[0].Wrap(ctx, key)
}

// Unwrap implements crypt.Keeper: it asks those that may have wrapped it.
func (all keepers) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	by := "a master key in a file or a variable"
	e, sealedByService := read(wrapped)
	if sealedByService {
		by = e.By
	}
	var failed []error
	for _, k := range all {
		if s, ok := k.(*keeper); ok != sealedByService || ok && s.kind != e.By {
			continue
		}
		key, err := k.Unwrap(ctx, wrapped)
		if err == nil {
			return key, nil
		}
		failed = append(failed, err)
	}
	if failed == nil {
		return nil, fault.New(fault.Invalid, "the key was wrapped by %.40s, which is not among the master keys", by)
	}
	return nil, errors.Join(failed...)
}

// Wrapped reports whether a text of keys, as crypt.ParseKeys reads it, has one that a service wrapped.
func Wrapped(text string) bool { return strings.Contains(text, mark) }

// mark begins the keys that services wrapped, in base64: it is {"by":" without what is not yet whole.
const mark = "wrapped:eyJieSI6"

// envelope is a wrapped key with who wrapped it.
type envelope struct {
	By   string `json:"by"`
	Key  string `json:"key"`
	Data []byte `json:"data"`
}

func read(wrapped []byte) (envelope, bool) {
	var e envelope
	err := json.Unmarshal(wrapped, &e)
	return e, err == nil && e.By != ""
}

// keeper is a crypt.Keeper whose master key is a service's.
type keeper struct {
	kind, deployment string
	service          service
}

// Wrap implements crypt.Keeper.
func (k *keeper) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name, sealed, err := k.service.wrap(ctx, append(key[:len(key):len(key)], k.seal(key)...), k.deployment)
	if err != nil {
		return nil, k.explain(err)
	}
	return json.Marshal(envelope{k.kind, name, sealed})
}

// Unwrap implements crypt.Keeper.
func (k *keeper) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	e, ok := read(wrapped)
	if !ok || e.By != k.kind {
		return nil, fault.New(fault.Invalid, "the key was not wrapped by %s", k.kind)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	plain, err := k.service.unwrap(ctx, e.Key, e.Data, k.deployment)
	if err != nil {
		return nil, k.explain(err)
	}
	at := len(plain) - sha256.Size
	if at <= 0 || !hmac.Equal(plain[at:], k.seal(plain[:at])) {
		return nil, k.explain(fault.New(fault.Forbidden, "what it unwrapped is no key of the deployment %q: it was wrapped for another one, or changed on its way", k.deployment))
	}
	return plain[:at], nil
}

// seal is wrapped with a key: it shows that both are as they were, and for which deployment.
func (k *keeper) seal(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("treeline wrapped key\x00" + k.deployment))
	return mac.Sum(nil)
}

// explain says what an operator can do.
func (k *keeper) explain(err error) error {
	switch fault.KindOf(err) {
	case fault.Unavailable:
		return &failure{fault.Wrap(fault.Unavailable, err, "the key service %s does not answer. A server needs it when it starts, to unwrap its keys: see that this machine reaches it and that it works, then start again", k.kind)}
	case fault.Forbidden:
		return &failure{fault.Wrap(fault.Forbidden, err, "the key service %s refuses. See that the key exists and is enabled, that the credentials may encrypt and decrypt with it, and that the deployment's name in TREELINE_MASTER_KEY is the one that keys were wrapped for", k.kind)}
	}
	return fmt.Errorf("key service %s: %w", k.kind, err)
}

// Failed reports whether an error is a key service's that was down, or refused.
func Failed(err error) bool {
	_, ok := errors.AsType[*failure](err)
	return ok
}

// failure is an error of a key service.
type failure struct{ error }

// Unwrap gives the cause, which has the kind.
func (f *failure) Unwrap() error { return f.error }

// answered gives an error its kind, by the status of the answer; 0 when there was none.
func answered(status int, err error) error {
	switch {
	case status == 0:
		return fault.Wrap(fault.Unavailable, err, "there is no answer")
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return fault.Wrap(fault.Unavailable, err, "it answers %d", status)
	}
	return fault.Wrap(fault.Forbidden, err, "it answers %d", status)
}

// aboutDeployment is what services authenticate that take bytes.
func aboutDeployment(deployment string) []byte { return []byte("treeline deployment " + deployment) }
