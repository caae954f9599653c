package screen_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
)

// terminal opens a pseudo terminal: what is written to the second can be read from the first.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestOnATerminalTheStageAtWorkIsTakenBack(t *testing.T) {
	master, slave := terminal(t)
	until := func(end string) string {
		var got string
		for b := make([]byte, 4096); !strings.HasSuffix(got, end); {
			n, err := master.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got += string(b[:n])
		}
		return got
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	t.Setenv("FORCE_COLOR", "")
	s := screen.New(slave, false)
	s.Stage("kinds")
	s.Warning("w")
	if got := until("w\r\n"); got != "\x1b[2mkinds…\x1b[0m\r\x1b[K\x1b[33mwarning:\x1b[0m w\r\n" {
		t.Errorf("a stage and a warning are %q", got)
	}
	t.Setenv("NO_COLOR", "1")
	s = screen.New(slave, false)
	s.Stage("kinds")
	s.Warning("plain")
	if got := until("plain\r\n"); got != "warning: plain\r\n" {
		t.Errorf("with NO_COLOR: %q", got)
	}
}
