package queue

import "github.com/treeline-ci/treeline/queue/artifact"

type (
	// Artifact is what is known of an artifact.
	Artifact = artifact.Artifact
	// ArtifactsPage is a page of a listing.
	ArtifactsPage = artifact.Page
	// NewArtifact is an artifact to create.
	NewArtifact = artifact.New
	// WholeArtifact is an artifact that is made together with the report of its run.
	WholeArtifact = artifact.Whole
	// StorageType says where an artifact's content is.
	StorageType = artifact.StorageType
	// Content is what the object store knows of a finished object.
	Content = artifact.Content
	// Uploads is the object store, as the queue needs it.
	Uploads = artifact.Uploads
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
