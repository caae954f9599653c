//go:build deploy

package deploytest_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// ownNetwork tells a test that it is run again, in a network of its own.
const ownNetwork = "TREELINE_TEST_NETWORK"

// inItsOwnNetwork runs the test again in a network namespace of its own, in which ports are free and nothing of the
// machine's network is changed, with more variables, and says false; there it says true.
func inItsOwnNetwork(t *testing.T, variables func() []string) bool {
	t.Helper()
	if os.Getenv(ownNetwork) == t.Name() {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return true
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=40m")
	again.Env = append(append(os.Environ(), ownNetwork+"="+t.Name()), variables()...)
	again.Stdout, again.Stderr = t.Output(), t.Output()
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := again.Run(); err != nil {
		t.Fatal(err)
	}
	return false
}
