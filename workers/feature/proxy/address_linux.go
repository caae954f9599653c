package proxy

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// anyAddress lets a listener have an address that the machine does not have yet.
func anyAddress(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) })
	return errors.Join(err, set)
}
