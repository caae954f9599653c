//go:build deploy

package deploytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
)

// machinePackages are Debian's packages of a machine on which somebody installs Treeline.
const machinePackages = "systemd-sysv,dbus,postgresql,busybox-static"

// machine is a Debian with systemd, beside the test's own: processes, files, services, users and network are its own, the
// kernel is not.
type machine struct {
	t    *testing.T
	root string // its files
	init int    // its systemd
}

// boot starts a machine; all services of its packages run.
func boot(t *testing.T) *machine {
	t.Helper()
	archive := debian(t, machinePackages)
	root, err := os.MkdirTemp("", "machine-") //nolint:usetesting // other users of the machine must get through to it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("tar", "-C", root, "--numeric-owner", "-xpf", archive).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := &machine{t: t, root: root}
	groups := controlGroup(t)
	var console bytes.Buffer
	start := exec.Command("sh", "testdata/machine.sh", root, groups)
	start.Stdout, start.Stderr = &console, &console
	start.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			said, err := m.run("/", "journalctl --no-pager --lines 60")
			t.Log(said, err)
		}
		if err := start.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := start.Wait(); t.Failed() {
			t.Logf("%v\n%s", err, &console)
		}
	})
	await(t, "systemd starts", func() error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", start.Process.Pid))
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(children), &m.init); err != nil {
			return err
		}
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.init)); err != nil || strings.TrimSpace(string(name)) != "systemd" {
			return errors.Join(err, errors.New("there is "+string(name)))
		}
		said, err := m.run("/", "systemctl is-system-running --wait")
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	})
	return m
}

// controlGroup makes an empty control group, which goes when the test ends.
func controlGroup(t *testing.T) string {
	t.Helper()
	top := ""
	for line := range strings.Lines(text(t, "/proc/self/mounts")) {
		if f := strings.Fields(line); f[2] == "cgroup2" {
			top = f[1]
		}
	}
	if top == "" {
		t.Fatal("this machine has no control groups of version 2 (mount -t cgroup2)")
	}
	dir := filepath.Join(top, "treeline-machine-"+strings.ToLower(slug.New()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		await(t, "the machine's control groups are empty", func() error {
			out, err := exec.Command("find", dir, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+").CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		})
	})
	return dir
}

// run runs a script on the machine, as root, and returns what it said.
func (m *machine) run(dir, script string) (string, error) {
	if m.init == 0 {
		return "", errors.New("the machine has not started")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.t.Context()), composePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", fmt.Sprintf("--target=%d", m.init), "--all", "--wd", "sh", "-ec", "cd "+dir+"\n"+script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// types is run for what must succeed.
func (m *machine) types(dir, script string) string {
	m.t.Helper()
	out, err := m.run(dir, script)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}
