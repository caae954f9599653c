// Package podmantest runs a private Podman for tests: its service on a Unix socket, with its own storage, and
// a small image with busybox. Nothing of it is left when the test ends.
package podmantest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Image is an image that is there from the start: busybox, a user worker (1000:1000) with home
// /builds/worker, and nothing else.
const Image = "localhost/treeline-busybox:test"

// keeper runs the service and ends it when its own input ends, as it does when the test process is gone.
const keeper = `"$@" </dev/null & service=$!
cat >/dev/null
kill -TERM $service; wait $service
exit 0`

// startLimit is how long the service may take to answer.
const startLimit = 30 * time.Second

// configuration works in containers and virtual machines without systemd.
const configuration = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=2048:2048"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`

// Start runs the service until the test ends, loads Image, and sets DOCKER_HOST to the socket. Lines are added to its
// containers.conf.
func Start(t testing.TB, lines ...string) (host string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "podman-") //nolint:usetesting // paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	p := &podman{dir: dir}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("podmantest: %v", err)
		}
	})
	if err := p.start(configuration + strings.Join(lines, "\n")); err != nil {
		t.Fatalf("podmantest: %v\n%s", err, &p.out)
	}
	if s, ok := t.(interface{ Setenv(key, value string) }); ok {
		s.Setenv("DOCKER_HOST", p.host())
		s.Setenv("DOCKER_API_VERSION", "")
	}
	return p.host()
}

// Environment has what the program podman itself needs to use the storage of a service that Start has started, images and
// containers, and DOCKER_HOST. All of it goes when the service's test ends.
func Environment(host string) map[string]string {
	dir := filepath.Dir(strings.TrimPrefix(host, "unix://"))
	return map[string]string{"DOCKER_HOST": host, "TMPDIR": dir,
		"CONTAINERS_CONF": filepath.Join(dir, containersFile), "CONTAINERS_STORAGE_CONF": filepath.Join(dir, storageFile)}
}

// The files of settings, in the directory of the socket.
const containersFile, storageFile = "containers.conf", "storage.conf"

type podman struct {
	dir  string
	cmd  *exec.Cmd
	life io.Closer // closing it ends the service
	out  bytes.Buffer
}

func (p *podman) socket() string { return filepath.Join(p.dir, "socket") }
func (p *podman) host() string   { return "unix://" + p.socket() }

// command is podman with the private storage.
func (p *podman) command(args ...string) *exec.Cmd {
	cmd := exec.Command("podman", args...)
	cmd.Env = os.Environ()
	for name, value := range Environment(p.host()) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

func (p *podman) start(conf string) error {
	conf = strings.Replace(conf, "[engine]\n", fmt.Sprintf("[engine]\ntmp_dir = %q\n", filepath.Join(p.dir, "tmp")), 1)
	storage := fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(p.dir, "root"), filepath.Join(p.dir, "run"))
	for name, text := range map[string]string{containersFile: conf, storageFile: storage} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	archive, err := rootFS()
	if err != nil {
		return err
	}
	load := p.command("import", "--quiet", "--change", "ENV PATH=/bin:/usr/local/bin", "--change", "ENV HOME=/builds/worker", "--change", "WORKDIR /builds/worker", "-", Image)
	load.Stdin = bytes.NewReader(archive)
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("import: %w: %s", err, out)
	}
	service := p.command("system", "service", "--time=0", p.host())
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", keeper, "sh"}, service.Args...)...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = service.Env, &p.out, &p.out
	if p.life, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(startLimit); ; {
		conn, err := net.Dial("unix", p.socket())
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// stop ends the service and what containers are left, and removes the storage.
func (p *podman) stop() error {
	var problems []error
	if out, err := p.command("rm", "--all", "--force", "--time", "0").CombinedOutput(); err != nil {
		problems = append(problems, fmt.Errorf("rm: %w: %s", err, out))
	}
	if p.cmd != nil && p.cmd.Process != nil {
		problems = append(problems, p.life.Close(), p.cmd.Wait())
	}
	// Not "system reset": it removes the networks of every Podman on this machine, as they share one folder.
	overlay := filepath.Join(p.dir, "root", "overlay")
	if out, err := exec.Command("umount", "--lazy", overlay).CombinedOutput(); err != nil && !strings.Contains(string(out), "not mounted") && !strings.Contains(string(out), "no mount point") {
		problems = append(problems, fmt.Errorf("umount: %w: %s", err, out))
	}
	return errors.Join(append(problems, os.RemoveAll(p.dir))...)
}

// rootFS is the image's file system.
func rootFS() ([]byte, error) {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("%w (tools/need podman installs it)", err)
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var problems []error
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		err := w.WriteHeader(&h)
		if err == nil {
			_, err = io.Copy(w, bytes.NewReader(content))
		}
		problems = append(problems, err)
	}
	dir := func(name string, mode int64, owner int) {
		add(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, Uid: owner, Gid: owner}, nil)
	}
	for _, name := range []string{"bin/", "etc/", "usr/", "usr/local/", "usr/local/bin/", "builds/", "dev/", "proc/", "sys/", "root/"} {
		dir(name, 0o755, 0)
	}
	dir("tmp/", 0o1777, 0)
	dir("builds/worker/", 0o755, 1000)
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, busybox)
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" {
			add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"}, nil)
		}
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/bash", Mode: 0o755}, []byte("#!/bin/sh\nexec sh \"$@\"\n"))
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000:worker:/builds/worker:/bin/sh\n"))
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nworker:x:1000:\n"))
	problems = append(problems, w.Close())
	return b.Bytes(), errors.Join(problems...)
}
