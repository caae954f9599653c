package runtask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test's own program be run-task: what gives up rights cannot be tested inside.
const asProgram = "RUNTASK_TEST_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "run-task":
		os.Exit(Run(context.Background(), os.Args[1:], os.Environ(), os.Stdout))
	case "init":
		ctx, stop := context.WithCancel(context.Background())
		if len(os.Args) > 1 && os.Args[1] == "--end-soon" {
			time.AfterFunc(300*time.Millisecond, stop)
			os.Args = append(os.Args[:1], os.Args[2:]...)
		}
		if err := os.Setenv(asProgram, "run-task"); err != nil {
			os.Exit(9)
		}
		os.Exit(AsInit(ctx, os.Args, os.Environ(), os.Stdout))
	}
	os.Exit(m.Run())
}

// program runs the test's own program in workdir.
func program(t *testing.T, as, workdir string, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Env = workdir, append(append(os.Environ(), env...), asProgram+"="+as)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, string(out)
}

func TestCachesAreKeptForWhomTheyWereMade(t *testing.T) {
	workdir := t.TempDir()
	cache := filepath.Join(workdir, "cache")
	mine := fmt.Sprintf("gid=%d\nuid=%d\nversion=1", os.Getgid(), os.Getuid())
	for _, c := range []struct {
		name  string
		files map[string]string
		env   string
		code  int
		want  string
	}{
		{"a new one is labelled", map[string]string{}, "", 0, "is new"},
		{"one of ours", map[string]string{requirementsFile: mine, "content": "x"}, "", 0, "fit for use"},
		{"one of somebody else", map[string]string{requirementsFile: "gid=1\nuid=1\nversion=1"}, "", ExitPurgeCache, "was made for gid=1, uid=1, version=1"},
		{"one of somebody else, untrusted", map[string]string{requirementsFile: "gid=1\nuid=1\nversion=1"}, "TASKCLUSTER_UNTRUSTED_CACHES=1", 0, "is given to"},
		{"one of another version", map[string]string{requirementsFile: strings.Replace(mine, "version=1", "version=2", 1)}, "TASKCLUSTER_UNTRUSTED_CACHES=1", ExitPurgeCache, "version=2"},
		{"one that something else filled", map[string]string{"content": "x"}, "", ExitPurgeCache, "something else than run-task filled it"},
		{"none", nil, "", ExitPurgeCache, "among the payload's caches"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.RemoveAll(cache); err != nil {
				t.Fatal(err)
			}
			if c.files != nil {
				if err := os.Mkdir(cache, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, content := range c.files {
				if err := os.WriteFile(filepath.Join(cache, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			code, out := do(t, workdir, []string{"TASKCLUSTER_CACHES=" + cache, c.env}, "--", "sh", "-c", `echo "caches: <$TASKCLUSTER_CACHES>"`)
			wants(t, c.code, code, out, c.want)
			if c.code != 0 {
				return
			}
			label, err := os.ReadFile(filepath.Join(cache, requirementsFile))
			if err != nil || string(label) != mine || !strings.Contains(out, "caches: <>") {
				t.Errorf("%q, %v\n%s", label, err, out)
			}
		})
	}
}

func TestVolumesMustBeEmpty(t *testing.T) {
	workdir := t.TempDir()
	volume := filepath.Join(workdir, "volume")
	code, out := do(t, workdir, []string{"TASKCLUSTER_VOLUMES=" + volume}, "--", "touch", "volume/file")
	wants(t, 0, code, out, volume+" is empty")
	code, out = do(t, workdir, []string{"TASKCLUSTER_VOLUMES=" + volume}, "--", "true")
	wants(t, ExitDirectory, code, out, "is not empty (it has file)")
}

func TestADirectoryThatCannotBeMade(t *testing.T) {
	workdir := t.TempDir()
	if err := os.WriteFile(filepath.Join(workdir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := do(t, workdir, []string{"P_HEAD_REPOSITORY=x", "P_HEAD_REF=main"}, "--p-checkout=file/below/src", "--", "true")
	wants(t, ExitDirectory, code, out, "file")
}

func TestPythonPackagesNeedPip(t *testing.T) {
	origin, _, _ := repository(t)
	workdir := t.TempDir()
	bin := filepath.Join(workdir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	// A uv of our own shows what is asked of it.
	for name, content := range map[string]string{"git": "exec " + git + ` "$@"`, "uv": `echo "uv $*"`} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+content+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	env := []string{"P_HEAD_REPOSITORY=" + origin, "P_HEAD_REF=main", "P_PIP_REQUIREMENTS=src/requirements.txt"}
	code, out := do(t, workdir, env, "--p-checkout=src", "--", "true")
	wants(t, 0, code, out, "[pip-install ", "uv pip install --system --break-system-packages --require-hashes -r "+workdir+"/src/requirements.txt")
	code, out = do(t, workdir, append(env, "PIP_DISABLE_REQUIRE_HASHES=1"), "--p-checkout=src", "--", "true")
	if wants(t, 0, code, out, "-r "+workdir); strings.Contains(out, "--require-hashes") {
		t.Error(out)
	}
}

func TestTheRightsOfRootAreGivenUp(t *testing.T) {
	if os.Getuid() != 0 {
		code, out := program(t, "run-task", t.TempDir(), nil, "--user", "nobody", "--", "id", "-u")
		wants(t, 0, code, out, fmt.Sprintf("] %d\n", os.Getuid())) // who is not root stays who he is
		return
	}
	workdir := t.TempDir()
	for _, dir := range []string{workdir, filepath.Dir(workdir)} { // t.TempDir's own are closed to others
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cache := filepath.Join(workdir, "cache")
	if err := os.Mkdir(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	nobody, err := lookUp("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"TASKCLUSTER_CACHES=" + cache, "HOME=/root"}
	code, out := program(t, "run-task", workdir, env, "--user", "nobody", "--", "sh", "-c", `id -u; id -G; echo "HOME=$HOME USER=$USER"; echo mine >cache/file`)
	wants(t, 0, code, out, fmt.Sprintf("] %d\n", nobody.uid), "HOME="+nobody.home+" USER=nobody", "Running as user nobody")
	info, err := os.Stat(filepath.Join(cache, "file"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(nobody.uid) {
		t.Errorf("%+v, %v", info, err)
	}
	// Root's own task must not get what nobody's left.
	code, out = program(t, "run-task", workdir, env, "--user", "root", "--", "true")
	wants(t, ExitPurgeCache, code, out, "was made for")
	code, out = program(t, "run-task", workdir, nil, "--user", "no-such-user", "--", "true")
	wants(t, 1, code, out, "there is no user no-such-user")
}

func TestAsInitItPassesOnWhatTheCommandDid(t *testing.T) {
	code, out := program(t, "init", t.TempDir(), nil, "--user", "root", "--", "sh", "-c", "(sleep 0.01 &) ; exit 5")
	wants(t, 5, code, out)
	code, out = program(t, "init", t.TempDir(), nil, "--end-soon", "--user", "root", "--", "sleep", "5")
	if code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit status %d: %s", code, out)
	}
}
