package artifact

import (
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/task"
)

// New is an artifact to create.
type New struct {
	StorageType   StorageType `json:"storageType"`
	ContentType   string      `json:"contentType"`
	ContentLength *int64      `json:"contentLength"` // bytes, when known
	Expires       task.Time   `json:"expires"`       // at most the task's
	URL           string      `json:"url"`           // of a reference
	Artifact      string      `json:"artifact"`      // what a link means: an artifact of the same run
	Reason        string      `json:"reason"`        // of an error
	Message       string      `json:"message"`       // of an error
}

// Limits of artifacts (taskcluster-map 5.8).
const (
	maxName          = 1024             // characters
	maxTarget        = 8192             // bytes
	late             = 25 * time.Minute // after the run ended as exception
	plainContentType = "application/binary"
)

// Check refuses what no artifact can be.
func (n *New) Check(name string) error {
	switch {
	case len(name) < 1 || len(name) > maxName || !draft.Printable(name):
		return fault.New(fault.Invalid, "An artifact's name must have 1 to %d printable ASCII characters.", maxName)
	case !draft.Storable(n.ContentType) || !draft.Storable(n.URL) || !draft.Storable(n.Artifact) || !draft.Storable(n.Message) || !draft.Storable(n.Reason):
		return fault.New(fault.Invalid, "An artifact's properties must be UTF-8 without NUL.")
	case len(n.URL) > maxTarget || len(n.Artifact) > maxName:
		return fault.New(fault.Invalid, "What the artifact refers to has too long a name.")
	}
	return nil
}

// Of makes the artifact of a task's run as of now. A run that takes none is fault.Conflict: only a
// running one does, and for a while one that ended as exception. An expiry out of range is
// fault.Invalid.
func (n *New) Of(s *task.Status, run *task.Run, name string, now time.Time) (Artifact, error) {
	at := fmt.Sprintf("Artifact %q of run %d of task %s", name, run.RunID, s.TaskID)
	isLate := run.State == task.Exception && run.Started != nil && run.Resolved.After(now.Add(-late))
	switch {
	case run.State != task.Running && !isLate:
		return Artifact{}, fault.New(fault.Conflict, "%s cannot be created: the run is %s. Only a running one takes artifacts, or one that ended as exception less than %v ago.",
			at, outcome(run), late)
	case n.Expires.After(s.Expires.Time):
		return Artifact{}, fault.New(fault.Invalid, "%s cannot expire at %s, after its task (%s).", at, n.Expires, s.Expires)
	case n.Expires.Before(now.Add(-task.ClockTolerance)):
		return Artifact{}, fault.New(fault.Invalid, "%s cannot expire at %s, which has passed.", at, n.Expires)
	}
	a := Artifact{
		TaskID: s.TaskID, RunID: run.RunID, ProjectID: s.ProjectID, Name: name, StorageType: n.StorageType, ContentType: n.ContentType,
		ContentLength: n.ContentLength, Expires: n.Expires, Target: n.URL + n.Artifact, Reason: n.Reason, Message: n.Message,
		Present: !n.StorageType.Stored(), Now: now,
	}
	if a.StorageType == Error || a.ContentType == "" {
		a.ContentType = plainContentType
	}
	if a.StorageType == Object {
		a.UploadID = slug.New()
	}
	return a, nil
}

func outcome(run *task.Run) string {
	if run.ReasonResolved == "" {
		return string(run.State)
	}
	return string(run.State) + "/" + string(run.ReasonResolved)
}

// collides says what is wrong with replacing the artifact that is there, "" when nothing is.
func collides(there, a *Artifact) string {
	toLink := a.StorageType == Link
	switch {
	case there.StorageType != a.StorageType && (there.StorageType != Reference || !toLink):
		return fmt.Sprintf("its storageType is %s", there.StorageType)
	case a.Expires.Before(there.Expires.Time):
		return fmt.Sprintf("it expires at %s: that may only become later", there.Expires)
	case !toLink && a.StorageType != Error && a.ContentType != there.ContentType:
		return fmt.Sprintf("its contentType is %q", there.ContentType)
	case a.StorageType.Stored() && a.ContentLength != nil && there.ContentLength != nil && *a.ContentLength != *there.ContentLength:
		return fmt.Sprintf("its contentLength is %d", *there.ContentLength)
	case there.StorageType == Reference:
		return ""
	case a.Target != there.Target:
		return fmt.Sprintf("it means %q", there.Target)
	case a.Reason != there.Reason || a.Message != there.Message:
		return "its reason or message is another"
	}
	return ""
}
