package runtask

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func repository(t *testing.T) (dir, first, second string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "origin")
	script := `set -e
		export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
		mkdir -p "$1"; cd "$1"; git init -q -b main; git config user.name n; git config user.email e@example.com
		git config uploadpack.allowAnySHA1InWant true
		echo one > file; git add .; git commit -qm one; git rev-parse HEAD
		echo two > file; git add .; git commit -qm two; git rev-parse HEAD`
	out, err := exec.Command("sh", "-c", script, "sh", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	revs := strings.Fields(string(out))
	return dir, revs[0], revs[1]
}

// do runs run-task in workdir and returns its status and output.
func do(t *testing.T, workdir string, env []string, args ...string) (int, string) {
	t.Helper()
	t.Chdir(workdir)
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := Run(ctx, args, append(os.Environ(), env...), &out)
	return code, out.String()
}

func TestCheckoutAndCommand(t *testing.T) {
	origin, first, second := repository(t)
	workdir := t.TempDir()
	env := []string{"CI_HEAD_REPOSITORY=" + origin, "CI_HEAD_REF=refs/heads/main", "CI_HEAD_REV=" + first, "UPLOAD_DIR=artifacts"}
	args := []string{"--ci-checkout=checkouts/vcs/", "--task-cwd", "checkouts/vcs", "--user", "root", "--", "bash", "-c",
		`cat file; echo "$CI_HEAD_REV"; echo "$UPLOAD_DIR" >&2; touch rubbish; exit 7`}

	code, out := do(t, workdir, env, args...)
	if code != 7 {
		t.Fatalf("exit status %d:\n%s", code, out)
	}
	for _, want := range []string{`(?m)^\[task \d{4}-\d\d-\d\dT[\d:.]+Z\] one$`, `\[task .*\] ` + first, `\[task .*\] ` + workdir + `/artifacts`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}

	// The same directory again, as from a cache: another revision, and clean.
	env[2] = "CI_HEAD_REV=" + second
	args[len(args)-1] = `cat file; ls; git symbolic-ref HEAD`
	if code, out = do(t, workdir, env, args...); code != 0 || !strings.Contains(out, "] two") || strings.Contains(out, "rubbish") || !strings.Contains(out, "refs/heads/main") {
		t.Errorf("exit status %d:\n%s", code, out)
	}
}

func TestWhatCannotBeDoneIsSaid(t *testing.T) {
	origin, _, second := repository(t)
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want string
	}{
		{"no command", nil, []string{"--task-cwd", "x"}, exitUsage, "there is no command"},
		{"unknown option", nil, []string{"--wrong", "x", "--", "true"}, exitUsage, "unknown option --wrong"},
		{"no repository", nil, []string{"--ci-checkout=x", "--", "true"}, exitUsage, "CI_HEAD_REPOSITORY is not set"},
		{"an option for a revision", []string{"CI_HEAD_REPOSITORY=x", "CI_HEAD_REV=--upload-pack=evil"}, []string{"--ci-checkout=x", "--", "true"}, exitUsage, "no repository, ref or revision"},
		{"a program that is not there", nil, []string{"--", "no-such-program"}, 127, "no-such-program"},
		{"fetches that lead out", []string{"TASKCLUSTER_ROOT_URL=http://127.0.0.1:1", `MOZ_FETCHES=[{"task":"a","artifact":"public/b","dest":"../../x"}]`}, []string{"--", "true"}, exitFailed, "leads out"},
		{"fetches that are no list", []string{"MOZ_FETCHES={"}, []string{"--", "true"}, exitFailed, "MOZ_FETCHES"},
		{"a shallow checkout", []string{"CI_HEAD_REPOSITORY=file://" + origin, "CI_HEAD_REV=" + second}, []string{"--ci-shallow-clone", "--ci-checkout", "c", "--", "git", "-C", "c", "rev-list", "--count", "HEAD"}, 0, "] 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out := do(t, t.TempDir(), c.env, c.args...)
			if code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("exit status %d, want %d with %q:\n%s", code, c.code, c.want, out)
			}
		})
	}
}

func TestCommandIsEndedWithItsSignal(t *testing.T) {
	code, out := do(t, t.TempDir(), nil, "--", "sh", "-c", "echo before; kill -9 $$")
	if code != 137 || !strings.Contains(out, "before") {
		t.Errorf("exit status %d:\n%s", code, out)
	}
}
