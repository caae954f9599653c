// The fifth page of the newcomer's reading list: the life of one run on its worker. Before it comes
// queue/claim.go; after it comes taskgraph/generate.go, what a decision task does.

package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/feature/image"
	"github.com/treeline-ci/treeline/workers/feature/mounts"
	"github.com/treeline-ci/treeline/workers/feature/shell"
	"github.com/treeline-ci/treeline/workers/feature/trust"
	"github.com/treeline-ci/treeline/workers/payload"
	"github.com/treeline-ci/treeline/workers/scratch"
	"github.com/treeline-ci/treeline/workers/tasklog"
)

// farewell is how long a run that is given back may take to upload its log and report.
const farewell = 20 * time.Second

// outcome is how a run ended, or is to end.
type outcome struct {
	reason task.ReasonResolved
	text   string
}

// run is one claimed run on its way.
type run struct {
	w       *worker
	claim   client.Claim
	taskID  string
	lease   *lease
	log     *tasklog.Log
	rest    *tasklog.Rest // what the report has to make of the log; nil: nothing
	slog    *slog.Logger
	dir     *scratch.Dir
	payload *payload.Payload
	user    *engine.User // whom the commands run as, nil: the worker's own
	mounted *mounts.Mounted
	image   *image.Got // nil: there is none
	sandbox engine.Sandbox
	purge   bool         // the caches are not to be kept
	shells  *shell.Offer // nil: none are offered
	// closeShells ends them all.
	closeShells func()
	atEnd       []func() // closes what is open for the commands

	claimed    time.Time
	began      time.Time // the commands
	commandEnv []string
	timings    []timing
	usage      engine.Usage

	digestsMu sync.Mutex
	digests   map[string]trust.Artifact // of what was uploaded, by name

	// ours lives while the run is ours; doing ends as well when the worker has to give it back.
	ours, doing context.Context
}

// work takes a run from its claim to its report. The next steps are in commands.go and
// artifacts.go; what it reports becomes final in the queue.
func (w *worker) work(claim client.Claim) {
	began := time.Now()
	taskID := claim.Status.TaskID
	log := w.Log.With("task", taskID, "run", claim.RunID)
	ours, lose := context.WithCancelCause(context.WithoutCancel(w.shutdown))
	defer lose(nil)
	doing, stop := context.WithCancelCause(ours)
	defer stop(nil)
	defer context.AfterFunc(w.shutdown, func() {
		stop(errShutdown)
		time.AfterFunc(farewell, func() { lose(errShutdown) })
	})()

	r := &run{w: w, claim: claim, taskID: taskID, slog: log, ours: ours, doing: doing, claimed: began, user: w.task}
	if w.users != nil { // there are as many as runs
		r.user = <-w.users
		defer func() { w.users <- r.user }()
	}
	r.lease = newLease(w.Client, claim, lose, log)
	var keeping sync.WaitGroup
	leaseCtx, endLease := context.WithCancel(ours)
	defer keeping.Wait()
	defer endLease()

	log.Info("run begins", "name", claim.Task.Metadata.Name)
	if err := r.prepare(); err != nil {
		log.Error("run cannot be prepared", "error", err)
		r.report(outcome{task.ReasonInternalError, "the worker could not make a directory for the run"})
		return
	}
	r.lease.renew = r.record
	r.record(claim)
	keeping.Go(func() { r.lease.keep(leaseCtx, claim) })
	watchCtx, endWatch := context.WithCancel(leaseCtx)
	defer endWatch()
	keeping.Go(func() { r.lease.watch(watchCtx, w.Client) })
	result := r.workInside()
	r.cleanUp()
	endWatch() // what is resolved from here on is our own doing
	if result.reason != "" {
		r.report(result)
	}
	endLease()
	r.forget()
	log.Info("run has ended", "outcome", result.reason, "took", time.Since(began).Round(time.Millisecond))
}

func (r *run) prepare() error {
	dir, err := scratch.Make(r.w.taskDir, fmt.Sprintf("%s.%d", r.taskID, r.claim.RunID), r.user)
	if err != nil {
		return err
	}
	r.dir = dir
	if r.log, err = tasklog.Create(dir.Private("log"), r.w.MaxLog); err != nil {
		return errors.Join(err, dir.Remove())
	}
	return nil
}

// workInside does the work with the log flowing, and returns when both are done. An outcome
// without reason is not to be reported: the run is not ours.
func (r *run) workInside() outcome {
	p, err := r.w.parser.Parse(r.claim.Task.Payload, payload.Options{AcceptImages: r.w.AcceptImages, Containers: r.w.Engine.Images() != nil, MaxRunTime: r.w.MaxRun})
	up := r.uploader(p)
	uploading := r.startLog(up)
	r.header()
	var result outcome
	if err != nil {
		r.log.Error("%v", err)
		result = outcome{task.ReasonMalformedPayload, "the payload is malformed"}
	} else if err := r.trusted(); err != nil {
		r.log.Error("%v", err)
		result = outcome{task.ReasonMalformedPayload, "This worker runs only tasks whose definitions are signed by those it trusts."}
	} else {
		r.payload = p
		if !r.bare() {
			p.Rebase(r.dir.Work())
		}
		result = r.execute()
	}
	r.end()
	if r.ours.Err() != nil {
		result = outcome{}
	}
	r.footer(result)
	r.log.Close()
	if err := <-uploading; err != nil {
		result = r.withoutLog(result, err)
	} else if up != nil {
		r.rest = up.Rest()
	}
	if r.ours.Err() != nil {
		r.slog.Warn("the run is dropped", "reason", context.Cause(r.ours))
		return outcome{}
	}
	return result
}

