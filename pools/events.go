package pools

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/task"
)

// The kinds of events that changes append to the feed (taskcluster-map appendix C).
const (
	poolCreated     = "worker-pool-created"
	poolUpdated     = "worker-pool-updated"
	poolError       = "worker-pool-error"
	workerRequested = "worker-requested"
	workerRunning   = "worker-running"
	workerStopped   = "worker-stopped"
	workerRemoved   = "worker-removed"
	configCreated   = "launch-config-created"
	configUpdated   = "launch-config-updated"
	configArchived  = "launch-config-archived"
)

// message is the body of all of them; what a kind does not have is left out.
type message struct {
	WorkerPoolID       string     `json:"workerPoolId"`
	ProviderID         string     `json:"providerId"`
	PreviousProviderID string     `json:"previousProviderId,omitempty"`
	WorkerGroup        string     `json:"workerGroup,omitempty"`
	WorkerID           string     `json:"workerId,omitempty"`
	LaunchConfigID     string     `json:"launchConfigId,omitempty"`
	Capacity           int        `json:"capacity,omitempty"`
	Reason             string     `json:"reason,omitempty"`
	ErrorID            string     `json:"errorId,omitempty"`
	Kind               string     `json:"kind,omitempty"`
	Title              string     `json:"title,omitempty"`
	Timestamp          *task.Time `json:"timestamp,omitempty"`
}

// tell appends an event in the transaction of its change.
func tell(ctx context.Context, tx pgx.Tx, kind string, m message) error {
	switch kind {
	case poolError, workerRequested, workerRunning, workerStopped, workerRemoved:
		at, err := now(ctx, tx)
		if err != nil {
			return err
		}
		stamp := task.At(at)
		m.Timestamp = &stamp
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("event %s: %w", kind, err)
	}
	return event.Append(ctx, tx, event.Event{Kind: kind, Topic: m.WorkerPoolID, Payload: payload})
}

// about is the message about a worker.
func (w *Worker) about(reason string) message {
	return message{WorkerPoolID: w.WorkerPoolID, ProviderID: w.ProviderID, WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID,
		LaunchConfigID: w.LaunchConfigID, Capacity: w.Capacity, Reason: reason}
}
