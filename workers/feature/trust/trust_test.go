package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/feature/trust"
)

func TestCertificates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	text, err := trust.NewKey(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.ReadKey(file)
	if err != nil {
		t.Fatal(err)
	}
	public, err := trust.ParsePublic(text)
	if err != nil {
		t.Fatal(err)
	}
	want := trust.Statement{
		Version: trust.Version, TaskID: "t", RunID: 1, WorkerGroup: "g", WorkerID: "w", Task: json.RawMessage(`{"a":"<b>"}`),
		Artifacts: map[string]trust.Artifact{"public/x": {SHA256: "00"}}, Environment: trust.Environment{Engine: "process", SchedulerID: "s"},
	}
	certificate, signature, err := trust.Sign(key, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trust.Open(certificate, signature, []ed25519.PublicKey{public})
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, got.Task); err != nil {
		t.Fatal(err)
	}
	got.Task = compact.Bytes()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(signature) != ed25519.SignatureSize || !bytes.Contains(certificate, []byte("\n  \"taskId\"")) {
		t.Errorf("%d bytes of signature, certificate %s", len(signature), certificate)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(certificate, []byte(`"00"`), []byte(`"01"`), 1)
	for name, try := range map[string]func() error{
		"a certificate that was changed": func() error { _, err := trust.Open(changed, signature, []ed25519.PublicKey{public}); return err },
		"another key":                    func() error { _, err := trust.Open(certificate, signature, []ed25519.PublicKey{other}); return err },
		"no key":                         func() error { _, err := trust.Open(certificate, signature, nil); return err },
		"half a signature": func() error {
			_, err := trust.Open(certificate, signature[:32], []ed25519.PublicKey{public})
			return err
		},
	} {
		if err := try(); !errors.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysOfWorkers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if _, err := trust.NewKey(file); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.NewKey(file); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key was written over: %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.ReadKey(file); !errors.Is(err, fault.Invalid) {
		t.Errorf("a key that everybody reads: %v", err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.ReadKey(bad); !errors.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if _, err := trust.ParsePublic("nonsense"); !errors.Is(err, fault.BadArguments) {
		t.Errorf("%v", err)
	}
}
