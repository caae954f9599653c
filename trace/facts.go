// Package trace makes one trace of a push: from the webhook that told of it through the decision and every task, with why
// it waited, to what was reported. It is made of facts that the database holds anyway (Facts) and keeps nothing itself: the
// exporter and the waterfall show the same.
//
// The package is pure: no clock, no database, no network. A trace of facts that do not change does not change either.
//
// Readers next: build.go, wait.go, critical.go, attributes.go.
package trace

import (
	"time"

	"github.com/treeline-ci/treeline/task"
)

// Facts are what is known of a push and its tasks. Times that are zero are not known, or have not come.
type Facts struct {
	RootURL string    // of the server, for links
	Now     time.Time // by the database's clock, as all times but those that say otherwise
	GroupID string    // "" for a push of which no tasks were made
	Created time.Time // when the first task of the group was made
	Push    *Push     // nil for tasks that were not made for a push
	Change  *Change   // nil where no forge told of it
	Told    *Delivery // nil where no webhook told of it
	Tasks   []Task
	Outside map[string]Outside   // tasks of other groups that tasks of this one need, by id
	Others  []Start              // runs of other groups in the same task queues that began meanwhile
	Workers map[Worker]time.Time // when workers first asked for work
	Reports []Report
}

// Push is a push as it was recorded.
type Push struct {
	Repository, URL, Kind   string
	ID                      int64
	Revision, Base, Branch  string
	Author, Message         string
	Dated, Received         time.Time // when the forge took it, by its clock, and when it was recorded
	Decided                 time.Time // when its graph was in the queue, or it was known that there is none
	State, Failure, Problem string    // Failure is a word for what went wrong, Problem a sentence
}

// Change is what a forge calls what the tasks were made for, where there is no push, or more than a push.
type Change struct {
	Title, Repository, URL  string
	Revision, Base, Branch  string
	Pull                    int // 0 for none
	Organization, EventType string
}

// Delivery is a webhook.
type Delivery struct {
	ID, Event, Action string
	Received, Built   time.Time // when it came, and when tasks were asked for because of it
}

// Task is a task with its runs, in their order.
type Task struct {
	ID, Name, Kind, Queue string
	Priority              int // 7 is the highest
	State                 task.State
	Requires              task.Requires
	Created               time.Time // by the clock of who made it
	Needs                 []string
	Runs                  []Run
}

// Run is one attempt at a task.
type Run struct {
	ID                           int
	State                        task.State
	Created                      task.ReasonCreated
	Reason                       task.ReasonResolved
	Worker                       Worker
	Scheduled, Started, Resolved time.Time
	Artifacts                    []Artifact
}

// Worker names a worker of a task queue.
type Worker struct{ Queue, Group, ID string }

// Artifact is something that a run left.
type Artifact struct {
	Name, ContentType string
	Size              int64 // bytes; -1 when it is not known
	Stored            bool  // its bytes are here, and not at the worker or elsewhere
	Created           time.Time
}

// Outside is a task of another group.
type Outside struct {
	Name     string
	Resolved time.Time
}

// Start is the beginning of a run of another group.
type Start struct {
	Worker            Worker
	Priority          int
	Started, Resolved time.Time
}

// Report is something that a forge was told.
type Report struct {
	ID, Name, Kind, TaskID string
	Wanted, Sent           time.Time // when there was something to tell, and when it was told
	Attempt                int
}
