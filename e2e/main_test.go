package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// What all tests of the package share: the built program, and a machine that stays up between them.
var (
	home    string // a directory for everything
	program string // treeline, as a user builds it
	common  *instance
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) (code int) {
	defer func() { os.RemoveAll(home) }() // as it is named by then
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if common == nil {
			return
		}
		if err := common.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the shared machine:", err)
			code = 1
		}
	}()
	return m.Run()
}

// build makes the program and the directory it stands in.
func build() (err error) {
	if home, err = os.MkdirTemp("", "treeline-e2e-"); err != nil {
		return err
	}
	// Tasks run as an unprivileged user and may call the program.
	if err := os.Chmod(home, 0o755); err != nil {
		return err
	}
	program = filepath.Join(home, "treeline")
	out, err := exec.Command("go", "build", "-o", program, "github.com/treeline-ci/treeline/cmd/treeline").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build treeline: %w\n%s", err, out)
	}
	return nil
}

// shared returns the machine that watches the sample, up and with its first push green. Tests that
// use it commit what nobody else does, and ask about their own revisions only: their order is open.
func shared(t testing.TB) *machine {
	t.Helper()
	fresh := common == nil
	if fresh {
		common = newInstance(filepath.Join(home, "shared"), "", 2)
	}
	m := common.in(t)
	if !common.runs() {
		m.start()
	}
	if fresh {
		common.first = git(t, m.repo(), "rev-parse", "HEAD")
		m.green(common.first, 3*time.Minute)
	}
	return m
}
