package task

// State is the state of a run; a task's state is that of its last run, or Unscheduled.
type State string

// The states (taskcluster-map 5.4).
const (
	Unscheduled State = "unscheduled"
	Pending     State = "pending"
	Running     State = "running"
	Completed   State = "completed"
	Failed      State = "failed"
	Exception   State = "exception"
)

// States lists every state in the order in which a task passes through them.
func States() []State {
	return []State{Unscheduled, Pending, Running, Completed, Failed, Exception}
}

// Resolved reports whether the state is final for its run.
func (s State) Resolved() bool { return s == Completed || s == Failed || s == Exception }

// ReasonCreated says why a run was made.
type ReasonCreated string

// Why runs are made.
const (
	CreatedScheduled ReasonCreated = "scheduled"  // first run
	CreatedRetry     ReasonCreated = "retry"      // after worker-shutdown or claim-expired
	CreatedTaskRetry ReasonCreated = "task-retry" // after intermittent-task
	CreatedRerun     ReasonCreated = "rerun"      // asked for by rerunTask
	CreatedException ReasonCreated = "exception"  // stands for a task that never ran
)

// ReasonResolved says why a run ended.
type ReasonResolved string

// Why runs end.
const (
	ReasonCompleted           ReasonResolved = "completed"
	ReasonFailed              ReasonResolved = "failed"
	ReasonCanceled            ReasonResolved = "canceled"
	ReasonDeadlineExceeded    ReasonResolved = "deadline-exceeded"
	ReasonClaimExpired        ReasonResolved = "claim-expired"
	ReasonWorkerShutdown      ReasonResolved = "worker-shutdown"
	ReasonIntermittentTask    ReasonResolved = "intermittent-task"
	ReasonMalformedPayload    ReasonResolved = "malformed-payload"
	ReasonResourceUnavailable ReasonResolved = "resource-unavailable"
	ReasonInternalError       ReasonResolved = "internal-error"
	ReasonSuperseded          ReasonResolved = "superseded"
)

// Reportable reports whether a worker may give this reason to reportException.
func (r ReasonResolved) Reportable() bool {
	switch r {
	case ReasonWorkerShutdown, ReasonIntermittentTask, ReasonMalformedPayload,
		ReasonResourceUnavailable, ReasonInternalError:
		return true
	}
	return false
}

// State returns the state a run has after ending for this reason.
func (r ReasonResolved) State() State {
	switch r {
	case ReasonCompleted:
		return Completed
	case ReasonFailed:
		return Failed
	}
	return Exception
}

// Retry returns the reason of the run that follows automatically while retries are left, and
// whether there is one at all.
func (r ReasonResolved) Retry() (ReasonCreated, bool) {
	switch r {
	case ReasonClaimExpired, ReasonWorkerShutdown:
		return CreatedRetry, true
	case ReasonIntermittentTask:
		return CreatedTaskRetry, true
	}
	return "", false
}

// Requires says which outcome of its dependencies a task waits for.
type Requires string

// The two kinds of waiting.
const (
	AllCompleted Requires = "all-completed"
	AllResolved  Requires = "all-resolved"
)

// Met reports whether a dependency that ended in state satisfies the requirement.
func (r Requires) Met(state State) bool {
	return state == Completed || r == AllResolved && state.Resolved()
}

// Priority orders pending tasks of one task queue.
type Priority string

// The priorities, highest first.
const (
	Highest  Priority = "highest"
	VeryHigh Priority = "very-high"
	High     Priority = "high"
	Medium   Priority = "medium"
	Low      Priority = "low"
	VeryLow  Priority = "very-low"
	Lowest   Priority = "lowest"
)

// Priorities lists all priorities, highest first.
func Priorities() []Priority {
	return []Priority{Highest, VeryHigh, High, Medium, Low, VeryLow, Lowest}
}

// Rank returns 7 for highest down to 1 for lowest, 0 for a word that is no priority
// (taskcluster-map 5.2).
func (p Priority) Rank() int {
	for i, q := range Priorities() {
		if p == q {
			return 7 - i
		}
	}
	return 0
}
