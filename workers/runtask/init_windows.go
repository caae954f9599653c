package runtask

import (
	"context"
	"fmt"
	"io"
)

// AsInit is for the first process of a container, which Treeline has on Linux only.
func AsInit(_ context.Context, _, _ []string, out io.Writer) int {
	fmt.Fprintln(out, "run-task: containers of Windows are not supported: nothing can be the first process of one")
	return exitFailed
}

// giveUp cannot be: there is no root to be.
func giveUp(u *user) error {
	return fmt.Errorf("become user %s: Windows cannot change the user of a program that runs", u.name)
}
