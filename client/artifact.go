package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/task"
)

// LatestRun stands for a task's newest run wherever an artifact is read.
const LatestRun = -1

// Artifact is what the queue knows of an artifact (taskcluster-map 5.8).
type Artifact struct {
	Name          string    `json:"name"`
	StorageType   string    `json:"storageType"` // object, s3, reference, link, error
	ContentType   string    `json:"contentType"`
	ContentLength *int64    `json:"contentLength,omitempty"` // nil when not known
	Expires       task.Time `json:"expires"`
}

// ArtifactReason says why a promised artifact is missing.
type ArtifactReason string

// The reasons of error artifacts.
const (
	FileMissing  ArtifactReason = "file-missing-on-worker"
	InvalidFile  ArtifactReason = "invalid-resource-on-worker"
	TooLarge     ArtifactReason = "too-large-file-on-worker"
	NotReadable  ArtifactReason = "file-not-readable-on-worker"
	maxErrorText                = 4096
)

// artifactPath is the path of an artifact or of a list of them; a slash in the name stays a
// slash, since the route's tail takes it.
func artifactPath(taskID string, runID int, resource, name string) string {
	path := Path("task", taskID)
	if runID != LatestRun {
		path += Path("runs", strconv.Itoa(runID))
	}
	path += "/" + resource
	if name != "" {
		path += Path(strings.Split(name, "/")...)
	}
	return path
}

// Artifacts yields the artifacts of a run.
func (c *Client) Artifacts(ctx context.Context, taskID string, runID int) iter.Seq2[Artifact, error] {
	type page struct {
		Artifacts         []Artifact `json:"artifacts"`
		ContinuationToken string     `json:"continuationToken"`
	}
	return pages(ctx, c, queueService, artifactPath(taskID, runID, "artifacts", ""), nil,
		func(p *page) []Artifact { return p.Artifacts }, func(p *page) string { return p.ContinuationToken })
}

// ArtifactInfo returns what is known of an artifact without reading it.
func (c *Client) ArtifactInfo(ctx context.Context, taskID string, runID int, name string) (Artifact, error) {
	var out Artifact
	err := c.Call(ctx, queueService, http.MethodGet, artifactPath(taskID, runID, "artifact-info", name), nil, nil, &out)
	return out, err
}

// artifactRequest is the body of createArtifact in all its forms.
type artifactRequest struct {
	StorageType   string         `json:"storageType"`
	ContentType   string         `json:"contentType,omitempty"`
	ContentLength *int64         `json:"contentLength,omitempty"`
	Expires       task.Time      `json:"expires"`
	URL           string         `json:"url,omitempty"`
	Artifact      string         `json:"artifact,omitempty"`
	Reason        ArtifactReason `json:"reason,omitempty"`
	Message       string         `json:"message,omitempty"`
}

// objectTicket is the right to upload the bytes of an object artifact.
type objectTicket struct {
	StorageType string          `json:"storageType"`
	Name        string          `json:"name"`
	ProjectID   string          `json:"projectId"`
	UploadID    string          `json:"uploadId"`
	Expires     task.Time       `json:"expires"`
	Credentials TaskCredentials `json:"credentials"`
}

func (c *Client) createArtifact(ctx context.Context, taskID string, runID int, name string, in artifactRequest, out any) error {
	return c.Call(ctx, queueService, http.MethodPost, artifactPath(taskID, runID, "artifacts", name), nil, in, out)
}

// ReferenceArtifact makes an artifact that redirects to a URL.
func (c *Client) ReferenceArtifact(ctx context.Context, taskID string, runID int, name, contentType, address string, expires task.Time) error {
	return c.createArtifact(ctx, taskID, runID, name,
		artifactRequest{StorageType: "reference", ContentType: contentType, URL: address, Expires: expires}, nil)
}

// LinkArtifact makes an artifact that stands for another one of the same run; it may take the
// place of a reference.
func (c *Client) LinkArtifact(ctx context.Context, taskID string, runID int, name, contentType, target string, expires task.Time) error {
	return c.createArtifact(ctx, taskID, runID, name,
		artifactRequest{StorageType: "link", ContentType: contentType, Artifact: target, Expires: expires}, nil)
}

// ErrorArtifact says why an artifact is missing; a message over the limit of 4096 bytes is cut.
func (c *Client) ErrorArtifact(ctx context.Context, taskID string, runID int, name string, reason ArtifactReason, message string, expires task.Time) error {
	if len(message) > maxErrorText {
		message = strings.ToValidUTF8(message[:maxErrorText], "")
	}
	return c.createArtifact(ctx, taskID, runID, name,
		artifactRequest{StorageType: "error", Reason: reason, Message: message, Expires: expires}, nil)
}

func (c *Client) finishArtifact(ctx context.Context, taskID string, runID int, name, uploadID string) error {
	in := struct {
		UploadID string `json:"uploadId"`
	}{uploadID}
	return c.Call(ctx, queueService, http.MethodPut, artifactPath(taskID, runID, "artifacts", name), nil, in, nil)
}
