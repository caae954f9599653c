package task

// Status is how a task stands (taskcluster-map 5.4).
type Status struct {
	TaskID        string   `json:"taskId"`
	ProvisionerID string   `json:"provisionerId"`
	WorkerType    string   `json:"workerType"`
	TaskQueueID   string   `json:"taskQueueId"`
	SchedulerID   string   `json:"schedulerId"`
	ProjectID     string   `json:"projectId"`
	TaskGroupID   string   `json:"taskGroupId"`
	Priority      Priority `json:"priority"`
	Deadline      Time     `json:"deadline"`
	Expires       Time     `json:"expires"`
	RetriesLeft   int      `json:"retriesLeft"`
	State         State    `json:"state"`
	Runs          []Run    `json:"runs"`
}

// Run is one attempt at a task.
type Run struct {
	RunID          int            `json:"runId"`
	State          State          `json:"state"`
	ReasonCreated  ReasonCreated  `json:"reasonCreated"`
	ReasonResolved ReasonResolved `json:"reasonResolved,omitempty"`
	WorkerGroup    string         `json:"workerGroup,omitempty"`
	WorkerID       string         `json:"workerId,omitempty"`
	TakenUntil     *Time          `json:"takenUntil,omitempty"`
	Scheduled      Time           `json:"scheduled"`
	Started        *Time          `json:"started,omitempty"`
	Resolved       *Time          `json:"resolved,omitempty"`
}

// LastRun returns the newest run, nil for a task that was never scheduled.
func (s *Status) LastRun() *Run {
	if len(s.Runs) == 0 {
		return nil
	}
	return &s.Runs[len(s.Runs)-1]
}
