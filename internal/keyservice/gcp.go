package keyservice

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"google.golang.org/api/cloudkms/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/treeline-ci/treeline/internal/fault"
)

// gcpKMS is Google's Cloud KMS.
type gcpKMS struct {
	key     string
	options []option.ClientOption
	mu      sync.Mutex
	found   *gcpCalls // nil: no credentials were found yet
}

// gcpCalls stand as functions, for a service that can be reached from a value in an interface keeps all that it could do in
// the program.
type gcpCalls struct {
	encrypt func(context.Context, *cloudkms.EncryptRequest) (*cloudkms.EncryptResponse, error)
	decrypt func(context.Context, *cloudkms.DecryptRequest) (*cloudkms.DecryptResponse, error)
}

var gcpKey = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)

// newGCP reads gcpkms:///projects/P/locations/L/keyRings/R/cryptoKeys/K; credentials are the application default ones.
func newGCP(u *url.URL) (service, error) {
	key := strings.TrimPrefix(u.Path, "/")
	if u.Host != "" {
		key = u.Host + u.Path // gcpkms://projects/…
	}
	if !gcpKey.MatchString(key) {
		return nil, fault.New(fault.Invalid, "say gcpkms:///projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version")
	}
	var options []option.ClientOption
	if at := u.Query().Get("endpoint"); at != "" {
		options = append(options, option.WithEndpoint(at))
	}
	return &gcpKMS{key: key, options: options}, nil
}

// calls looks for the credentials when they are first needed, and again as long as there are none.
func (k *gcpKMS) calls(ctx context.Context) (*gcpCalls, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.found != nil {
		return k.found, nil
	}
	s, err := cloudkms.NewService(context.WithoutCancel(ctx), k.options...) // it signs in again later, too
	if err != nil {
		return nil, fault.Wrap(fault.Forbidden, err, "there are no credentials")
	}
	k.found = &gcpCalls{
		func(ctx context.Context, in *cloudkms.EncryptRequest) (*cloudkms.EncryptResponse, error) {
			return s.Projects.Locations.KeyRings.CryptoKeys.Encrypt(k.key, in).Context(ctx).Do()
		},
		func(ctx context.Context, in *cloudkms.DecryptRequest) (*cloudkms.DecryptResponse, error) {
			return s.Projects.Locations.KeyRings.CryptoKeys.Decrypt(k.key, in).Context(ctx).Do()
		},
	}
	return k.found, nil
}

// castagnoli is a checksum as Cloud KMS takes it: what it does not get as it was sent, it refuses.
func castagnoli(data []byte) int64 {
	return int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

func (k *gcpKMS) wrap(ctx context.Context, plain []byte, deployment string) (string, []byte, error) {
	keys, err := k.calls(ctx)
	if err != nil {
		return "", nil, err
	}
	about := aboutDeployment(deployment)
	out, err := keys.encrypt(ctx, &cloudkms.EncryptRequest{
		Plaintext: base64.StdEncoding.EncodeToString(plain), PlaintextCrc32c: castagnoli(plain),
		AdditionalAuthenticatedData: base64.StdEncoding.EncodeToString(about), AdditionalAuthenticatedDataCrc32c: castagnoli(about),
	})
	if err != nil {
		return "", nil, gcpError(err)
	}
	sealed, err := base64.StdEncoding.DecodeString(out.Ciphertext)
	if err != nil || !out.VerifiedPlaintextCrc32c || !out.VerifiedAdditionalAuthenticatedDataCrc32c || castagnoli(sealed) != out.CiphertextCrc32c {
		return "", nil, fault.New(fault.Unavailable, "the answer, or what it answers, was changed on its way")
	}
	return out.Name, sealed, nil
}

func (k *gcpKMS) unwrap(ctx context.Context, key string, sealed []byte, deployment string) ([]byte, error) {
	if !strings.HasPrefix(key, k.key+"/") {
		return nil, fault.New(fault.Forbidden, "it was wrapped by %.300q", key)
	}
	keys, err := k.calls(ctx)
	if err != nil {
		return nil, err
	}
	about := aboutDeployment(deployment)
	out, err := keys.decrypt(ctx, &cloudkms.DecryptRequest{
		Ciphertext: base64.StdEncoding.EncodeToString(sealed), CiphertextCrc32c: castagnoli(sealed),
		AdditionalAuthenticatedData: base64.StdEncoding.EncodeToString(about), AdditionalAuthenticatedDataCrc32c: castagnoli(about),
	})
	if err != nil {
		return nil, gcpError(err)
	}
	plain, err := base64.StdEncoding.DecodeString(out.Plaintext)
	if err != nil || castagnoli(plain) != out.PlaintextCrc32c {
		return nil, fault.New(fault.Unavailable, "the answer was changed on its way")
	}
	return plain, nil
}

func gcpError(err error) error {
	if answer, ok := errors.AsType[*googleapi.Error](err); ok {
		return answered(answer.Code, err)
	}
	return answered(0, err)
}
