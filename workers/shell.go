package workers

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/feature/shell"
)

// Artifacts that lead people to a run's shells, by dialect.
const (
	genericShell = "private/generic-worker/shell.html"
	dockerShell  = "private/docker-worker/shell.html"
)

// loaner is the variable by which a task is known to be lent to a person: it stays when its commands have ended.
const loaner = "TASKCLUSTER_INTERACTIVE"

// shellPoll is how often it is looked whether people have left.
const shellPoll = 200 * time.Millisecond

// offerShell lets people open shells in the task, if its payload wants that.
func (r *run) offerShell() error {
	if !r.payload.Interactive {
		return nil
	}
	name := genericShell
	if r.payload.Container != nil {
		name = dockerShell
	}
	address := fmt.Sprintf("%s/shell/%s/%d", r.w.Client.RootURL(), r.taskID, r.claim.RunID)
	if err := r.lease.client().ReferenceArtifact(r.doing, r.taskID, r.claim.RunID, name, "text/html", address, r.claim.Task.Expires); err != nil {
		return err
	}
	r.log.Say("Shells are offered at %s", address)
	ctx, cancel := context.WithCancel(r.doing)
	r.shells = &shell.Offer{Client: r.lease.client, TaskID: r.taskID, RunID: r.claim.RunID, Say: r.log.Say, Log: r.slog, Open: r.openShell, Exec: r.execBeside}
	over := make(chan struct{})
	go func() { defer close(over); r.shells.Run(ctx) }()
	r.closeShells = func() { cancel(); <-over }
	return nil
}

func (r *run) openShell(ctx context.Context, t engine.Terminal) error {
	_, err := r.sandbox.Shell(ctx, engine.Command{
		Argv: []string{"sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash -i || exec sh -i"},
		Env:  append(r.commandEnv[:len(r.commandEnv):len(r.commandEnv)], "TERM=xterm-256color"), Grace: time.Second,
	}, t)
	return err
}

// execBeside runs a command of the worker's own, in the task's sandbox and as its user.
func (r *run) execBeside(ctx context.Context, argv []string, t engine.Terminal) (int, error) {
	exit, err := r.sandbox.Shell(ctx, engine.Command{Argv: argv, Env: r.commandEnv, Grace: time.Second}, t)
	return exit.Code, err
}

// lingerForShells keeps the task when its commands have ended: while shells are open, and one that is lent to a
// person until that person has come and gone; never longer than maxRunTime.
func (r *run) lingerForShells(ctx context.Context, result outcome) outcome {
	if r.shells == nil {
		return result
	}
	defer r.closeShells()
	ctx, cancel := context.WithDeadline(ctx, r.began.Add(r.payload.MaxRunTime))
	defer cancel()
	lent := r.payload.Env[loaner] == "true"
	told := false
	for {
		open, ever := r.shells.Count()
		if open == 0 && (!lent || ever > 0) {
			return result
		}
		if !told {
			told = true
			r.log.Say("The commands have ended; the task stays for its shells, until %s at the latest.", task.At(r.began.Add(r.payload.MaxRunTime)))
		}
		select {
		case <-ctx.Done():
			return result
		case <-time.After(shellPoll):
		}
	}
}
