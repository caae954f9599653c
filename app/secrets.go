package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/keyservice"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Secrets are what a server must keep to itself, and keep across restarts.
type Secrets struct {
	RootToken     string `json:"rootAccessToken"`         // of client static/taskcluster/root, which may do everything
	QueueToken    string `json:"queueAccessToken"`        // of client static/taskcluster/queue, which signs the tasks' credentials
	WorkerToken   string `json:"workerAccessToken"`       // of client static/treeline/worker, with which local workers claim tasks
	EncryptionKey []byte `json:"encryptionKey,omitempty"` // 32 bytes; what must stay secret in the database is sealed with it
	URLKey        []byte `json:"urlKey"`                  // 32 bytes; upload and download URLs are signed with it

	// RetiredKeys were encryption keys, and still open what was sealed with them.
	RetiredKeys [][]byte `json:"retiredKeys,omitempty"`

	// RetiredURLKeys were URL keys: what they signed holds until it ends, within the hour.
	RetiredURLKeys [][]byte `json:"retiredUrlKeys,omitempty"`

	// Recheck unwraps the keys again, for whether the key service still does; nil when none wrapped any.
	Recheck func(context.Context) error `json:"-"`
}

func (s Secrets) check() error {
	if len(s.RootToken) < 22 || len(s.QueueToken) < 22 || len(s.WorkerToken) < 22 || len(s.EncryptionKey) != 32 || len(s.URLKey) != 32 {
		return errors.New("secrets: the file is incomplete; each access token needs 22 characters or more, each key 32 bytes in base64")
	}
	if _, err := s.Ring(); err != nil {
		return fmt.Errorf("secrets: encryptionKey is 1, retiredKeys follow: %w", err)
	}
	return nil
}

// Ring makes the ring of the encryption key and the retired ones.
func (s Secrets) Ring() (*crypt.Ring, error) {
	keys := []crypt.Key{{Secret: s.EncryptionKey}}
	for _, k := range s.RetiredKeys {
		keys = append(keys, crypt.Key{Secret: k})
	}
	return crypt.NewRing(keys...)
}

// The environment variables that give encryption keys in place of the file of secrets.
const (
	KeysSetting      = "TREELINE_ENCRYPTION_KEYS"      // the keys, the current one first
	KeysFileSetting  = "TREELINE_ENCRYPTION_KEYS_FILE" // or a file with them
	MasterKeySetting = "TREELINE_MASTER_KEY"           // what unwraps them, in the forms of keyservice.Open
)

// keysElsewhere says whether the environment gives the keys.
func keysElsewhere() bool { return os.Getenv(KeysSetting) != "" || os.Getenv(KeysFileSetting) != "" }

// LoadKeys takes the encryption keys from the environment if it has any; the file's own then count as
// retired. It returns the keeper of the master key, nil without one.
func (s *Secrets) LoadKeys(ctx context.Context) (crypt.Keeper, error) {
	keeper, err := keyservice.Open(ctx, os.Getenv(MasterKeySetting))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", MasterKeySetting, err)
	}
	text, from := os.Getenv(KeysSetting), KeysSetting
	if path := os.Getenv(KeysFileSetting); path != "" {
		if text != "" {
			return nil, fmt.Errorf("%s and %s are both set; give one", KeysSetting, KeysFileSetting)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", KeysFileSetting, err)
		}
		text, from = string(data), path
	}
	if text == "" {
		return keeper, nil
	}
	keys, err := crypt.ParseKeys(ctx, text, keeper)
	if err != nil {
		return nil, fmt.Errorf("encryption keys in %s: %w", from, err)
	}
	var retired [][]byte
	for _, k := range keys[1:] {
		retired = append(retired, k.Secret)
	}
	if len(s.EncryptionKey) > 0 {
		retired = append(retired, s.EncryptionKey)
	}
	s.EncryptionKey, s.RetiredKeys = keys[0].Secret, append(retired, s.RetiredKeys...)
	if keyservice.Wrapped(text) {
		s.Recheck = func(ctx context.Context) error { _, err := crypt.ParseKeys(ctx, text, keeper); return err }
	}
	return keeper, s.check()
}

// LoadSecrets reads the secrets kept in a file, and makes the file on the first start. Where the
// environment gives the encryption keys, LoadKeys must follow.
func LoadSecrets(path string) (Secrets, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecrets(path)
	}
	if err != nil {
		return Secrets{}, fmt.Errorf("app: secrets: %w", err)
	}
	var s Secrets
	if err := json.Unmarshal(data, &s); err != nil {
		return Secrets{}, fmt.Errorf("app: secrets in %s are no JSON of the expected form", path) // not the content
	}
	if keysElsewhere() && len(s.EncryptionKey) == 0 {
		return s, nil // LoadKeys checks them together
	}
	return s, s.check()
}

func makeSecrets(path string) (Secrets, error) {
	s := Secrets{
		RootToken: slug.New() + slug.New(), QueueToken: slug.New() + slug.New(), WorkerToken: slug.New() + slug.New(),
		URLKey: make([]byte, 32),
	}
	if !keysElsewhere() {
		s.EncryptionKey = make([]byte, 32)
		rand.Read(s.EncryptionKey)
	}
	rand.Read(s.URLKey)
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return Secrets{}, fmt.Errorf("app: secrets: %w", err)
	}
	return s, WriteFile(path, append(data, '\n'), 0o600)
}

// WriteFile puts a whole file in place, or nothing.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("app: write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // fails when renamed, as it should
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("app: write %s: %w", path, err)
	}
	return nil
}
