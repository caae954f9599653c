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
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/process"
)

var (
	errTooLong  = errors.New("maxRunTime is over")
	errDiskFull = errors.New("the disk is full")
)

// closeTime is how long an engine may take to end a sandbox.
const closeTime = time.Minute

// execute mounts, runs the commands and uploads the artifacts.
func (r *run) execute() outcome {
	for _, note := range r.payload.Notes {
		r.log.Warn("%s", note)
	}
	if err := r.openSandbox(); err != nil {
		return r.exceptionFor("The task's surroundings cannot be made", err)
	}
	ctx, stop := context.WithCancelCause(r.doing)
	defer stop(nil)
	defer r.w.disk.watch(r.dir.Work(), stop)()
	result := r.lingerForShells(ctx, r.runCommands(ctx))
	if err := r.endProcesses(); err != nil {
		r.slog.Error("processes remain", "error", err)
	}
	if r.doing.Err() != nil {
		return r.interrupted()
	}
	r.usage = r.sandbox.Usage()
	if err := r.collect(); err != nil {
		return r.exceptionFor("The artifacts cannot be brought out of the container", err)
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
func (r *run) runCommands(parent context.Context) outcome {
	ctx, cancel := context.WithTimeoutCause(parent, r.payload.MaxRunTime, errTooLong)
	defer cancel()
	r.commandEnv = r.environment()
	if r.payload.Proxy {
		address, remove, err := r.w.proxy.AddAt(r.doing, r.sandbox.Gateway(), func() *client.Client { return r.lease.limited(r.claim.Task.Scopes) })
		if err != nil {
			return r.exceptionFor("The task proxy cannot be opened", err)
		}
		r.atEnd = append(r.atEnd, remove)
		r.commandEnv = append(r.commandEnv, "TASKCLUSTER_PROXY_URL="+address)
	}
	r.began = time.Now()
	if err := r.offerShell(); err != nil {
		return r.exceptionFor("Shells cannot be offered", err)
	}
	for i, argv := range r.payload.Commands {
		r.log.Say("Command %d of %d: %s", i+1, len(r.payload.Commands), quoted(argv))
		began := time.Now()
		exit, err := r.sandbox.Run(ctx, engine.Command{Argv: argv, Env: r.commandEnv, Output: r.log, Grace: r.w.KillGrace})
		r.timings = append(r.timings, timing{Command: i + 1, Seconds: time.Since(began).Seconds(), Exit: exit.Code})
		if err == nil {
			// What was killed in the middle of something may have left half of it in a cache.
			r.purge = r.purge || exit.Stopped || exit.Signal == "killed" || slices.Contains(r.payload.PurgeOn, exit.Code)
		}
		if failed, result := r.judge(ctx, exit, err); failed {
			return result
		}
	}
	return outcome{reason: task.ReasonCompleted}
}

// judge says whether a command's end is the end of the run.
func (r *run) judge(ctx context.Context, exit engine.Exit, err error) (failed bool, result outcome) {
	if r.doing.Err() != nil {
		return true, r.interrupted()
	}
	stopped := exit.Stopped || err != nil
	if errors.Is(context.Cause(ctx), errTooLong) && stopped {
		text := fmt.Sprintf("The commands took longer than maxRunTime, %d seconds, and were stopped.", int(r.payload.MaxRunTime.Seconds()))
		r.log.Error("%s", text)
		return true, outcome{task.ReasonFailed, text}
	}
	if cause := context.Cause(ctx); errors.Is(cause, errDiskFull) && stopped {
		r.log.Error("%v", cause)
		return true, outcome{task.ReasonFailed, "The commands were stopped because the disk was about to be full."}
	}
	if start, ok := errors.AsType[*engine.StartError](err); ok {
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
		r.explainLimits()
		return true, outcome{task.ReasonFailed, "The command ended with " + text + "."}
	}
	return false, outcome{}
}

// explainLimits says when a command may have failed for want of what the worker allows.
func (r *run) explainLimits() {
	u := r.sandbox.Usage()
	if u.OOMKills > 0 {
		r.log.Error("%d processes were killed because the task had used its %d MB of memory.", u.OOMKills, r.w.Limits.Memory>>20)
	}
	if u.Refused > 0 {
		r.log.Error("New processes were refused %d times because the task had its %d already.", u.Refused, r.w.Limits.PIDs)
	}
}

// environment is what the commands see: ours at the bottom, with the span that spans of the commands belong to, then the payload's, then what says
// who the task is, which it cannot change (taskcluster-map 16.4).
func (r *run) environment() []string {
	env := append(r.sandbox.Env(), r.w.Env...)
	env = append(env, "TRACEPARENT="+traceid.Parent(r.claim.Task.TaskGroupID, r.taskID, r.claim.RunID))
	for _, name := range slices.Sorted(maps.Keys(r.payload.Env)) {
		env = append(env, name+"="+r.payload.Env[name])
	}
	env = append(env,
		"TASK_ID="+r.taskID,
		"RUN_ID="+strconv.Itoa(r.claim.RunID),
		"TASK_GROUP_ID="+r.claim.Task.TaskGroupID,
		"TASKCLUSTER_ROOT_URL="+r.w.Client.RootURL(),
		"TASKCLUSTER_WORKER_GROUP="+r.w.WorkerGroup,
		"TASKCLUSTER_WORKER_ID="+r.w.WorkerID,
	)
	if work := r.sandbox.Work(); work != "" {
		env = append(env, process.WorkdirVariable+"="+work)
	}
	if r.payload.Sandbox.LoopbackVideo {
		env = append(env, "TASKCLUSTER_VIDEO_DEVICE="+videoDevice)
	}
	return env
}

// quoted shows a command as one would type it.
func quoted(argv []string) string {
	if len(argv) == 0 {
		return "(the image's own)"
	}
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = word
		if word == "" || strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