// withoutLog is the outcome of a run of which the log cannot be uploaded: the queue does not take one as completed
// without it.
func (r *run) withoutLog(result outcome, err error) outcome {
	if r.ours.Err() != nil {
		return result
	}
	r.slog.Error("the log could not be uploaded whole", "error", err)
	if result.reason == task.ReasonCompleted {
		return outcome{task.ReasonInternalError, "the log could not be uploaded"}
	}
	return result
}

// uploader is what uploads the log, nil when the payload wants none; p is nil for a malformed payload.
func (r *run) uploader(p *payload.Payload) *tasklog.Uploader {
	up := &tasklog.Uploader{
		Log: r.log, Client: r.lease.client, TaskID: r.taskID, RunID: r.claim.RunID, Together: !r.w.apart.Load(),
		Live: payload.LiveLog, Backing: payload.BackingLog, Expires: r.claim.Task.Expires, Every: r.w.LogEvery,
		Report: func(err error) { r.slog.Warn("the log waits for the server", "error", err) },
	}
	if p == nil {
		return up
	}
	if up.Live, up.Backing = p.LiveName, p.BackingName; !p.Live {
		up.Live = ""
	}
	if !p.Backing {
		return nil
	}
	return up
}

// startLog begins to upload the log; the channel tells when it is all there, but for what the report makes of it.
func (r *run) startLog(up *tasklog.Uploader) <-chan error {
	done := make(chan error, 1)
	if up == nil {
		done <- nil
		return done
	}
	go func() { done <- up.Run(r.ours) }()
	return done
}

func (r *run) header() {
	t := r.claim.Task
	r.log.Say("Task %s, run %d: %s", r.taskID, r.claim.RunID, t.Metadata.Name)
	r.log.Say("Worker %s/%s takes it from queue %s; claim until %s, deadline %s",
		r.w.WorkerGroup, r.w.WorkerID, r.w.TaskQueueID, r.claim.TakenUntil, t.Deadline)
	if wrong := r.w.Client.ClockError(); wrong != 0 {
		r.log.Warn("This worker's clock is wrong by %s: add that to the times in this log.", wrong.Round(time.Second))
	}
}

func leading(text string) string {
	if text == "" {
		return ""
	}
	return " " + text
}

func (r *run) footer(result outcome) {
	r.sayUsage()
	switch result.reason {
	case "":
		r.log.Error("The run is not this worker's any more: %v", context.Cause(r.ours))
	case task.ReasonCompleted:
		r.log.Say("Result: completed.%s", leading(result.text))
	case task.ReasonFailed:
		r.log.Error("Result: failed. %s", result.text)
	default:
		r.log.Error("Result: exception, %s. %s", result.reason, result.text)
	}
}

// end closes what was open for the commands, and the sandbox; nothing of the task runs any more.
func (r *run) end() {
	for _, end := range slices.Backward(r.atEnd) {
		end()
	}
	if err := r.close(); err != nil {
		r.slog.Error("the sandbox remains", "error", err)
	}
}

// cleanUp takes the caches back and closes the log.
func (r *run) cleanUp() {
	if r.mounted != nil {
		if err := r.mounted.Release(r.dir, r.purge || r.w.Forget); err != nil {
			r.slog.Warn("caches", "error", err)
		}
	}
	if err := r.log.Discard(); err != nil {
		r.slog.Warn("log file", "error", err)
	}
}

// exceptionFor turns an error on the way into an outcome: what the task asked wrongly is its own
// fault, what the server did not give is a lack of resources.
func (r *run) exceptionFor(what string, err error) outcome {
	if r.doing.Err() != nil {
		return r.interrupted()
	}
	r.log.Error("%s: %v", what, err)
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Forbidden, fault.BadInput, fault.BadArguments, fault.NotFound, fault.Conflict, fault.Gone:
		return outcome{task.ReasonMalformedPayload, what + "."}
	case fault.Unavailable:
		return outcome{task.ReasonResourceUnavailable, what + "."}
	}
	return outcome{task.ReasonInternalError, what + "."}
}

// interrupted is the outcome of a run that was stopped from outside: given back, or lost.
func (r *run) interrupted() outcome {
	if errors.Is(context.Cause(r.doing), errShutdown) {
		return outcome{task.ReasonWorkerShutdown, "The worker is ending; another one will take the task."}
	}
	return outcome{}
}
