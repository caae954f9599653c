package workers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine/process"
	"github.com/treeline-ci/treeline/workers/feature/mounts"
)

var errTooLong = errors.New("maxRunTime is over")

// execute mounts, runs the commands and uploads the artifacts.
func (r *run) execute() outcome {
	for _, note := range r.payload.Notes {
		r.log.Warn("%s", note)
	}
	var err error
	r.mounted, err = r.w.caches.Mount(r.doing, mounts.Env{
		Dir: r.dir, Client: r.lease.client(), Task: r.claim.Task, TaskID: r.taskID, Say: r.log.Say,
		Purges: r.askPurges,
	}, r.payload.Mounts)
	if err != nil {
		return r.exceptionFor("A mount failed", err)
	}
	result := r.runCommands()
	if err := r.endProcesses(); err != nil {
		r.slog.Error("processes remain", "error", err)
	}
	if r.doing.Err() != nil {
		return r.interrupted()
	}
	return r.uploadArtifacts(result)
}

// askPurges asks which caches of the pool are to be dropped.
func (r *run) askPurges(ctx context.Context) ([]client.PurgeRequest, error) {
	requests, err := r.w.Client.PurgeRequests(ctx, r.w.TaskQueueID)
	if err != nil && ctx.Err() == nil {
		r.slog.Warn("which caches are to be dropped cannot be asked", "needs", "purge-cache:purge-requests::"+r.w.TaskQueueID, "error", err)
	}
	return requests, err
}

// runCommands runs one command after the other until one fails or the time is over.
func (r *run) runCommands() outcome {
	limit := r.payload.MaxRunTime
	ctx, cancel := context.WithTimeoutCause(r.doing, limit, errTooLong)
	defer cancel()
	env := r.environment()
	if r.payload.Proxy {
		address, remove := r.w.proxy.Add(func() *client.Client { return r.lease.limited(r.claim.Task.Scopes) })
		defer remove()
		env = append(env, "TASKCLUSTER_PROXY_URL="+address)
	}
	began := time.Now()
	var cpu time.Duration
	for i, argv := range r.payload.Commands {
		r.log.Say("Command %d of %d: %s", i+1, len(r.payload.Commands), quoted(argv))
		exit, err := process.Run(ctx, process.Spec{
			Argv: argv, Dir: r.dir.Work(), Env: env, User: r.w.task, Output: r.log, Grace: r.w.KillGrace,
		})
		if err == nil {
			cpu += exit.CPU
			// What was killed in the middle of something may have left half of it in a cache.
			r.purge = r.purge || exit.Stopped || exit.Signal == "killed" || slices.Contains(r.payload.PurgeOn, exit.Code)
		}
		if failed, result := r.judge(ctx, exit, err); failed {
			return result
		}
	}
	return outcome{task.ReasonCompleted, fmt.Sprintf("Took %s, processor time %s.",
		time.Since(began).Round(time.Millisecond), cpu.Round(time.Millisecond))}
}

// judge says whether a command's end is the end of the run.
func (r *run) judge(ctx context.Context, exit process.Exit, err error) (failed bool, result outcome) {
	if r.doing.Err() != nil {
		return true, r.interrupted()
	}
	if errors.Is(context.Cause(ctx), errTooLong) && (exit.Stopped || err != nil) {
		text := fmt.Sprintf("The commands took longer than maxRunTime, %d seconds, and were stopped.", int(r.payload.MaxRunTime.Seconds()))
		r.log.Error("%s", text)
		return true, outcome{task.ReasonFailed, text}
	}
	if start, ok := errors.AsType[*process.StartError](err); ok {
		r.log.Error("%v", start)
		return true, outcome{task.ReasonFailed, "A command could not be started."}
	}
	if err != nil {
		return true, r.exceptionFor("The engine failed", err)
	}
	text := fmt.Sprintf("exit status %d", exit.Code)
	if exit.Signal != "" {
		text += " (" + exit.Signal + ")"
	}
	switch {
	case slices.Contains(r.payload.RetryOn, exit.Code):
		return true, outcome{task.ReasonIntermittentTask, "The command ended with " + text + ", which the payload wants to be retried."}
	case exit.Code != 0:
		return true, outcome{task.ReasonFailed, "The command ended with " + text + "."}
	}
	return false, outcome{}
}

// environment is what the commands see: ours at the bottom, then the payload's, then what says
// who the task is, which it cannot change (taskcluster-map 16.4).
func (r *run) environment() []string {
	env := []string{"PATH=" + r.w.path, "HOME=" + r.dir.Work(), "TMPDIR=" + r.dir.Temp(), "USER=" + r.w.userName, "LANG=C.UTF-8"}
	env = append(env, r.w.Env...)
	for _, name := range slices.Sorted(maps.Keys(r.payload.Env)) {
		env = append(env, name+"="+r.payload.Env[name])
	}
	return append(env,
		"TASK_ID="+r.taskID,
		"RUN_ID="+strconv.Itoa(r.claim.RunID),
		"TASK_GROUP_ID="+r.claim.Task.TaskGroupID,
		process.WorkdirVariable+"="+r.dir.Work(),
		"TASKCLUSTER_ROOT_URL="+r.w.Client.RootURL(),
		"TASKCLUSTER_WORKER_GROUP="+r.w.WorkerGroup,
		"TASKCLUSTER_WORKER_ID="+r.w.WorkerID,
	)
}

// endProcesses kills what the commands left behind.
func (r *run) endProcesses() error {
	n, err := process.Sweep(r.dir.Work())
	if n > 0 {
		r.log.Warn("%d processes that the commands left behind were ended.", n)
	}
	return err
}

// quoted shows a command as one would type it.
func quoted(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = word
		if word == "" || strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
