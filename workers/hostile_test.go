package workers_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/cgroup"
	"github.com/treeline-ci/treeline/workers/engine/process"
)

// hostileUser is the first of the users that hostile tasks run as.
const hostileUser = 61_300

// attack is something that a task tries.
type attack struct {
	name   string
	script string
	more   dict // of the payload
	want   task.ReasonResolved
	log    string // that must be in the log
	never  string // that must not
	after  func(t *testing.T, s *server, id string)
}

// hardened is how a worker is to be run for tasks that nobody trusts: as root, each task as a user of its own, in
// control groups where the machine has them. Without root the tasks run as the worker's own user, and only the
// attacks that do not depend on that are tried.
func hardened(t *testing.T, c *workers.Config) {
	t.Helper()
	c.Limits = engine.Limits{PIDs: 64, Memory: 96 << 20, FileSize: 16 << 20, CPUs: 1.5}
	c.MaxLog = 1 << 20
	dir, err := os.MkdirTemp("", "hostile-") //nolint:usetesting // the users of tasks must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.Dir = dir
	groups, err := cgroup.Open("treeline-hostile")
	if errors.Is(err, fault.Unavailable) {
		t.Logf("without control groups: %v", err)
		groups = nil
	} else if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		c.TaskUsers = hostileUser
	}
	e := process.New(process.Options{Groups: groups, Log: c.Log})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	c.Engine = e
}

func TestHostileTasks(t *testing.T) {
	t.Setenv("AGENT_SECRET", "secret-of-the-agent")
	s := startServer(t, 20*time.Minute)
	a := s.work(func(c *workers.Config) { hardened(t, c) })
	attacks := attacksOnAnybody(a)
	if os.Geteuid() == 0 {
		attacks = append(attacks, attacksOnRoot(t, a)...)
	}
	for _, c := range attacks {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			more := with(dict{"maxRunTime": 20}, c.more)
			id := s.create(with(dict{"command": [][]string{{"sh", "-c", c.script}}}, more), dict{"scopes": []string{"generic-worker:cache:*"}})
			s.resolved(id, c.want)
			log := s.logOf(id)
			if !strings.Contains(log, c.log) || c.never != "" && strings.Contains(log, c.never) {
				t.Errorf("the log must have %q and not %q:\n%s", c.log, c.never, log[max(0, len(log)-4000):])
			}
			if c.after != nil {
				c.after(t, s, id)
			}
			nothingLeft(t, a)
		})
	}
}

// nothingLeft waits until neither process nor directory of a task is left.
func nothingLeft(t *testing.T, a *agent) {
	t.Helper()
	var dirs []os.DirEntry
	var pids []string
	defer func() {
		if len(dirs)+len(pids) > 0 {
			t.Logf("left: %v, processes %v", dirs, pids)
		}
	}()
	await(t, "everything of the task to be gone", func() bool {
		var err error
		dirs, err = os.ReadDir(filepath.Join(a.dir, "tasks"))
		pids = ofUsers(t, hostileUser, hostileUser+1)
		return err == nil && len(dirs)+len(pids) == 0
	})
}

// ofUsers lists the living processes of users.
func ofUsers(t *testing.T, uids ...int) (pids []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if err != nil || strings.Contains(string(status), "\nState:\tZ") {
			continue
		}
		for _, uid := range uids {
			if strings.Contains(string(status), "\nUid:\t"+strconv.Itoa(uid)+"\t") {
				pids = append(pids, e.Name())
			}
		}
	}
	return pids
}

