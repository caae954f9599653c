package local_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/local"
	"github.com/treeline-ci/treeline/pools/provider/providertest"
)

// program is a worker that writes down what it was given, and stays.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker")
	script := "#!/bin/sh\necho \"args: $*\"; env; exec sleep 600\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProvider(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://secret")
	t.Setenv("PASSED", "on")
	secret := []byte("k")
	dir := t.TempDir()
	config := local.Config{Dir: dir, Program: program(t), Secret: secret, PassEnv: []string{"PASSED"}, Args: []string{"--task-users", "61000"}}
	p, err := local.New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	providertest.Run(t, providertest.Case{
		Scaler: p, Config: json.RawMessage(`{"env": {"MORE": "1"}, "args": ["--verbose"]}`), Bad: json.RawMessage(`{"args": 7}`),
		Proof: func(_ *testing.T, i provider.Instance) json.RawMessage { return provider.TokenProof(secret, i.Key) },
	})
	t.Run("a server that comes back finds its workers", func(t *testing.T) {
		i, err := p.Launch(t.Context(), provider.Launch{Key: "AAAA", Config: json.RawMessage(`{}`), Capacity: 3})
		if err != nil {
			t.Fatal(err)
		}
		again, err := local.New(config, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Look(t.Context(), []provider.Instance{i})
		if err != nil || got[0] != provider.Running {
			t.Errorf("%v, %v", got, err)
		}
		text := wait(t, filepath.Join(dir, "AAAA", "worker.log"), "PASSED=on")
		if strings.Contains(text, "secret") || !strings.Contains(text, "--capacity 3 --task-users 61000") {
			t.Errorf("the worker got %s", text)
		}
		if err := again.Stop(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; {
			if got, err := again.Look(t.Context(), []provider.Instance{i}); err != nil || got[0] == provider.Gone {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("it does not end")
			}
			<-time.After(10 * time.Millisecond)
		}
		if _, err := os.Stat(filepath.Join(dir, "AAAA")); err == nil {
			t.Error("its directory is left")
		}
		wait(t, filepath.Join(dir, "ended", "AAAA.log"), "PASSED=on")
	})
}

// wait reads a file once it has some text.
func wait(t *testing.T, path, want string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), want) {
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s, %v", path, text, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
