// Package hgtest makes Mercurial repositories and serves them with the real hg serve, for tests.
package hgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Repo is a repository on this machine.
type Repo struct {
	t   testing.TB
	Dir string
}

// Init makes an empty repository in a new directory with the given name.
func Init(t testing.TB, name string) *Repo {
	t.Helper()
	r := &Repo{t: t, Dir: filepath.Join(t.TempDir(), name)}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Run("init")
	return r
}

// command is hg without anybody's settings.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "hg", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HGRCPATH=", "HGPLAIN=1", "HGENCODING=UTF-8", "LC_ALL=C.UTF-8", "HGUSER=Ada Lovelace <ada@example.com>")
	return cmd
}

// Run runs hg in the repository and returns what it says.
func (r *Repo) Run(args ...string) string {
	r.t.Helper()
	out, err := command(r.t.Context(), r.Dir, args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("hg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Commit writes files, commits them, and returns the changeset. A name that ends in * is executable.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	for name, content := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			name, mode = strings.TrimSuffix(name, "*"), 0o755
		}
		path := filepath.Join(r.Dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(content), mode)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.Run("addremove", "-q")
	r.Run("commit", "-q", "-m", message)
	return r.Run("log", "-r", ".", "-T", "{node}")
}

// Server is an hg serve.
type Server struct {
	URL string // without a slash at the end

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// Serve runs hg serve on the repository until the test ends; args are further options, such as
// "--config", "web.allow-archive=gz".
func (r *Repo) Serve(args ...string) *Server {
	r.t.Helper()
	s := &Server{t: r.t, dir: r.Dir, args: args}
	s.start("0")
	r.t.Cleanup(s.Stop)
	return s
}

func (s *Server) start(port string) {
	s.t.Helper()
	args := append([]string{"serve", "--address", "127.0.0.1", "--port", port, "--print-url", "--accesslog", os.DevNull, "--errorlog", os.DevNull}, s.args...)
	s.cmd = command(context.WithoutCancel(s.t.Context()), s.dir, args...)
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // without one there is no address
		said <- line
	}()
	select {
	case line := <-said:
		line = strings.TrimSuffix(strings.TrimSpace(line), "/")
		scheme, address, found := strings.Cut(line, "://")
		i := strings.LastIndexByte(address, ':')
		if !found || i < 0 {
			s.t.Fatalf("hg serve says %q", line)
		}
		s.URL = fmt.Sprintf("%s://127.0.0.1%s", scheme, address[i:])
	case <-time.After(30 * time.Second):
		s.t.Fatal("hg serve does not start")
	}
}

// Stop ends the server; Start lets it answer again at the same address.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // says that it was killed
	s.cmd = nil
}

// Start runs the server again.
func (s *Server) Start() {
	s.t.Helper()
	s.start(s.URL[strings.LastIndexByte(s.URL, ':')+1:])
}
