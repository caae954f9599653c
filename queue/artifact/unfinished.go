package artifact

import (
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
)

// NotUploaded is the fault.Conflict of a run that was reported as completed before its uploads were
// finished.
type NotUploaded struct {
	error
	Uploads []Artifact
}

// Unwrap gives the fault.Conflict.
func (u *NotUploaded) Unwrap() error { return u.error }

// Puts reports whether there are uploads among them of which only the object store knows the end.
func (u *NotUploaded) Puts() bool {
	for _, a := range u.Uploads {
		if a.StorageType == S3 {
			return true
		}
	}
	return false
}

// Uploaded refuses, with a *NotUploaded, to complete a run that has some of the uploads which are not
// finished.
func Uploaded(open []Artifact, id string, run int) error {
	var list []Artifact
	for _, a := range open {
		if a.TaskID == id && a.RunID == run {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil
	}
	more := ""
	if len(list) > 1 {
		more = fmt.Sprintf(", nor are %d more", len(list)-1)
	}
	return &NotUploaded{Uploads: list, error: fault.New(fault.Conflict,
		"Run %d of task %s cannot be resolved as completed: the upload of artifact %q is not finished%s. Finish it, or report the run as failed or as an exception.",
		run, id, list[0].Name, more)}
}
