package queue

import "github.com/treeline-ci/treeline/queue/artifact"

// What package artifact calls them.
type (
	Artifact      = artifact.Artifact
	ArtifactsPage = artifact.Page
	NewArtifact   = artifact.New
	StorageType   = artifact.StorageType
	Content       = artifact.Content
	Uploads       = artifact.Uploads
)

// The storage types (taskcluster-map 5.8).
const (
	StorageS3        = artifact.S3
	StorageObject    = artifact.Object
	StorageReference = artifact.Reference
	StorageLink      = artifact.Link
	StorageError     = artifact.Error
)

// LatestRun stands for the last run of a task where a run's number is asked for, even for one
// that has not begun.
const LatestRun = artifact.Latest

// ObjectName is the name in the object store of an artifact whose content is there.
func ObjectName(taskID string, run int, name string) string {
	return artifact.ObjectName(taskID, run, name)
}
