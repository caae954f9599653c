//go:build unix

package runtask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// AsInit runs the program again with the same arguments, as a child, and looks after every process that
// loses its parent meanwhile, as the first process of a container must. It passes the end of ctx on and
// returns the child's exit status.
func AsInit(ctx context.Context, argv, environ []string, out io.Writer) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(out, "run-task:", err)
		return exitFailed
	}
	child, err := syscall.ForkExec(self, argv, &syscall.ProcAttr{Env: environ, Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(out, "run-task:", err)
		return exitFailed
	}
	defer context.AfterFunc(ctx, func() {
		_ = syscall.Kill(child, syscall.SIGTERM) // it may have ended by now
	})()
	for {
		var how syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &how, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintln(out, "run-task: wait:", err)
			return exitFailed
		case pid == child && how.Signaled():
			return 128 + int(how.Signal())
		case pid == child && how.Exited():
			return how.ExitStatus()
		}
	}
}

// giveUp gives up the rights of root for those of a user, in all threads and for good.
func giveUp(u *user) error {
	if err := errors.Join(syscall.Setgroups(u.groups), syscall.Setgid(u.gid), syscall.Setuid(u.uid)); err != nil {
		return fmt.Errorf("become user %s: %w", u.name, err)
	}
	if syscall.Setuid(0) == nil {
		return fmt.Errorf("become user %s: the rights of root could be had back", u.name)
	}
	return nil
}
