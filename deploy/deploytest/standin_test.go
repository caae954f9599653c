//go:build deploy

package deploytest_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/s3test"
)

// standIn is Debian with what stand-ins run, and workerImage a worker on it.
const (
	standIn     = "localhost/treeline-standin-debian:test"
	workerImage = "localhost/treeline-worker:test"
)

// standInPackages are Debian's packages of what compose.yaml takes from a registry; versitygw is built with Go.
const standInPackages = "postgresql,rabbitmq-server,caddy,busybox-static"

// composeParts lays out what the test of the compose file starts: Docker Compose, Debian, versitygw, and the archive of
// Treeline's image, which is made as a release makes it.
func composeParts(t *testing.T) (dir string) {
	t.Helper()
	program := os.Getenv("COMPOSE")
	if program == "" {
		t.Fatal("COMPOSE names no Docker Compose (make test-deploy builds it)")
	}
	gateway, err := s3test.Program(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, at := range map[string]string{"docker-compose": program, "versitygw": gateway, "debian.tar": debian(t, standInPackages)} {
		if err := os.Symlink(at, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	released(newPodman(t), filepath.Join(dir, "dist"), true)
	return dir
}

// debian is an archive of a Debian with these packages, which is made the first time on a machine: it takes minutes.
func debian(t *testing.T, packages string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(cache, "treeline", "standin-"+strings.ReplaceAll(packages, ",", "-")+".tar")
	if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			t.Fatal(err)
		}
		return archive
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	codename := regexp.MustCompile(`(?m)^VERSION_CODENAME=(\w+)$`).FindSubmatch(release)
	if codename == nil {
		t.Fatal("this machine is no Debian: /etc/os-release has no VERSION_CODENAME")
	}
	dir := t.TempDir()
	root, made := filepath.Join(dir, "root"), filepath.Join(dir, "made.tar")
	for _, line := range [][]string{
		{"debootstrap", "--variant=minbase", "--include=" + packages, string(codename[1]), root},
		{"tar", "-C", root, "--exclude=./var/cache", "--exclude=./var/lib/apt", "--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/locale", "-cf", made, "."},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", line, err, out)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(archive), 0o755), os.Rename(made, archive)); err != nil {
		t.Fatal(err)
	}
	return archive
}

// standIns makes the images, each under the name that compose.yaml has, and loads that of Treeline, whose name it returns.
func standIns(p podman, parts string) (treeline string) {
	p.t.Helper()
	p.run("import", "--quiet", filepath.Join(parts, "debian.tar"), standIn)
	dir := p.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/standin")); err != nil {
		p.t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(parts, "versitygw"))
	if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "versitygw"), program, 0o755)); err != nil {
		p.t.Fatal(err)
	}
	var file struct {
		Services map[string]struct{ Image string }
	}
	if err := yaml.Unmarshal([]byte(text(p.t, "../compose.yaml")), &file); err != nil {
		p.t.Fatal(err)
	}
	for target, service := range map[string]string{"postgres": "postgres", "rabbitmq": "rabbitmq", "caddy": "proxy", "versitygw": "s3"} {
		p.run("build", "--quiet", "--format=docker", "--build-arg", "BASE="+standIn, "--target", target, "--tag", file.Services[service].Image, dir)
	}
	archives, err := filepath.Glob(filepath.Join(parts, "dist", "*-image-linux-amd64.tar"))
	if err != nil || len(archives) != 1 {
		p.t.Fatalf("archives of the image: %v, %v", archives, err)
	}
	_, treeline, ok := strings.Cut(p.run("load", "--quiet", "--input", archives[0]), ": ")
	if !ok {
		p.t.Fatal("podman does not say what it loaded")
	}
	p.run("build", "--quiet", "--format=docker", "--build-arg", "BASE="+standIn, "--build-arg", "TREELINE="+treeline, "--tag", workerImage, "--file", "../image/worker.Containerfile", "../image")
	return treeline
}
