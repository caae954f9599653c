package doctorcmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/treeline-ci/treeline/cmd/treeline/doctorcmd"
	"github.com/treeline-ci/treeline/doctor"
)

// mountsVariable has the child of the test mount disks of its own, at the directory that it names.
const mountsVariable = "DOCTORCMD_TEST_MOUNTS"

// mayNot is how the child ends where it may not mount anything.
const mayNot = 77

func TestMain(m *testing.M) {
	if dir := os.Getenv(mountsVariable); dir != "" {
		os.Exit(inSmallDisks(dir))
	}
	os.Exit(m.Run())
}

// inSmallDisks runs the doctor with its data on disks of different sizes, in a namespace of its own, and prints what it found.
func inSmallDisks(dir string) int {
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return mayNot
	}
	for i, size := range []string{"512m", "5g", "50g"} {
		flags := uintptr(0)
		if i > 0 {
			flags = syscall.MS_REMOUNT
		}
		if err := syscall.Mount("none", dir, "tmpfs", flags, "size="+size); err != nil {
			return mayNot
		}
		var out bytes.Buffer
		cmd := doctorcmd.New()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs([]string{"--json", "--only", "room in"})
		_ = cmd.Execute() // what it found is its answer
		var report doctor.Report
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			fmt.Fprintln(os.Stderr, err, out.String())
			return 1
		}
		fmt.Println(size, report.Codes())
	}
	return 0
}

// disks are too small for the deployment's data.
func (d *deployment) disks(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	dir := t.TempDir()
	child.Env = append(os.Environ(), mountsVariable+"="+dir, "TREELINE_DATA="+dir)
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := child.Output()
	if child.ProcessState == nil || child.ProcessState.ExitCode() == mayNot {
		t.Logf("no disk can be mounted here (%v)", err)
		d.disksAsTheyAre(t)
		return
	}
	if want := "512m [disk-full]\n5g [disk-low]\n50g []\n"; err != nil || string(out) != want {
		t.Fatalf("got %s, want %s: %v", out, want, err)
	}
	d.found["disk-full"], d.found["disk-low"] = true, true
}

// disksAsTheyAre are those of any machine: /proc never has room, and no disk has as much as could be asked for.
func (d *deployment) disksAsTheyAre(t *testing.T) {
	for code, check := range map[string]doctor.Check{"disk-full": doctor.Disk("/proc", 0), "disk-low": doctor.Disk(d.dir, math.MaxInt64)} {
		found, err := check.Look(t.Context())
		if err != nil || len(found) != 1 || found[0].Code != code {
			t.Errorf("%s: %+v, %v", code, found, err)
		}
		d.found[code] = true
	}
}
