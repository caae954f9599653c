package runtask

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script runs a shell script in a new directory and returns the directory and what was printed.
func script(t *testing.T, text string) (dir string, words []string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("sh", "-ec", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=n@example.com",
		"GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=n@example.com", "HGPLAIN=1", "HGUSER=n <n@example.com>", "HGRCPATH=/dev/null")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir, strings.Fields(string(out))
}

func wants(t *testing.T, wantCode, code int, out string, want ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit status %d, want %d", code, wantCode)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("the output lacks %q", w)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestARepositoryInsideAnotherIsCheckedOutAfterIt(t *testing.T) {
	origins, revs := script(t, `for r in outer inner; do
		mkdir $r; (cd $r; git init -q -b main; echo $r >$r.txt; git add .; git commit -qm $r; git tag v-$r; git rev-parse HEAD); done`)
	workdir := t.TempDir()
	env := []string{
		`REPOSITORIES={"outer":"The outer","inner":"The inner"}`, "TASKCLUSTER_INSTANCE_TYPE=big",
		"OUTER_HEAD_REPOSITORY=" + origins + "/outer", "OUTER_HEAD_REV=" + revs[0], "OUTER_BASE_REV=" + revs[0],
		"INNER_HEAD_REPOSITORY=" + origins + "/inner", "INNER_HEAD_REF=main", "INNER_PATH=src/sub",
	}
	// The inner one is named first, and its name sorts before the outer one's.
	args := []string{"--inner-checkout=src/sub", "--outer-checkout", "src", "--", "sh", "-c",
		`cat src/outer.txt src/sub/inner.txt; git -C src describe --tags; echo "at $INNER_PATH $INNER_HEAD_REV"; touch src/rubbish src/sub/kept-until-clean; git -C src/sub rev-parse --is-inside-work-tree`}
	for _, time := range []string{"new", "again"} {
		code, out := do(t, workdir, env, args...)
		wants(t, 0, code, out, "] outer\n", "] inner\n", "] v-outer\n", "at "+workdir+"/src/sub "+revs[1], `PERFHERDER_DATA: {"framework":{"name":"vcs"}`, "checkout_inner")
		if strings.Index(out, "into "+workdir+"/src\n") > strings.Index(out, "into "+workdir+"/src/sub\n") {
			t.Errorf("%s: the inner one came first:\n%s", time, out)
		}
		if strings.Contains(out, "Initialized") {
			t.Errorf("%s: git chatters:\n%s", time, out)
		}
	}
	if code, out := do(t, workdir, env, append(args[:3:3], "--", "ls", "src", "src/sub")...); code != 0 || strings.Contains(out, "rubbish") || strings.Contains(out, "kept") {
		t.Errorf("%d: what the last task left is there:\n%s", code, out)
	}
}

func TestARevisionThatItsBranchHasLeft(t *testing.T) {
	origin, revs := script(t, `git init -q -b main; git config uploadpack.allowAnySHA1InWant true
		echo 1 >f; git add .; git commit -qm one; git rev-parse HEAD; git commit -q --amend -m other; git rev-parse HEAD`)
	env := []string{"P_HEAD_REPOSITORY=file://" + origin, "P_HEAD_REF=refs/heads/main", "P_HEAD_REV=" + revs[0]}
	code, out := do(t, t.TempDir(), env, "--p-checkout=src", "--", "git", "-C", "src", "log", "--format=%s at %H")
	wants(t, 0, code, out, "one at "+revs[0])
}

func TestSubmodulesAreCheckedOut(t *testing.T) {
	origins, _ := script(t, `mkdir lib; (cd lib; git init -q -b main; echo lib >lib.txt; git add .; git commit -qm lib)
		mkdir top; cd top; git init -q -b main; git -c protocol.file.allow=always submodule --quiet add "$PWD/../lib" lib; git commit -qm top`)
	env := []string{"P_HEAD_REPOSITORY=" + origins + "/top", "P_HEAD_REF=main", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always"}
	code, out := do(t, t.TempDir(), env, "--p-checkout=src", "--", "cat", "src/lib/lib.txt")
	wants(t, 0, code, out, "] lib\n")
}

func TestMercurialSharesItsStore(t *testing.T) {
	origin, revs := script(t, `hg init -q .; echo one >f; hg add -q f; hg commit -qm one; hg log -r . -T '{node}\n'; echo two >f; hg commit -qm two; hg log -r . -T '{node}\n'`)
	workdir := t.TempDir()
	env := []string{"P_REPOSITORY_TYPE=hg", "P_BASE_REPOSITORY=" + origin, "P_HEAD_REPOSITORY=" + origin, "P_HEAD_REV=" + revs[0], "HG_STORE_PATH=store"}
	code, out := do(t, workdir, env, "--p-checkout=a", "--", "cat", "a/f")
	wants(t, 0, code, out, "] one\n", "Checked out "+revs[0])
	stores, err := os.ReadDir(filepath.Join(workdir, "store"))
	if err != nil || len(stores) != 1 {
		t.Fatalf("%v, %v", stores, err)
	}
	env[3] = "P_HEAD_REV=" + revs[1]
	if code, out = do(t, workdir, env, "--p-checkout=b", "--", "sh", "-c", "cat b/f; cat b/.hg/sharedpath"); code != 0 || !strings.Contains(out, "] two\n") || !strings.Contains(out, workdir+"/store/"+stores[0].Name()) {
		t.Errorf("%d: %s", code, out)
	}
	// The same checkout again, elsewhere in its history and with rubbish.
	env[3] = "P_HEAD_REV=" + revs[0]
	code, out = do(t, workdir, env, "--p-checkout=b", "--", "sh", "-c", "cat b/f; touch b/rubbish")
	wants(t, 0, code, out, "] one\n")
	if code, out = do(t, workdir, env, "--p-checkout=b", "--", "ls", "b"); code != 0 || strings.Contains(out, "rubbish") {
		t.Errorf("%d: %s", code, out)
	}
}

func TestTheKeyOfARepositoryComesThroughTheProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		if err := json.NewEncoder(w).Encode(map[string]any{"secret": map[string]any{"ssh_privkey": "the key itself"}}); err != nil {
			t.Error(err)
		}
	}))
	defer proxy.Close()
	origin, _, _ := repository(t)
	env := []string{"P_HEAD_REPOSITORY=" + origin, "P_HEAD_REF=main", "P_SSH_SECRET_NAME=project/p/ssh", "TASKCLUSTER_PROXY_URL=" + proxy.URL}
	code, out := do(t, t.TempDir(), env, "--p-checkout=src", "--", "cat", "src/file")
	wants(t, 0, code, out, "] two\n", "secret project/p/ssh")
	if len(asked) != 1 || asked[0] != "/api/secrets/v1/secret/project/p/ssh" || strings.Contains(out, "the key itself") {
		t.Errorf("%q\n%s", asked, out)
	}
	code, out = do(t, t.TempDir(), env[:3], "--p-checkout=src", "--", "true")
	wants(t, 1, code, out, "project/p/ssh", "TASKCLUSTER_PROXY_URL")
}
