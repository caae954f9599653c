package dev

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/internal/fault"
)

func quiet(data string) Config {
	return Config{Data: data, Out: io.Discard, Log: slog.New(slog.DiscardHandler)}
}

func TestWhatKeepsItFromStarting(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := t.TempDir()
	unlock, err := lock(held)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	for _, c := range []struct {
		name   string
		config func(*Config)
		kind   fault.Kind
		want   string
	}{
		{"a data directory in use", func(c *Config) { c.Data = held }, fault.Conflict, "--data"},
		{"a port in use", func(c *Config) { c.Port = busy.Addr().(*net.TCPAddr).Port }, fault.Conflict, "--port"},
		{"a number that is no port", func(c *Config) { c.Port = 99999 }, fault.Invalid, "65535"},
		{"fewer than no workers", func(c *Config) { c.Workers = -1 }, fault.Invalid, "--workers"},
		{"a data directory that is a file", func(c *Config) { c.Data = file }, fault.Internal, "data directory"},
		{"a repository that is none", func(c *Config) { c.Repo = t.TempDir() }, fault.Invalid, "git init"},
		{"a repository that is not there", func(c *Config) { c.Repo = "/no/such/place" }, fault.Invalid, "/no/such/place"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := quiet(t.TempDir())
			c.config(&config)
			err := Run(t.Context(), config)
			if err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, of kind %v; want %v with %q", err, fault.KindOf(err), c.kind, c.want)
			}
			if _, err := os.Stat(filepath.Join(config.Data, "pg")); err == nil {
				t.Error("a database was made before the refusal")
			}
		})
	}
}

func TestALockEndsWithItsHolder(t *testing.T) {
	data := t.TempDir()
	for range 2 {
		unlock, err := lock(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock(data); !errors.Is(err, fault.Conflict) {
			t.Errorf("a second holder: %v", err)
		}
		unlock()
	}
}

func TestTheEnvironmentFile(t *testing.T) {
	data := t.TempDir()
	if err := writeEnv(data, "http://127.0.0.1:1", app.Secrets{RootToken: "the-token"}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "env")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			got[name] = value
		}
	}
	want := map[string]string{
		"TASKCLUSTER_ROOT_URL": "http://127.0.0.1:1", "TASKCLUSTER_CLIENT_ID": app.RootClient,
		"TASKCLUSTER_ACCESS_TOKEN": "the-token", "TASKCLUSTER_CERTIFICATE": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others may read the token", err, info.Mode())
	}
}

func TestStoppingHasItsOwnTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stop(ctx, func(ctx context.Context) error { return ctx.Err() }); err != nil {
		t.Errorf("a part had no time to end: %v", err)
	}
}

func TestTheBannerCanBeCopiedIntoAShell(t *testing.T) {
	data := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeEnv(data, "http://127.0.0.1:1", app.Secrets{RootToken: "the-token"}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c := Config{Out: &out, Program: "/bin/echo"}
	c.banner(data, "http://127.0.0.1:1", app.LocalRepository{}, app.Secrets{}, 0)
	_, line, _ := strings.Cut(out.String(), "Command line")
	line, _, _ = strings.Cut(line, "\n")
	got, err := exec.CommandContext(t.Context(), "sh", "-c", line+" $TASKCLUSTER_ACCESS_TOKEN").CombinedOutput()
	if err != nil || string(got) != "group list the-token\n" {
		t.Errorf("%s: %s%v", line, got, err)
	}
}

// What was made before the stop names the address: tasks mount what their decision left there.
func TestAFreePortIsThatOfTheLastStartWhereItCanBe(t *testing.T) {
	data := t.TempDir()
	config := quiet(data)
	first, err := config.listen(data)
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	if err := writeEnv(data, "http://"+address, app.Secrets{}); err != nil {
		t.Fatal(err)
	}
	other, err := config.listen(data)
	if err != nil {
		t.Fatalf("its port is taken: %v", err)
	}
	defer other.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := config.listen(data)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if other.Addr().String() == address || again.Addr().String() != address {
		t.Errorf("first %s, while that was taken %s, then %s", address, other.Addr(), again.Addr())
	}
}