func attacksOnAnybody(a *agent) []attack {
	file := func(kind, path, name string) dict {
		return dict{"artifacts": []dict{{"type": kind, "path": path, "name": name}}}
	}
	absent := func(name string) func(*testing.T, *server, string) {
		return func(t *testing.T, s *server, id string) {
			if text, _, err := s.artifact(id, name); err == nil {
				t.Errorf("%s was uploaded: %.50q", name, text)
			}
		}
	}
	return []attack{
		{name: "endless log", script: "yes 'a line of the log'", more: dict{"maxRunTime": 2}, want: task.ReasonFailed, log: "further output is dropped",
			after: func(t *testing.T, s *server, id string) {
				if n := len(s.logOf(id)); n > 1<<20+4096 {
					t.Errorf("the log has %d bytes", n)
				}
			}},
		{name: "daemon that leaves group, session, directory and environment",
			script: `cd /; env -i /usr/bin/setsid /bin/sh -c 'while :; do sleep 0.2; done' >/dev/null 2>&1 & sleep 0.3`, want: task.ReasonCompleted, log: "processes that the commands left behind were ended"},
		{name: "artifact outside by its path", script: "true", more: file("file", "../../claim.json", "public/claim"), want: task.ReasonMalformedPayload, log: "leaves the task's directory"},
		{name: "artifact outside by a symlink", script: "ln -s /etc/passwd leak", more: file("file", "leak", "public/leak"), want: task.ReasonFailed, log: "leak cannot be read", after: absent("public/leak")},
		{name: "artifact outside by a symlink among others", script: "mkdir d; echo mine >d/a; ln -s /etc d/etc; ln -s ../../claim.json d/claim", more: file("directory", "d", "public/d"),
			want: task.ReasonCompleted, log: "is no regular file and is left out", after: absent("public/d/claim")},
		{name: "artifact that never ends", script: "ln -s /dev/zero d", more: file("file", "d", "public/d"), want: task.ReasonFailed, log: "Artifact public/d"},
		{name: "artifact that blocks its reader", script: "mkfifo f", more: file("file", "f", "public/f"), want: task.ReasonFailed, log: "no regular file"},
		{name: "artifact with the log's name", script: "mkdir -p d/logs; echo forged >d/logs/live_backing.log", more: file("directory", "d", "public"), want: task.ReasonCompleted, log: "is left out",
			after: func(t *testing.T, s *server, id string) {
				if strings.Contains(s.logOf(id), "\nforged") {
					t.Error("the log is forged")
				}
			}},
		{name: "mount outside by its path", script: "true", more: dict{"mounts": []dict{{"file": "../../x", "content": dict{"raw": ""}}}}, want: task.ReasonMalformedPayload, log: "leaves the task's directory"},
		{name: "cache made a link to elsewhere", script: "rm -r c; ln -s /etc c", more: dict{"mounts": []dict{{"cacheName": "c", "directory": "c"}}}, want: task.ReasonCompleted,
			after: func(t *testing.T, _ *server, _ string) {
				if info, err := os.Lstat("/etc"); err != nil || !info.IsDir() {
					t.Fatal("/etc was moved")
				}
				if made, err := filepath.Glob(filepath.Join(a.dir, "caches", "*", "0")); err != nil || len(made) > 0 {
					t.Errorf("%q %v was kept", made, err)
				}
			}},
		{name: "directories that cannot be removed", script: "mkdir -p a/b/c; touch a/b/f; chmod 0 a/b/c a/b; chmod 0 a", want: task.ReasonCompleted},
		{name: "file that fills the disk", script: "dd if=/dev/zero of=big bs=1M count=64; ls -l big", want: task.ReasonCompleted, log: " 16777216 "},
		{name: "environment that forges the task", script: `echo "id $TASK_ID"`, more: dict{"env": dict{"TASK_ID": "forged", "LD_PRELOAD": "/nowhere.so"}}, want: task.ReasonCompleted, never: "id forged"},
		{name: "the agent's environment by inheritance", script: "env", want: task.ReasonCompleted, never: "secret-of-the-agent"},
	}
}

