package fetchcontent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shell runs a script in a new directory and returns the directory and its words.
func shell(t *testing.T, text string, env ...string) (dir string, words []string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("sh", "-ec", text)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=n@example.com",
		"GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=n@example.com"), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs.String())
	}
	return dir, strings.Fields(string(out))
}

// quick makes a fetcher that pauses and waits only briefly.
func quick(t *testing.T, env map[string]string) (*Fetcher, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	f := New(func(name string) string { return env[name] }, &out)
	f.pauses = []time.Duration{time.Millisecond, time.Millisecond}
	f.stall = 300 * time.Millisecond
	return f, &out
}

// serve serves files, and counts requests.
func serve(t *testing.T, files map[string][]byte) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var count atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := count.Add(1)
		content, ok := files[r.URL.Path]
		switch {
		case strings.HasPrefix(r.URL.Path, "/flaky/") && n < 3:
			http.Error(w, "later", http.StatusServiceUnavailable)
		case strings.HasPrefix(r.URL.Path, "/cut/") && n < 3:
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("half")) // the rest never comes
		case strings.HasPrefix(r.URL.Path, "/hang/"):
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case strings.HasPrefix(r.URL.Path, "/guarded/") && r.Header.Get("X-Key") != "open sesame":
			w.WriteHeader(http.StatusForbidden)
		case !ok:
			http.NotFound(w, r)
		default:
			_, _ = w.Write(content)
		}
	}))
	t.Cleanup(s.Close)
	return s, &count
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestStaticURL(t *testing.T) {
	content := []byte("the content\n")
	files := map[string][]byte{}
	for _, name := range []string{"/f.txt", "/flaky/f.txt", "/cut/f.txt", "/hang/f.txt", "/guarded/f.txt"} {
		files[name] = content
	}
	checks := []string{"--sha256", digest(content), "--size", strconv.Itoa(len(content))}
	for _, c := range []struct {
		name, path string
		args       []string
		requests   int64
		want       string // in the error; "" for none
	}{
		{"a file with its digest", "/f.txt", checks, 1, ""},
		{"a server that comes back", "/flaky/f.txt", checks, 3, ""},
		{"transfers that break", "/cut/f.txt", checks, 3, ""},
		{"a transfer that stands still", "/hang/f.txt", checks, 3, "nothing arrived"},
		{"a header", "/guarded/f.txt", append([]string{"-H", "X-Key: open sesame"}, checks...), 1, ""},
		{"no header", "/guarded/f.txt", checks, 1, "403"},
		{"another digest", "/f.txt", []string{"--sha256", strings.Repeat("0", 64)}, 1, "it should be 0000"},
		{"another size", "/f.txt", []string{"--size", "100"}, 1, "it should have 100"},
		{"too much", "/f.txt", []string{"--size", "3"}, 1, "more than the 3 bytes"},
		{"nothing there", "/none.txt", checks, 1, "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, count := serve(t, files)
			f, out := quick(t, nil)
			dest := filepath.Join(t.TempDir(), "sub", "dest.txt")
			err := f.command(t.Context(), append(append([]string{"static-url"}, c.args...), s.URL+c.path+"?secret=x", dest))
			got, _ := os.ReadFile(dest)
			switch {
			case c.want == "" && (err != nil || !bytes.Equal(got, content)):
				t.Errorf("%v, %q", err, got)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || got != nil):
				t.Errorf("%v, %q", err, got)
			}
			if count.Load() != c.requests || strings.Contains(out.String()+fmt.Sprint(err), "secret") {
				t.Errorf("%d requests, want %d\n%s%v", count.Load(), c.requests, out, err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dest), "*.part")); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestAnArchiveIsRenamedOnTheWay(t *testing.T) {
	_, words := shell(t, `mkdir top; echo x >top/file; tar czf - top | base64 -w0`)
	_, plain := shell(t, "printf %s "+words[0]+" | base64 -d >a.tgz; cat a.tgz | sha256sum")
	raw, err := exec.Command("sh", "-c", "printf %s "+words[0]+" | base64 -d").Output()
	if err != nil {
		t.Fatal(err)
	}
	s, _ := serve(t, map[string][]byte{"/a.tar.gz": raw})
	f, out := quick(t, nil)
	dest := filepath.Join(t.TempDir(), "a.tar.zst")
	err = f.command(t.Context(), []string{"static-url", "--sha256", plain[0], "--strip-components", "1", "--add-prefix", "lib/", s.URL + "/a.tar.gz", dest})
	if err != nil {
		t.Fatal(err, out)
	}
	listed, err := exec.Command("sh", "-c", "zstd -dqc "+dest+" | tar tf -").Output()
	if err != nil || string(listed) != "lib/file\n" {
		t.Errorf("%q %v", listed, err)
	}
	for _, bad := range [][]string{
		{"--strip-components", "1", s.URL + "/a.tar.gz", "a.tar.gz"}, {"--add-prefix", "x/", s.URL + "/f.txt", "f.tar.zst"}, {"ftp://x/y", "y"}, {"one"}, {"--nonsense"}, {"-H", "x", "http://x/y", "z"},
	} {
		if code := Run(t.Context(), append([]string{"static-url"}, bad...), nil, out); code != 2 {
			t.Errorf("%q: %d", bad, code)
		}
	}
}

func TestSignatures(t *testing.T) {
	dir, _ := shell(t, `export GNUPGHOME="$PWD/home"; mkdir -m 700 home
		for who in good bad; do
			gpg -q --batch --pinentry-mode loopback --passphrase '' --quick-generate-key "$who <$who@example.com>" ed25519 sign never 2>/dev/null
			gpg -q --armor --export $who@example.com >$who.key
		done
		echo content >file; gpg -q --batch --pinentry-mode loopback --passphrase '' -u good@example.com --detach-sign -o file.sig file
		gpgconf --kill gpg-agent`)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s, _ := serve(t, map[string][]byte{"/file": read("file"), "/file.sig": read("file.sig"), "/other": []byte("changed")})
	for _, c := range []struct{ key, file, want string }{
		{"good.key", "/file", ""}, {"bad.key", "/file", "not signed by the given key"}, {"good.key", "/other", "not signed by the given key"},
	} {
		f, out := quick(t, map[string]string{"KEY": string(read(c.key))})
		dest := filepath.Join(t.TempDir(), "file")
		err := f.command(t.Context(), []string{"static-url", "--gpg-sig-url", s.URL + "/file.sig", "--gpg-key-env", "KEY", s.URL + c.file, dest})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v\n%s", c, err, out)
		}
	}
}

