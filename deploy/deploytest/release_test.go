//go:build deploy

package deploytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pagesRelease is the release that pages have in their examples.
const pagesRelease = "v1.2.3"

// taggedClone is a clone of this checkout's commit, which is the release of the pages there.
func taggedClone(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "treeline")
	for _, args := range [][]string{
		{"clone", "--quiet", "../..", dir},
		{"-C", dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "tag", "--annotate", "--message=A release", pagesRelease},
	} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

// release makes what a release has for this platform, with the image, and returns the directory.
func release(t *testing.T, checkout string) (dist string) {
	t.Helper()
	s := newShell(t, checkout, onePlatform)
	podmanOf(newPodman(t), s)
	out, err := s.command("make release image").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return filepath.Join(checkout, "dist")
}

// onePlatform has make build for one platform of six.
const onePlatform = "PLATFORMS=linux/amd64"

// podmanOf puts the private Podman into a shell.
func podmanOf(p podman, s shell) {
	p.t.Helper()
	program, err := exec.LookPath("podman")
	if err != nil {
		p.t.Fatal(err)
	}
	s.program("podman", "export CONTAINERS_CONF='"+filepath.Join(p.dir, "containers.conf")+"' TMPDIR='"+p.dir+"'\nexec "+program+" "+strings.Join(p.options(), " ")+` "$@"`)
}

// What docs/operations/release.md says of the same bytes is typed, where the published checksums are of a release that
// somebody else made.
func TestTheReleasePage(t *testing.T) {
	page := openBook(t, "docs/operations/release.md")
	published := text(t, filepath.Join(release(t, taggedClone(t)), "SHA256SUMS"))
	checkout := taggedClone(t)
	if err := os.WriteFile(filepath.Join(checkout, "../SHA256SUMS.published"), []byte(published), 0o644); err != nil {
		t.Fatal(err)
	}
	s := newShell(t, checkout, onePlatform)
	podmanOf(newPodman(t), s)
	said := s.types(page.next("git checkout"))
	for _, want := range []string{"the same both times", "treeline-v1.2.3-linux-amd64.tar.gz: OK", "treeline-v1.2.3-image-linux-amd64.tar: OK"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q", want)
		}
	}
	t.Log(said)
}
