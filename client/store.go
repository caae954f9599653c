package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Stored are credentials for a server that "treeline signin" keeps in a file of the user's, which
// nobody else may read.
type Stored struct {
	RootURL     string    `json:"rootUrl"`
	ClientID    string    `json:"clientId"`
	AccessToken string    `json:"accessToken"`
	Expires     time.Time `json:"expires"`
}

// storeFile is the content of the file: one entry a server, the one signed in to last first.
type storeFile struct {
	Servers []Stored `json:"servers"`
}

// StorePath returns where credentials are kept: TREELINE_CREDENTIALS, or treeline/credentials.json in
// the user's folder of configuration.
func StorePath() (string, error) {
	if path := os.Getenv("TREELINE_CREDENTIALS"); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("client: where to keep credentials: %w; set TREELINE_CREDENTIALS to a file", err)
	}
	return filepath.Join(dir, "treeline", "credentials.json"), nil
}

func readStore() (storeFile, string, error) {
	var s storeFile
	path, err := StorePath()
	if err != nil {
		return s, "", nil //nolint:nilerr // nowhere to keep is nothing kept
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, path, nil
	}
	if err != nil {
		return s, path, fmt.Errorf("client: stored credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return s, path, fault.New(fault.Invalid, "others may read the credentials in %s: run \"chmod 600 %s\", or sign in again", path, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return s, path, fmt.Errorf("client: stored credentials: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, path, fault.New(fault.Invalid, "the stored credentials in %s are damaged: delete the file and sign in again", path) // not the content
	}
	return s, path, nil
}

func writeStore(path string, s storeFile) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(filepath.Dir(path), ".credentials-*") // with mode 0600
	}
	if err != nil {
		return fmt.Errorf("client: store credentials: %w", err)
	}
	defer os.Remove(f.Name()) // fails when renamed, as it should
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("client: store credentials: %w", err)
	}
	return nil
}

// Store keeps credentials; those of the same server before are replaced.
func Store(entry Stored) error {
	s, path, err := readStore()
	if err != nil {
		return err
	}
	if path == "" {
		_, err := StorePath()
		return err
	}
	entry.RootURL = strings.TrimRight(entry.RootURL, "/")
	s.Servers = slices.DeleteFunc(s.Servers, func(e Stored) bool { return e.RootURL == entry.RootURL })
	s.Servers = append([]Stored{entry}, s.Servers...)
	return writeStore(path, s)
}

// Remembered returns the stored credentials for a server; "" is the one signed in to last. False says
// that there are none.
func Remembered(rootURL string) (Stored, bool, error) {
	s, _, err := readStore()
	if err != nil {
		return Stored{}, false, err
	}
	rootURL = strings.TrimRight(rootURL, "/")
	for _, e := range s.Servers {
		if rootURL == "" || e.RootURL == rootURL {
			return e, true, nil
		}
	}
	return Stored{}, false, nil
}

// Forget removes the stored credentials for a server.
func Forget(rootURL string) error {
	s, path, err := readStore()
	if err != nil {
		return err
	}
	rootURL = strings.TrimRight(rootURL, "/")
	before := len(s.Servers)
	s.Servers = slices.DeleteFunc(s.Servers, func(e Stored) bool { return e.RootURL == rootURL })
	if len(s.Servers) == before {
		return nil
	}
	return writeStore(path, s)
}

// remember fills in what the environment does not say. Programs in tasks have nothing stored: a worker's
// user may have.
func remember(cfg *Config) error {
	if cfg.Credentials.ClientID != "" || os.Getenv("TASKCLUSTER_PROXY_URL") != "" || os.Getenv("TASK_ID") != "" {
		return nil
	}
	stored, ok, err := Remembered(cfg.RootURL)
	if err != nil || !ok {
		return err
	}
	if !stored.Expires.IsZero() && stored.Expires.Before(time.Now()) {
		return fault.New(fault.Unauthenticated, "your sign-in at %s ended at %s: run \"treeline signin\" again, or \"treeline signout\"", stored.RootURL, stored.Expires.Format(time.RFC3339))
	}
	cfg.RootURL = stored.RootURL
	cfg.Credentials = hawk.Credentials{ClientID: stored.ClientID, AccessToken: stored.AccessToken}
	return nil
}
