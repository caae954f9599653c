package workers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/scratch"
)

const recordName = "claim.json"

// record is what stays on disk of a run while it is ours, so that the next worker in this
// directory can give it back at once instead of letting the claim run out. Only the worker's own
// user can read it; the credentials end with the claim.
type record struct {
	TaskID      string           `json:"taskId"`
	RunID       int              `json:"runId"`
	Credentials hawk.Credentials `json:"credentials"`
}

// record writes the claim down; without it a crash only costs more time.
func (r *run) record(client.Claim) {
	data, err := json.Marshal(record{r.taskID, r.claim.RunID, r.lease.credentials()})
	if err == nil {
		temp := r.dir.Private(recordName + ".new")
		if err = os.WriteFile(temp, data, 0o600); err == nil {
			err = os.Rename(temp, r.dir.Private(recordName))
		}
	}
	if err != nil {
		r.slog.Warn("the claim could not be written down", "error", err)
	}
}

// forget wipes the run's directory, the record of the claim with it.
func (r *run) forget() {
	remove := r.dir.Remove
	if r.sandbox != nil {
		remove = r.dir.RemoveQuiet // the engine has ended what ran
	}
	if err := remove(); err != nil {
		r.slog.Error("the run's directory could not be wiped", "error", err)
	}
}

// occupy makes sure that no other worker uses the directory; the returned function ends that.
func (w *worker) occupy() (release func(), err error) {
	file, err := os.OpenFile(filepath.Join(w.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("workers: directory: %w", err)
	}
	if err := sys.Lock(file, sys.Now); err != nil {
		_ = file.Close() // nothing was written
		return nil, fault.New(fault.Conflict, "directory %s is in use by another worker: give each one its own", w.Dir)
	}
	return func() { _ = file.Close() }, nil // closing unlocks
}

// clearLeftovers ends the processes and removes the directories of runs that a killed worker left
// here, and gives those runs back to the queue.
func (w *worker) clearLeftovers(ctx context.Context) {
	entries, err := os.ReadDir(w.taskDir)
	if err != nil {
		w.Log.Error("leftovers cannot be read", "error", err)
		return
	}
	for _, e := range entries {
		dir := filepath.Join(w.taskDir, e.Name())
		w.Log.Info("clearing what an earlier worker left", "run", e.Name())
		old, err := readRecord(dir)
		if err := scratch.Wipe(dir); err != nil {
			w.Log.Error("leftovers remain", "run", e.Name(), "error", err)
		}
		if err != nil {
			continue // there was no claim yet, or no longer
		}
		c := w.Client.WithCredentials(old.Credentials)
		if _, err := c.ReportException(ctx, old.TaskID, old.RunID, task.ReasonWorkerShutdown); err != nil {
			w.Log.Info("an earlier worker's run is not ours any more", "task", old.TaskID, "run", old.RunID, "error", err)
		}
	}
}

func readRecord(dir string) (record, error) {
	var r record
	data, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}
