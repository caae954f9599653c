package queueapi

import (
	"context"
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
)

const artifactFile = "artifact-response.json"

func (d door) artifacts() []web.Endpoint {
	create, ofRun, ofLatest := scope.Text("queue:create-artifact:<taskId>/<runId>"), scope.Text("queue:list-artifacts:<taskId>:<runId>"), scope.Text("queue:list-artifacts:<taskId>")
	return as("Artifacts",
		web.Endpoint{
			Name: "createArtifact", Method: "POST", Route: "/task/<taskId>/runs/<runId>/artifacts/<name*>", Scopes: create,
			Input: "post-artifact-request.json", Output: "post-artifact-response.json", Handle: asHolder(d.createArtifact), Title: "Create an artifact",
			Description: "Announces an artifact of a running run, or of one that ended as an exception a short while ago. An object is then uploaded to the object service and " +
				"finished by finishArtifact. The same artifact again is no error; a reference may be replaced by a reference or a link, and the expiry may become later.",
		},
		web.Endpoint{
			Name: "finishArtifact", Method: "PUT", Route: "/task/<taskId>/runs/<runId>/artifacts/<name*>", Scopes: create,
			Input: "finish-artifact-request.json", Handle: asHolder(d.finishArtifact), Title: "Finish an artifact",
			Description: "Makes an artifact of type object visible after its upload is finished.",
		},
		web.Endpoint{
			Name: "listArtifacts", Method: "GET", Route: "/task/<taskId>/runs/<runId>/artifacts", Query: pages(), Scopes: ofRun,
			Output: "list-artifacts-response.json", Handle: d.listArtifacts, Title: "Artifacts of a run", Description: "Those whose upload is finished, by name.",
		},
		web.Endpoint{
			Name: "listLatestArtifacts", Method: "GET", Route: "/task/<taskId>/artifacts", Query: pages(), Scopes: ofLatest,
			Output: "list-artifacts-response.json", Handle: d.listArtifacts, Title: "Artifacts of the last run", Description: "The last run counts even when it has not begun.",
		},
		web.Endpoint{
			Name: "artifactInfo", Method: "GET", Route: "/task/<taskId>/runs/<runId>/artifact-info/<name*>", Scopes: ofRun, Output: artifactFile,
			Handle: d.artifactInfo, Title: "About an artifact", Description: "What is known of an artifact. Links are not followed.",
		},
		web.Endpoint{
			Name: "latestArtifactInfo", Method: "GET", Route: "/task/<taskId>/artifact-info/<name*>", Scopes: ofLatest, Output: artifactFile,
			Handle: d.artifactInfo, Title: "About an artifact of the last run", Description: "What is known of an artifact. Links are not followed.",
		},
	)
}

func (d door) contents() []web.Endpoint {
	get := scope.All{each("name", "names", "queue:get-artifact:<name>")}
	const links = "Links are followed; the caller needs the scope for every name on the way. "
	return as("Artifacts",
		web.Endpoint{
			Name: "getArtifact", Method: "GET", Route: "/task/<taskId>/runs/<runId>/artifacts/<name*>", Scopes: get, Output: "get-artifact-response.json",
			Handle: d.getArtifact, Title: "Get an artifact", Description: "Redirects to the content. " + links + "An artifact of type error is answered with status 424.",
		},
		web.Endpoint{
			Name: "getLatestArtifact", Method: "GET", Route: "/task/<taskId>/artifacts/<name*>", Scopes: get, Output: "get-artifact-response.json",
			Handle: d.getArtifact, Title: "Get an artifact of the last run", Description: "Like getArtifact; the last run counts even when it has not begun.",
		},
		web.Endpoint{
			Name: "artifact", Method: "GET", Route: "/task/<taskId>/runs/<runId>/artifact-content/<name*>", Scopes: get, Output: "artifact-content-response.json",
			Handle: d.content, Title: "How to get an artifact", Description: "Tells clients where the content is, and gives credentials for the object service. " + links,
		},
		web.Endpoint{
			Name: "latestArtifact", Method: "GET", Route: "/task/<taskId>/artifact-content/<name*>", Scopes: get, Output: "artifact-content-response.json",
			Handle: d.content, Title: "How to get an artifact of the last run", Description: "Tells clients where the content is, and gives credentials for the object service. " + links,
		},
	)
}

// runOrLatest returns the number of the run in the route, queue.LatestRun when the route has none.
func runOrLatest(r *web.Request) (int, error) {
	if r.Params["runId"] == "" {
		return queue.LatestRun, nil
	}
	return run(r)
}

func (d door) createArtifact(ctx context.Context, r *web.Request) (any, error) {
	var in queue.NewArtifact
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	n, err := run(r)
	if err != nil {
		return nil, err
	}
	return d.queue.CreateArtifact(ctx, r.Params["taskId"], n, r.Params["name"], in)
}

func (d door) finishArtifact(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		UploadID string `json:"uploadId"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	n, err := run(r)
	if err != nil {
		return nil, err
	}
	return nil, d.queue.FinishArtifact(ctx, r.Params["taskId"], n, r.Params["name"], in.UploadID)
}

func (d door) listArtifacts(ctx context.Context, r *web.Request) (any, error) {
	n, err := runOrLatest(r)
	if err != nil {
		return nil, err
	}
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	return d.queue.ListArtifacts(ctx, r.Params["taskId"], n, limit, token)
}

func (d door) artifactInfo(ctx context.Context, r *web.Request) (any, error) {
	n, err := runOrLatest(r)
	if err != nil {
		return nil, err
	}
	return d.queue.Artifact(ctx, r.Params["taskId"], n, r.Params["name"])
}

// follow finds the artifact behind links. Scopes for all names come before any error.
func (d door) follow(ctx context.Context, r *web.Request) (queue.Artifact, error) {
	n, err := runOrLatest(r)
	if err != nil {
		return queue.Artifact{}, err
	}
	a, names, found := d.queue.FollowLinks(ctx, r.Params["taskId"], n, r.Params["name"])
	if err := r.Authorize(ctx, map[string]any{"names": names}); err != nil {
		return queue.Artifact{}, err
	}
	return a, found
}

func (d door) getArtifact(ctx context.Context, r *web.Request) (any, error) {
	a, err := d.follow(ctx, r)
	if err != nil {
		return nil, err
	}
	header := http.Header{"X-Taskcluster-Artifact-Storage-Type": {string(a.StorageType)}}
	if a.StorageType == queue.StorageError {
		return web.Status{Code: http.StatusFailedDependency, Header: header, Body: map[string]string{"reason": a.Reason, "message": a.Message}}, nil
	}
	url, err := d.queue.Location(ctx, a)
	if err != nil {
		return nil, err
	}
	return web.Redirect{Location: url, Header: header, Body: map[string]any{"storageType": a.StorageType, "url": url}}, nil
}

func (d door) content(ctx context.Context, r *web.Request) (any, error) {
	a, err := d.follow(ctx, r)
	if err != nil {
		return nil, err
	}
	switch a.StorageType {
	case queue.StorageError:
		return map[string]any{"storageType": a.StorageType, "reason": a.Reason, "message": a.Message}, nil
	case queue.StorageObject:
		creds, err := d.queue.DownloadCredentials(a)
		if err != nil {
			return nil, err
		}
		return map[string]any{"storageType": a.StorageType, "name": a.ObjectName(), "credentials": creds}, nil
	}
	url, err := d.queue.Location(ctx, a)
	if err != nil {
		return nil, err
	}
	return map[string]any{"storageType": a.StorageType, "url": url}, nil
}