func attacksOnRoot(t *testing.T, a *agent) []attack {
	t.Helper()
	parent := strconv.Itoa(os.Getpid())
	setuid := setuidProgram(t)
	secret := filepath.Join(a.dir, "of-root")
	if err := os.WriteFile(secret, []byte("secret-of-root"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []attack{
		{name: "fork bomb", script: "bomb() { bomb | bomb & }; bomb; sleep 3", want: task.ReasonCompleted, log: "fork"},
		{name: "memory without end", script: "dd if=/dev/zero of=/dev/null bs=256M count=1", want: task.ReasonFailed, log: "exit status"},
		{name: "the agent's environment by /proc", script: "cat /proc/" + parent + "/environ || cat /proc/$PPID/environ || exit 9", want: task.ReasonFailed, log: "Permission denied", never: "secret-of-the-agent"},
		{name: "the agent's memory and files by /proc", script: "head -c1 /proc/" + parent + "/mem || ls /proc/" + parent + "/fd || exit 9", want: task.ReasonFailed, log: "Permission denied"},
		{name: "killing the agent", script: "kill -9 " + parent + " || kill -9 -" + parent + " || exit 9", want: task.ReasonFailed, log: "not permitted"},
		{name: "the run's own credentials", script: "cat ../claim.json || exit 9", want: task.ReasonFailed, log: "Permission denied"},
		{name: "files of root", script: "cat " + secret + " || exit 9", want: task.ReasonFailed, log: "Permission denied", never: "secret-of-root"},
		{name: "files of root by a hard link as artifact", script: "ln " + secret + " leak; true", more: dict{"artifacts": []dict{{"type": "file", "path": "leak", "name": "public/leak"}}}, want: task.ReasonFailed,
			after: func(t *testing.T, s *server, id string) {
				if text, _, err := s.artifact(id, "public/leak"); err == nil {
					t.Errorf("it was uploaded: %q", text)
				}
			}},
		{name: "a program that is root's for everybody (setuid)", script: setuid + " -u; grep NoNewPrivs /proc/self/status", want: task.ReasonCompleted, log: "NoNewPrivs:\t1", never: "\n0\n"},
		{name: "becoming root by su and sudo", script: "su -c 'echo I am root' root </dev/null; sudo -n echo I am root; true", want: task.ReasonCompleted, never: "\nI am root"},
		{name: "a disk of memory, and the machine's settings", script: "mount -t tmpfs x . ; echo 0 >/proc/sys/kernel/core_pattern; mknod dev b 8 0; true", want: task.ReasonCompleted, log: "ermission denied"},
		{name: "what stays in directories that all share", script: "touch /tmp/hostile-was-here /var/tmp/hostile-was-here; mkdir -p /dev/shm/hostile/deep; chmod 0 /dev/shm/hostile", want: task.ReasonCompleted,
			after: func(t *testing.T, _ *server, _ string) {
				for _, place := range []string{"/tmp/hostile-was-here", "/var/tmp/hostile-was-here", "/dev/shm/hostile"} {
					await(t, place+" to be gone", func() bool { _, err := os.Lstat(place); return errors.Is(err, os.ErrNotExist) })
				}
			}},
	}
}

// A task that another one attacks goes on undisturbed.
func TestHostileNeighbours(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("without root all tasks run as one user, and nothing keeps them apart")
		return
	}
	s := startServer(t, 20*time.Minute)
	a := s.work(func(c *workers.Config) { hardened(t, c) })
	gate := filepath.Join(a.dir, "gate")
	victim := s.create(with(sh("umask 022; echo secret-of-the-victim >secret; chmod 644 secret; while [ ! -e "+gate+" ]; do sleep 0.1; done; cat secret"),
		dict{"env": dict{"VICTIM": "secret-of-the-victim"}}), nil)
	dir := filepath.Join(a.dir, "tasks", victim+".0")
	await(t, "the victim's secret", func() bool { _, err := os.Stat(dir + "/work/secret"); return err == nil })
	hostile := s.create(sh(fmt.Sprintf(`ls %[1]s; ls %[2]s/work; cat %[2]s/work/secret %[2]s/claim.json %[2]s/log
		cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep VICTIM; echo tried; kill -9 -1`, filepath.Dir(dir), dir)), nil)
	s.resolved(hostile, task.ReasonCompleted)
	if log := s.logOf(hostile); strings.Contains(log, "secret-of-the-victim") || !strings.Contains(log, "\ntried\n") {
		t.Error(log)
	}
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.resolved(victim, task.ReasonCompleted)
}

// setuidProgram is the program id, made root's for everybody.
func setuidProgram(t *testing.T) string {
	t.Helper()
	id, err := exec.LookPath("id")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "setuid-") //nolint:usetesting // others must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	name := filepath.Join(dir, "id")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(name, data, 0o755), os.Chmod(name, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	return name
}
