package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/replay"
)

// options is the payload of a native decision task.
type options struct {
	Root              string `json:"root"`              // of the graph's configuration, "taskcluster" when empty
	TargetTasksMethod string `json:"targetTasksMethod"` // "default" when empty
	Action            *asked `json:"action"`            // what an action task is to do; nil for a decision
}

func readOptions(payload []byte) (options, error) {
	o := options{}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return o, mistake("bad-config", configFile, 0, "payload of the decision task: %v; it takes root and targetTasksMethod, and that of an action task action, too", err)
	}
	if o.Root == "" {
		o.Root = "taskcluster"
	}
	if path.IsAbs(o.Root) || path.Clean(o.Root) != o.Root || strings.HasPrefix(o.Root, "..") {
		return o, mistake("bad-config", configFile, 0, "payload.root %q of the decision task must be a directory of the repository", o.Root)
	}
	return o, nil
}

// publishTogether is how many contents are written at once.
const publishTogether = 8

// publish makes files artifacts of the decision task's run: their contents first, at once, and then
// all names in one transaction.
func (d *nativeDecision) publish(ctx context.Context, files map[string][]byte) error {
	id, run, expires := d.claim.Status.TaskID, d.claim.RunID, d.claim.Task.Expires
	names := slices.Sorted(maps.Keys(files))
	whole := make([]queue.Whole, len(names))
	writes, wctx := errgroup.WithContext(ctx)
	writes.SetLimit(publishTogether)
	for i, name := range names {
		writes.Go(func() error {
			content, kind := files[name], decision.ContentType(name)
			o, err := d.Objects.Put(wctx, queue.ObjectName(id, run, name), d.claim.Task.ProjectID, kind, expires.Time, bytes.NewReader(content), "")
			whole[i] = queue.Whole{Name: name, ContentType: kind, SHA256: o.SHA256, Size: o.Size, Expires: expires}
			return err
		})
	}
	if err := writes.Wait(); err != nil {
		return err
	}
	return d.Queue.PublishWhole(ctx, id, run, whole)
}

// The log's two names: the convention of live logs, although this one is short and comes whole.
const (
	backingLog = "public/logs/live_backing.log"
	liveLog    = "public/logs/live.log"
)

func (d *nativeDecision) publishLog(ctx context.Context) error {
	err := d.publish(ctx, map[string][]byte{backingLog: d.log.Bytes()})
	if err == nil {
		_, err = d.Queue.CreateArtifact(ctx, d.claim.Status.TaskID, d.claim.RunID, liveLog, queue.NewArtifact{
			StorageType: queue.StorageLink, ContentType: "text/plain; charset=utf-8", Artifact: backingLog, Expires: d.claim.Task.Expires,
		})
	}
	if fault.KindOf(err) == fault.Conflict { // an earlier try of this run left its log, or the run is over
		d.Log.InfoContext(ctx, "the decision's log is there already", "task", d.claim.Status.TaskID, "err", err)
		return nil
	}
	return err
}

// publishArtifacts publishes the well-known artifacts of a decision (taskgraph-map 17.2) and what
// the graph's tasks fetch from it.
func (d *nativeDecision) publishArtifacts(ctx context.Context, r *taskgraph.Result) error {
	files, err := replay.Artifacts(ctx, replay.Decision{In: d.in, Result: r, Published: d.files, Program: replay.Program()})
	if err != nil {
		return asMistake(err)
	}
	public := make(map[string][]byte, len(files))
	for name, content := range files {
		public["public/"+name] = content
	}
	return d.publish(ctx, public)
}
