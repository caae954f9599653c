package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/payload"
)

const (
	pollFirst = 250 * time.Millisecond
	pollMost  = 3 * time.Second
)

func newTaskCommand() *cobra.Command {
	return newRemoteGroup("task", "Look at tasks, make them, act on them",
		"Works on tasks of the server named by TASKCLUSTER_ROOT_URL.",
		newTaskCreate, newTaskShow, newTaskStatus, newTaskWhy, newTaskLog, newTaskWait, newTaskArtifacts,
		taskAct("cancel", "Cancel a task", (*client.Client).Cancel),
		taskAct("rerun", "Run a resolved task again", (*client.Client).Rerun),
		taskAct("schedule", "Make a task pending without regard to its dependencies", (*client.Client).Schedule),
		newTaskPriority,
	)
}

func newTaskShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show TASK", Short: "Show a task's definition", Args: cobra.ExactArgs(1),
		Example: "  treeline task show fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			d, err := r.client.Task(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return r.printJSON(d)
		}),
	}
}

func newTaskStatus(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "status TASK", Short: "Show how a task stands", Args: cobra.ExactArgs(1),
		Example: "  treeline task status fN1SbArXTPSVFNUvaOlinQ --json",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			s, err := r.client.Status(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return r.printStatus(s)
		}),
	}
}

func (r *remote) printStatus(s task.Status) error {
	if r.json {
		return r.printJSON(map[string]task.Status{"status": s})
	}
	r.printf("%s  %s  (group %s, queue %s)\n", s.TaskID, r.colored(s.State), s.TaskGroupID, s.TaskQueueID)
	for _, run := range s.Runs {
		r.printf("  run %d  %s", run.RunID, r.colored(run.State))
		if run.ReasonResolved != "" && string(run.ReasonResolved) != string(run.State) {
			r.printf(" (%s)", run.ReasonResolved)
		}
		if run.WorkerID != "" {
			r.printf("  on %s/%s", run.WorkerGroup, run.WorkerID)
		}
		switch {
		case run.Started != nil && run.Resolved != nil:
			r.printf("  took %s", run.Resolved.Sub(run.Started.Time).Round(time.Millisecond))
		case run.Started != nil:
			r.printf("  since %s", run.Started)
		}
		r.printf("\n")
	}
	return nil
}

func taskAct(name, short string, act func(*client.Client, context.Context, string) (task.Status, error)) func(*remote) *cobra.Command {
	return func(r *remote) *cobra.Command {
		return &cobra.Command{
			Use: name + " TASK...", Short: short, Args: cobra.MinimumNArgs(1),
			Example: "  treeline task " + name + " fN1SbArXTPSVFNUvaOlinQ",
			RunE: r.does(func(cmd *cobra.Command, args []string) error {
				for _, id := range args {
					s, err := act(r.client, cmd.Context(), id)
					if err != nil {
						return err
					}
					if err := r.printStatus(s); err != nil {
						return err
					}
				}
				return nil
			}),
		}
	}
}

func newTaskWait(r *remote) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use: "wait TASK", Short: "Wait until a task is resolved; the exit code tells how", Args: cobra.ExactArgs(1),
		Example: "  treeline task wait fN1SbArXTPSVFNUvaOlinQ --timeout 30m && echo green",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the task is not resolved after %s", limit))
				defer cancel()
			}
			s, err := r.waitFor(ctx, args[0], func(s task.Status) bool { return s.State.Resolved() })
			if err != nil {
				return err
			}
			if err := r.printStatus(s); err != nil {
				return err
			}
			return exitFor(s.State)
		}),
	}
	cmd.Flags().DurationVar(&limit, "timeout", 0, "give up after this time (0: never)")
	return cmd
}

// exitFor is the exit code that tells how a task ended; nil for completed.
func exitFor(s task.State) error {
	switch s {
	case task.Failed:
		return exitFailed
	case task.Exception:
		return exitException
	}
	return nil
}

// waitFor asks for the status, less and less often, until it is as wanted.
func (r *remote) waitFor(ctx context.Context, taskID string, wanted func(task.Status) bool) (task.Status, error) {
	for pause := pollFirst; ; pause = min(pause*3/2, pollMost) {
		s, err := r.client.Status(ctx, taskID)
		if err == nil && wanted(s) {
			return s, nil
		}
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		if err != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func newTaskLog(r *remote) *cobra.Command {
	var run int
	cmd := &cobra.Command{
		Use: "log TASK", Short: "Print a task's log, following it while the task runs", Args: cobra.ExactArgs(1),
		Long:    "Prints the log of a run. While the run goes on, the log is followed to its end; a run that has not begun is waited for.\nWith --json each line of the log is an object {\"line\": \"…\"} on a line of its own.",
		Example: "  treeline task log fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			address, err := r.findLog(cmd.Context(), args[0], run)
			if err != nil {
				return err
			}
			if !r.json {
				_, err = r.client.Follow(cmd.Context(), address, 0, r.out)
				return err
			}
			lines := &jsonLines{out: r.out}
			_, err = r.client.Follow(cmd.Context(), address, 0, lines)
			return errors.Join(err, lines.Close())
		}),
	}
	runFlag(cmd, &run)
	return cmd
}

// findLog waits until a run has a log, and says where it is. A run that ended without one is an
// error.
func (r *remote) findLog(ctx context.Context, taskID string, run int) (string, error) {
	told := false
	for {
		ended := false
		_, err := r.waitFor(ctx, taskID, func(s task.Status) bool {
			if !told && (s.State == task.Pending || s.State == task.Unscheduled) {
				r.note("task is %s, waiting for it to begin", s.State)
				told = true
			}
			i := slices.IndexFunc(s.Runs, func(x task.Run) bool { return x.RunID == run })
			if run == client.LatestRun {
				i = len(s.Runs) - 1
			}
			if i < 0 || s.Runs[i].State == task.Pending {
				return false
			}
			ended = s.Runs[i].State.Resolved()
			return true
		})
		if err != nil {
			return "", err
		}
		address, err := r.client.Locate(ctx, taskID, run, payload.LiveLog)
		if err == nil || ended || !errors.Is(err, fault.NotFound) {
			return address, err
		}
		select { // it runs, and its worker is about to make the log
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pollFirst):
		}
	}
}

func newTaskArtifacts(r *remote) *cobra.Command {
	cmd := newArtifactList(r)
	cmd.Use, cmd.Short = "artifacts TASK", "List a task's artifacts"
	cmd.Example = "  treeline task artifacts fN1SbArXTPSVFNUvaOlinQ"
	return cmd
}
