package client

import (
	"context"

	"github.com/treeline-ci/treeline/task"
)

// WholeArtifact is an artifact that FinishRun makes: an object with its content, an upload of which all bytes have
// come, or a link.
type WholeArtifact struct {
	Name        string    `json:"name"`
	StorageType string    `json:"storageType"` // object or link
	ContentType string    `json:"contentType"`
	Expires     task.Time `json:"expires"`
	Content     *[]byte   `json:"content,omitempty"` // at most MaxWhole bytes, sent as base64; nil: an upload or a link
	UploadID    string    `json:"uploadId,omitempty"`
	SHA256      string    `json:"sha256,omitempty"`   // of an upload's content, lower-case hexadecimal
	Artifact    string    `json:"artifact,omitempty"` // what a link means
}

// MaxWhole is how many bytes of content an artifact of FinishRun may have.
const MaxWhole = 64 << 10

// FinishRun makes artifacts of a run and resolves it, both or neither: Treeline's addition to the API. A server
// that does not know it answers with a fault.NotFound.
func (c *Client) FinishRun(ctx context.Context, taskID string, runID int, reason task.ReasonResolved, artifacts []WholeArtifact) (task.Status, error) {
	in := struct {
		Reason    task.ReasonResolved `json:"reasonResolved"`
		Artifacts []WholeArtifact     `json:"artifacts"`
	}{reason, artifacts}
	return c.act(ctx, runPath(taskID, runID)+"/finish", in)
}

// Whole is the stream's artifact for FinishRun, when all its bytes were appended; ok is false of one that is not
// live, which only Finish can end.
func (s *Stream) Whole(sha256 string) (a WholeArtifact, ok bool) {
	up := s.o.up
	return WholeArtifact{
		Name: up.Name, StorageType: "object", ContentType: up.ContentType, Expires: up.Expires, UploadID: s.o.ticket.UploadID, SHA256: sha256,
	}, s.Live()
}
