package container_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/workers/engine/container"
)

// connect is the test's own Podman.
func connect(t *testing.T) *container.Engine {
	t.Helper()
	podmantest.Start(t)
	e, err := container.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func run(t *testing.T, e *container.Engine, s container.Spec) (container.Exit, string) {
	t.Helper()
	var out bytes.Buffer
	s.Image, s.Output = podmantest.Image, &out
	exit, err := e.Run(t.Context(), s)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return exit, out.String()
}

func TestCommandsInContainers(t *testing.T) {
	e := connect(t)
	if !strings.HasPrefix(e.Name(), "Podman ") {
		t.Errorf("the engine is %q", e.Name())
	}
	t.Run("output, environment, directory, user and exit status", func(t *testing.T) {
		exit, out := run(t, e, container.Spec{Argv: []string{"sh", "-c", `echo "$A in $(pwd) as $(id -u)"; echo err >&2; exit 7`}, Env: []string{"A=b c"}, Dir: "/tmp", User: "worker"})
		if exit.Code != 7 || exit.Stopped || !strings.Contains(out, "b c in /tmp as 1000\n") || !strings.Contains(out, "err\n") {
			t.Errorf("%+v\n%s", exit, out)
		}
	})
	t.Run("a lot of output, whole", func(t *testing.T) {
		if _, out := run(t, e, container.Spec{Argv: []string{"sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done"}}); strings.Count(out, "\n") != 20000 || !strings.HasSuffix(out, "line-19999\n") {
			t.Errorf("%d lines", strings.Count(out, "\n"))
		}
	})
	t.Run("files that are put there, and those that were missing", func(t *testing.T) {
		from := filepath.Join(t.TempDir(), "from")
		if err := os.WriteFile(from, []byte("from the machine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, out := run(t, e, container.Spec{Argv: []string{"sh", "-c", "cat /new/dir/a /b; head -1 /etc/group; /new/run"}, Files: []container.File{
			{Place: "/new/dir/a", Mode: 0o644, Content: []byte("content\n")}, {Place: "/b", Mode: 0o644, From: from},
			{Place: "/etc/group", Mode: 0o644, Content: []byte("mine\n"), Missing: true}, {Place: "/new/run", Mode: 0o755, Content: []byte("#!/bin/sh\necho ran\n"), Missing: true},
		}})
		if out != "content\nfrom the machine\nroot:x:0:\nran\n" {
			t.Errorf("%q", out)
		}
	})
	t.Run("binds and volumes", func(t *testing.T) {
		dir := t.TempDir()
		s := container.Spec{Argv: []string{"sh", "-c", "cat /v/kept /b/file; echo kept >/v/kept; echo written >/b/file; echo no >/r/file || echo refused"},
			Binds: []container.Bind{{Host: dir, Place: "/b"}, {Host: dir, Place: "/r", ReadOnly: true}}, Volumes: map[string]string{"/v": "treeline-test"}}
		run(t, e, s)
		if _, out := run(t, e, s); !strings.Contains(out, "kept\nwritten\n") || !strings.Contains(out, "refused") {
			t.Errorf("%q", out)
		}
	})
	t.Run("the end of the context stops it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		exit, err := e.Run(ctx, container.Spec{Image: podmantest.Image, Output: &out, Argv: []string{"sh", "-c", "trap 'echo asked; exit 9' TERM; echo up; while :; do sleep 0.1; done"},
			Started: func(string) { time.AfterFunc(500*time.Millisecond, cancel) }, Grace: 5 * time.Second})
		if err != nil || !exit.Stopped || exit.Code != 9 || !strings.Contains(out.String(), "asked") {
			t.Errorf("%+v %v\n%s", exit, err, &out)
		}
	})
	t.Run("a terminal", func(t *testing.T) {
		var mu sync.Mutex
		var out bytes.Buffer
		sizes := make(chan [2]uint, 1)
		sizes <- [2]uint{33, 111}
		exit, err := e.Run(t.Context(), container.Spec{Image: podmantest.Image, Argv: []string{"sh"}, Env: []string{"PS1=> "}, Terminal: &container.Terminal{
			In: strings.NewReader("sleep 1; stty size; tty; exit 4\n"), Out: writer(func(p []byte) { mu.Lock(); defer mu.Unlock(); out.Write(p) }), Resize: sizes,
		}})
		mu.Lock()
		defer mu.Unlock()
		if err != nil || exit.Code != 4 || !strings.Contains(out.String(), "33 111") || !strings.Contains(out.String(), "/dev/") {
			t.Errorf("%+v %v\n%s", exit, err, &out)
		}
	})
	t.Run("what is not there is said", func(t *testing.T) {
		_, err := e.Run(t.Context(), container.Spec{Image: "localhost/none:such", Argv: []string{"true"}, Output: &bytes.Buffer{}})
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("image: %v", err)
		}
		if _, err = e.Run(t.Context(), container.Spec{Image: podmantest.Image, Argv: []string{"no-such-program"}, Output: &bytes.Buffer{}}); err == nil || !strings.Contains(err.Error(), "no-such-program") {
			t.Errorf("program: %v", err)
		}
	})
	images(t, e)
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func buildContext(t *testing.T, files map[string]string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func images(t *testing.T, e *container.Engine) {
	t.Run("an image is built, with arguments and progress", func(t *testing.T) {
		var said []string
		id, err := e.Build(t.Context(), container.Build{
			Context: buildContext(t, map[string]string{"Dockerfile": "FROM " + podmantest.Image + "\nARG WHO\nCOPY file /file\nENV HOME=/home\nRUN echo \"for $WHO\" >/made\n", "file": "content"}),
			Tag:     "treeline-made:1", Args: map[string]string{"WHO": "somebody"},
		}, func(line string) { said = append(said, line) })
		if err != nil || !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "COPY file /file") }) {
			t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
		}
		if err := e.Tag(t.Context(), "treeline-made:1", "treeline-made:2"); err != nil {
			t.Fatal(err)
		}
		image, err := e.Image(t.Context(), "treeline-made:2")
		if err != nil || image.ID != id || image.Home != "/home" || len(image.Tags) != 2 {
			t.Errorf("%+v %v, want id %s", image, err, id)
		}
		var out bytes.Buffer
		if _, err := e.Run(t.Context(), container.Spec{Image: "treeline-made:2", Argv: []string{"cat", "/made", "/file"}, Output: &out}); err != nil || out.String() != "for somebody\ncontent" {
			t.Errorf("%q %v", &out, err)
		}
	})
	t.Run("a build that fails says where", func(t *testing.T) {
		var said []string
		_, err := e.Build(t.Context(), container.Build{Context: buildContext(t, map[string]string{"Dockerfile": "FROM " + podmantest.Image + "\nRUN echo before; exit 3\n"}), Tag: "treeline-bad:1"},
			func(line string) { said = append(said, line) })
		if err == nil || !strings.Contains(strings.Join(said, "\n"), "before") || !strings.Contains(err.Error(), "3") {
			t.Errorf("%v %q", err, said)
		}
	})
	t.Run("an archive that holds no image", func(t *testing.T) {
		if _, err := e.Load(t.Context(), strings.NewReader("nonsense")); err == nil {
			t.Error("no error")
		}
	})
}

func TestAnEngineThatIsNotThere(t *testing.T) {
	for _, host := range []string{"unix:///no/such/socket", "tcp://127.0.0.1:1", "ssh://somewhere", "nonsense"} {
		t.Setenv("DOCKER_HOST", host)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := container.Connect(ctx); err == nil || !strings.Contains(err.Error(), "container engine") {
			t.Errorf("%s: %v", host, err)
		}
		cancel()
	}
}
