package app

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/internal/slug"
)

// Secrets are what a server must keep to itself, and keep across restarts.
type Secrets struct {
	RootToken     string `json:"rootAccessToken"`   // of client static/taskcluster/root, which may do everything
	QueueToken    string `json:"queueAccessToken"`  // of client static/taskcluster/queue, which signs the tasks' credentials
	WorkerToken   string `json:"workerAccessToken"` // of client static/treeline/worker, with which local workers claim tasks
	EncryptionKey []byte `json:"encryptionKey"`     // 32 bytes; access tokens in the database are encrypted with it
	URLKey        []byte `json:"urlKey"`            // 32 bytes; upload and download URLs are signed with it
}

func (s Secrets) check() error {
	if len(s.RootToken) < 22 || len(s.QueueToken) < 22 || len(s.WorkerToken) < 22 || len(s.EncryptionKey) != 32 || len(s.URLKey) != 32 {
		return errors.New("secrets: the file is incomplete; each access token needs 22 characters or more, each key 32 bytes in base64")
	}
	return nil
}

// LoadSecrets reads the secrets kept in a file, and makes the file on the first start.
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
	return s, s.check()
}

func makeSecrets(path string) (Secrets, error) {
	s := Secrets{
		RootToken: slug.New() + slug.New(), QueueToken: slug.New() + slug.New(), WorkerToken: slug.New() + slug.New(),
		EncryptionKey: make([]byte, 32), URLKey: make([]byte, 32),
	}
	rand.Read(s.EncryptionKey)
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