func TestARevisionOfGitAsAnArchive(t *testing.T) {
	origin, revs := shell(t, `mkdir lib; (cd lib; git init -q -b main; echo lib >lib.txt; git add .; git commit -qm lib)
		mkdir repo; cd repo; git init -q -b main; git config uploadpack.allowAnySHA1InWant true
		echo one >file; git -c protocol.file.allow=always submodule --quiet add "$PWD/../lib" lib; git add .; git commit -qm one; git rev-parse HEAD; git rev-parse HEAD^{tree}`)
	for name, value := range map[string]string{"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"} {
		t.Setenv(name, value)
	}
	list := func(file string) []string {
		out, err := exec.Command("sh", "-c", "zstd -dqc "+file+" | tar tf - | grep -v '\\.git/'").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	var sums []string
	for range 2 {
		f, out := quick(t, nil)
		dest := filepath.Join(t.TempDir(), "out.tar.zst")
		if err := f.command(t.Context(), []string{"git-checkout-archive", "--path-prefix", "p", "file://" + origin + "/repo", revs[0], dest}); err != nil {
			t.Fatal(err, out)
		}
		if diff := cmp.Diff([]string{"p/", "p/.gitmodules", "p/file", "p/lib/", "p/lib/lib.txt"}, list(dest)); diff != "" {
			t.Error(diff)
		}
		b, err := os.ReadFile(dest)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, digest(b))
	}
	if sums[0] != sums[1] {
		t.Error("the same commit gives two archives")
	}
	f, out := quick(t, nil)
	dest := filepath.Join(t.TempDir(), "out.tar.zst")
	if err := f.command(t.Context(), []string{"git-checkout-archive", "--include-dot-git", origin + "/repo", revs[0], dest}); err != nil {
		t.Fatal(err, out)
	}
	if listed, err := exec.Command("sh", "-c", "zstd -dqc "+dest+" | tar tf - | grep -c 'repo/.git/HEAD'").Output(); err != nil || string(listed) != "1\n" {
		t.Errorf("%q %v", listed, err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{origin + "/repo", "main", "x.tar.zst"}, 2}, {[]string{"--upload-pack=evil", revs[0], "x.tar.zst"}, 2},
		{[]string{origin + "/repo", revs[0], filepath.Join(t.TempDir(), "x.tar.gz")}, 2}, {[]string{"--ssh-key-secret", "s", origin + "/repo", revs[0], filepath.Join(t.TempDir(), "x.tar.zst")}, 1},
	} {
		if code := Run(t.Context(), append([]string{"git-checkout-archive"}, c.args...), nil, out); code != c.code {
			t.Errorf("%q: %d", c.args, code)
		}
	}
}

func TestFetchesThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		`{`: "MOZ_FETCHES is not", `[{"task":"a"}]`: "lacks", `[{"task":"a","artifact":"public/b","dest":"../../x"}]`: "leads out",
	} {
		if _, err := ParseArtifacts(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	list, err := ParseArtifacts(`[{"task":"a","artifact":"public/b"},{"task":"a","artifact":"c","extract":false,"verify-hash":true,"dest":"d"}]`)
	want := []Artifact{{Task: "a", Artifact: "public/b", Extract: true}, {Task: "a", Artifact: "c", Dest: "d", VerifyHash: true}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	f, _ := quick(t, nil)
	for _, args := range [][]string{nil, {"nonsense"}, {"task-artifacts"}, {"task-artifacts", "-d", "x"}, {"task-artifacts", "x"}} {
		if err := f.command(context.Background(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
