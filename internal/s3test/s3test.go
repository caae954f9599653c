// Package s3test runs a real S3 server, versitygw on a folder, for tests. The program is built with
// the Go tool from its public module the first time on a machine, which takes a minute or a few, and
// shared from then on. It is never part of Treeline.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	module  = "github.com/versity/versitygw/cmd/versitygw"
	version = "v1.8.0"
)

// The only user of the server.
const (
	AccessKey = "test-access"
	SecretKey = "test-secret-of-no-worth"
	Region    = "us-east-1"
)

// Program returns the path of the server's program, which is built when it is not there. It needs
// the Go tool and, the first time, a module proxy.
func Program(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("s3test: %w", err)
	}
	dir := filepath.Join(cache, "treeline", "versitygw-"+version)
	path := filepath.Join(dir, "versitygw")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("s3test: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", fmt.Errorf("s3test: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("s3test: lock: %w", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	building := filepath.Join(dir, "building")
	cmd := exec.CommandContext(ctx, "go", "install", module+"@"+version)
	cmd.Dir = dir                                                                        // outside of our module, whose requirements must not matter
	cmd.Env = append(os.Environ(), "GOBIN="+building, "GOFLAGS=-ldflags=-s", "GOGC=300") // quickly: two minutes as it is
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("s3test: build %s: %w\n%s", module, err, out)
	}
	// The name appears when the program is whole.
	if err := os.Rename(filepath.Join(building, "versitygw"), path); err != nil {
		return "", fmt.Errorf("s3test: %w", err)
	}
	return path, nil
}

// Server is a running server.
type Server struct {
	Endpoint string // http://127.0.0.1:PORT, the same after a restart
	Root     string // a bucket is a folder in it
	address  string
	program  string
	sidecar  string
	mu       sync.Mutex
	cmd      *exec.Cmd
	exited   chan struct{}
	output   *bytes.Buffer
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := Program(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Endpoint: "http://" + address, Root: t.TempDir(), address: address, program: program, sidecar: t.TempDir()}
	t.Cleanup(s.Kill)
	s.Run(t)
	return s
}

// freeAddress finds a port that is free now. It must be known before the server starts, for the
// server comes back at the same one.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Run starts the server, again after Kill, and returns when it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output = &bytes.Buffer{}
	s.cmd = exec.Command(s.program, "--quiet", "--access", AccessKey, "--secret", SecretKey, "--region", Region,
		"--port", s.address, "--health", "/healthy", "posix", "--sidecar", s.sidecar, s.Root)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // killed, as intended, or it ended by itself, which shows below
		close(exited)
	}(s.cmd)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		if s.healthy(t.Context()) {
			return
		}
		select {
		case <-exited:
			t.Fatalf("s3test: versitygw ended: %s", s.output)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("s3test: versitygw does not answer")
		}
	}
}

func (s *Server) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/healthy", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.exited
	s.cmd = nil
}

// Bucket makes a new bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	client, err := minio.New(s.address, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("bucket-%d", time.Now().UnixNano())
	if err := client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: Region}); err != nil {
		t.Fatal(err)
	}
	return name
}
