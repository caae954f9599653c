// Package trust writes and reads certificates of what a task made and where: the chain of trust
// (taskcluster-map 16.4). A certificate is JSON beside which its ed25519 signature stands; who has the worker's public
// key can tell that the artifacts are those that this worker made for this task.
package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Names of the artifacts.
const (
	Certificate = "public/chain-of-trust.json"
	Signature   = "public/chain-of-trust.json.sig"
	Log         = "public/logs/certified.log"
)

// Version of certificates.
const Version = 1

// Statement is what a certificate says.
type Statement struct {
	Version     int                 `json:"chainOfTrustVersion"`
	Artifacts   map[string]Artifact `json:"artifacts"`
	Task        json.RawMessage     `json:"task"` // the definition as it was claimed
	TaskID      string              `json:"taskId"`
	RunID       int                 `json:"runId"`
	WorkerGroup string              `json:"workerGroup"`
	WorkerID    string              `json:"workerId"`
	Environment Environment         `json:"environment"`
}

// Artifact is one by its digest.
type Artifact struct {
	SHA256 string `json:"sha256"`
}

// Environment says where the task ran.
type Environment struct {
	TaskQueueID       string   `json:"taskQueueId"`
	Engine            string   `json:"engine"`
	ImageID           string   `json:"imageHash,omitempty"`         // as the engine calls it
	ImageArtifactHash string   `json:"imageArtifactHash,omitempty"` // "sha256:<hex>" of the artifact it was made of
	Caches            []string `json:"caches,omitempty"`            // names of the caches that were mounted
	SchedulerID       string   `json:"schedulerId"`
}

// Sign returns the bytes of a certificate and their signature.
func Sign(key ed25519.PrivateKey, s Statement) (certificate, signature []byte, err error) {
	s.Version = Version
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, nil, fmt.Errorf("trust: %w", err)
	}
	certificate = bytes.TrimRight(b.Bytes(), "\n")
	return certificate, ed25519.Sign(key, certificate), nil
}

// Open reads a certificate that one of the keys signed. Any other is fault.Forbidden.
func Open(certificate, signature []byte, keys []ed25519.PublicKey) (Statement, error) {
	var s Statement
	signed := false
	for _, key := range keys {
		signed = signed || ed25519.Verify(key, certificate, signature)
	}
	if !signed {
		return s, fault.New(fault.Forbidden, "the signature is of none of the %d keys that are trusted", len(keys))
	}
	if err := json.Unmarshal(certificate, &s); err != nil {
		return s, fault.Wrap(fault.Invalid, err, "the certificate cannot be read: %v", err)
	}
	if s.Version != Version {
		return s, fault.New(fault.Invalid, "the certificate has version %d; this program knows %d", s.Version, Version)
	}
	return s, nil
}

// NewKey makes a key, writes it to a file that only its owner reads, and returns its public half as text.
func NewKey(file string) (public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key.Seed()) + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("trust: %w", err)
	}
	return base64.StdEncoding.EncodeToString(pub), nil
}

// ReadKey reads a worker's key: the base64 of its 32 bytes of seed, as generic-worker keeps it. Others than the
// owner must not be able to read the file.
func ReadKey(file string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "%s can be read by others than its owner, tasks among them: chmod 600 %s", file, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fault.New(fault.Invalid, "%s holds no key: make one with \"treeline cot new-key %s\"", file, file)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// ParsePublic reads a public key: base64 of its 32 bytes.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fault.New(fault.BadArguments, "%.60q is no public key: it is the base64 of 32 bytes, as \"treeline cot new-key\" prints it", text)
	}
	return key, nil
}
