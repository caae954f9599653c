// Package process runs a task's commands as processes of this machine: each command in a process
// group of its own, as an unprivileged user when one is configured, its output in one stream.
//
// Nothing of a command outlives it on purpose: when its leader ends, or is stopped, the whole
// group is killed, and Sweep finds what left the group. On Linux the leader also dies with the
// thread that started it, so that a killed worker does not leave it running. On Windows the group is a
// job, which ends with the worker; commands are ended at once there, since they cannot be asked.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/workers/engine"
)

// WorkdirVariable is the environment variable by which Sweep knows a task's processes.
const WorkdirVariable = "TASK_WORKDIR"

// drainTime is how long output is still read after a command's leader has ended, in case a
// process that left the group holds the pipe.
const drainTime = 2 * time.Second

// Spec is one command.
type Spec struct {
	Argv   []string      // the program, looked up in Env's PATH, and its arguments
	Dir    string        // working directory, must exist
	Env    []string      // the whole environment, NAME=value
	User   *User         // nil: the worker's own
	Output io.Writer     // standard output and error, in the order of writing
	Grace  time.Duration // between asking to end (TERM) and killing; 0: kill at once

	// Enter is called with the process before the first instruction of its program; nil for nothing to do.
	// Linux alone can do so; elsewhere it is called when the program runs already.
	Enter     func(pid int) error
	Before    []string // a program with its arguments that prepares itself and becomes the command; nil for none
	NoNewUser bool     // programs that change the user (setuid, capabilities of files) do not; Linux alone
	Terminal  *os.File // a terminal that becomes the command's own; Output is not used then
}

// Exit says how a command ended.
type Exit = engine.Exit

// StartError says that a command could not be started at all.
type StartError = engine.StartError

// Run runs a command to its end. When ctx ends first the group gets TERM, after the grace time
// KILL; Run returns only when the leader is gone. The error is nil whatever the exit status; a
// *StartError when there was no process.
func Run(ctx context.Context, spec Spec) (Exit, error) {
	if err := ctx.Err(); err != nil {
		return Exit{}, err
	}
	if !spec.NoNewUser {
		// Linux ties the parent-death signal to the thread that forks: keep it until the command ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return run(ctx, spec)
	}
	type ended struct {
		exit Exit
		err  error
	}
	result := make(chan ended, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: what this thread gives up it does not get back
		if err := giveUpNewUsers(); err != nil {
			result <- ended{err: fmt.Errorf("process: %w", err)}
			return
		}
		exit, err := run(ctx, spec)
		result <- ended{exit, err}
	}()
	r := <-result
	return r.exit, r.err
}

func run(ctx context.Context, spec Spec) (Exit, error) {
	program, err := lookPath(spec)
	if err != nil {
		return Exit{}, &StartError{Program: name(spec.Argv), Err: err}
	}
	cmd := &exec.Cmd{
		Path: program, Args: spec.Argv, Dir: spec.Dir, Env: spec.Env,
		Stdout: spec.Output, Stderr: spec.Output, WaitDelay: drainTime,
		SysProcAttr: attributes(spec),
	}
	if len(spec.Before) > 0 {
		cmd.Path, cmd.Args = spec.Before[0], slices.Concat(spec.Before, []string{program}, spec.Argv[1:])
	}
	if spec.Terminal != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = spec.Terminal, spec.Terminal, spec.Terminal
	}
	if err := cmd.Start(); err != nil {
		return Exit{}, &StartError{Program: spec.Argv[0], Err: plain(err)}
	}
	group, err := adopt(cmd.Process)
	if err != nil {
		return Exit{}, errors.Join(fmt.Errorf("process: start %s: %w", spec.Argv[0], err), cmd.Process.Kill(), ended(cmd.Wait()))
	}
	defer group.close()
	if spec.Enter != nil {
		if err := enter(cmd.Process.Pid, spec.Enter); err != nil {
			group.kill(syscall.SIGKILL)
			return Exit{}, errors.Join(fmt.Errorf("process: start %s: %w", spec.Argv[0], err), ended(cmd.Wait()))
		}
	}
	stop := make(chan struct{})
	stopped := make(chan bool, 1)
	go func() { stopped <- stopOn(ctx, stop, group, spec.Grace) }()

	waitErr := group.await() // the leader is not reaped yet, so its number cannot be reused
	close(stop)
	wasStopped := <-stopped
	group.kill(syscall.SIGKILL)
	err = cmd.Wait()
	if cmd.ProcessState == nil {
		return Exit{}, fmt.Errorf("process: wait for %s: %w", spec.Argv[0], errors.Join(err, waitErr))
	}
	exit := exitOf(cmd.ProcessState)
	exit.Stopped = wasStopped
	return exit, nil
}

// stopOn waits for the leader's end (stop) or for the context, then asks the group to end and
// kills it after the grace time. It says whether the context was what ended the command.
func stopOn(ctx context.Context, stop <-chan struct{}, group group, grace time.Duration) bool {
	select {
	case <-stop:
		return false
	case <-ctx.Done():
	}
	if grace > 0 {
		group.kill(syscall.SIGTERM)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-stop:
			return true
		case <-timer.C:
		}
	}
	group.kill(syscall.SIGKILL)
	<-stop
	return true
}

// ended drops what says only that a process was killed.
func ended(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

func name(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	return argv[0]
}

func exitOf(state *os.ProcessState) Exit {
	exit := Exit{Code: state.ExitCode(), CPU: state.UserTime() + state.SystemTime()}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Code, exit.Signal = 128+int(ws.Signal()), ws.Signal().String()
	}
	return exit
}

// plain drops the program's path that os/exec puts in front: StartError says it.
func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
