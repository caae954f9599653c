package intake

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// Change is what a forge told of: a push, a pull request, a release. Its values are those of the parameters
// of its decision.
type Change struct {
	TasksFor   string `json:"tasksFor"`
	Repository string `json:"repository"` // as it is registered
	Project    string `json:"project"`
	Branch     string `json:"branch"`
	Revision   string `json:"revision"`

	BaseRepository string `json:"baseRepository"`
	BaseRef        string `json:"baseRef"`
	BaseRev        string `json:"baseRev"`
	HeadRepository string `json:"headRepository"`
	HeadRef        string `json:"headRef"`
	HeadTag        string `json:"headTag,omitempty"`

	Level        int       `json:"level"`
	Owner        string    `json:"owner"`
	Message      string    `json:"message"`
	FilesChanged []string  `json:"filesChanged,omitempty"`
	Time         time.Time `json:"time"`
}

// Changes are the changes that have tasks.
type Changes interface {
	// ByTaskGroup finds the change that a task group was made for; without one it is a fault.NotFound.
	ByTaskGroup(ctx context.Context, taskGroupID string) (Change, error)
	// Refused says what is wrong with the tree that the change's decision read.
	Refused(ctx context.Context, taskGroupID string, what push.Error) error
}

// changeOf returns the change of a task group as an occasion; p is the push that was recorded of it, if any.
func (in *Intake) changeOf(ctx context.Context, taskGroupID string, p push.Push) (Occasion, error) {
	if in.Changes == nil {
		return Occasion{}, fault.New(fault.NotFound, "no forge tells of changes")
	}
	c, err := in.Changes.ByTaskGroup(ctx, taskGroupID)
	if err != nil {
		return Occasion{}, err
	}
	r, err := in.Push.Repository(ctx, c.Repository)
	if err != nil {
		return Occasion{}, err
	}
	if p.ID == 0 {
		p = push.Push{
			Repository: c.Repository, Branch: c.Branch, Revision: c.Revision, Base: c.BaseRev, Email: c.Owner, Message: c.Message,
			FilesChanged: c.FilesChanged, Time: c.Time,
		}
	}
	return Occasion{TasksFor: c.TasksFor, Repository: r, Push: p, Change: &c}, nil
}

// enter puts what the forge told in place of what a record of a push would say.
func (c *Change) enter(into *params.Decision) {
	into.TasksFor, into.Project, into.Level, into.Owner = c.TasksFor, c.Project, strconv.Itoa(c.Level), c.Owner
	into.BaseRepository, into.BaseRef, into.BaseRev = c.BaseRepository, c.BaseRef, c.BaseRev
	into.HeadRepository, into.HeadRef, into.HeadRev, into.HeadTag = c.HeadRepository, c.HeadRef, c.Revision, c.HeadTag
	into.CommitMessage = cmp.Or(c.Message, into.CommitMessage)
	if c.FilesChanged != nil {
		into.FilesChanged = c.FilesChanged
	}
}
