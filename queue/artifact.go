package queue

import "fmt"

// StorageType says where the content of an artifact is.
type StorageType string

// The storage types (taskcluster-map 5.8).
const (
	StorageS3        StorageType = "s3"
	StorageObject    StorageType = "object"
	StorageReference StorageType = "reference"
	StorageLink      StorageType = "link"
	StorageError     StorageType = "error"
)

// objectName is the name in the object store of an artifact of type object.
func objectName(taskID string, run int, name string) string {
	return fmt.Sprintf("t/%s/%d/%s", taskID, run, name)
}
