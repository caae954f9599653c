// Package templates turns a repository's .taskcluster.yml and what happened into task definitions.
//
// Parse reads the file and checks its frame (version, policy, reporting, hooks); File.Render fills the tasks in with
// JSON-e (see jsone) for one Event and completes them with ids and defaults (taskcluster-map 13.4). Nothing here reads
// a clock or draws lots: time and the seed of invented ids come with the event, so the same event gives the same tasks.
//
// Every complaint is an *Error with the line of the file it is about.
//
// On the way of a push this comes after app/intake/push.go and before queue/create.go.
package templates

import (
	"fmt"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/task"
)

// Limits of a file. A real one has 10 to 20 kB.
const (
	MaxBytes = 1 << 20 // of the file
	MaxTasks = 1000    // that one file may ask for
)

// Error is what is wrong with a file, for the people who wrote it.
type Error struct {
	File    string
	Line    int    // counted from 1; 0 when the fault has no place
	Path    string // to the value inside the file, such as tasks[0].payload; may be ""
	Message string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": " + e.Message)
	if e.Path != "" {
		b.WriteString(" (at " + e.Path + ")")
	}
	return b.String()
}

// Event is what happened, as a template sees it.
type Event struct {
	TasksFor string         // github-push, github-pull-request, git-push, cron, action, …
	Event    map[string]any // the webhook's body, `event`; nil when there is none
	Context  map[string]any // further names: push, repository, ownTaskId, cron, action, …
	RootURL  string         // taskcluster_root_url
	Now      time.Time      // now, and the time $fromNow starts from
	// Seed makes invented task ids: the same seed gives the same ids, so it must name this event and no other, such as
	// the delivery's id. as_slugid and tasks without ids need it.
	Seed string
	// OwnTaskID is the id of the task when the file asks for a single one and does not name it; "" invents one.
	OwnTaskID string
}

// Task is a task that a file asks for.
type Task struct {
	ID         string
	Definition task.Definition
	Line       int // where the file describes it; 0 when that cannot be said
}

// Definitions are the definitions of tasks alone.
func Definitions(tasks []Task) []task.Definition {
	list := make([]task.Definition, len(tasks))
	for i, t := range tasks {
		list[i] = t.Definition
	}
	return list
}

// Policy says who gets tasks for pull requests and comments. It is read from the default branch's file only.
type Policy struct {
	PullRequests  string // public, public_restricted, collaborators (the default), collaborators_quiet
	AllowComments string // collaborators, or "" for nobody
}

// Extras are what a file asks of Treeline beyond what Taskcluster knows: its key treeline.
type Extras struct {
	CancelBranches []string // a push cancels the older builds of a branch that matches one; * stands for anything
	CancelClosed   bool     // closing a pull request cancels its builds
	GraphDiff      GraphDiff
	Reporting      Reporting

	Buttons map[string][]Button // what check runs offer, by ForFailed and so on; of those that are missing the usual
	// ApproveNewScopes is the least role at GitHub, maintain or admin, of who approves scopes that a pull request brings;
	// "": nobody need. It is read from the default branch's file only.
	ApproveNewScopes string

	MayStart map[string]string // by action, the least role at GitHub of who may start it: write (the usual), maintain, admin
}

// Hook is a hook that the file triggers; its context is passed on as it is written.
type Hook struct {
	Name    string // <hookGroupId>/<hookId>
	Context map[string]any
	Line    int
}
