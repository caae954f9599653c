// Package githubapi is the HTTP door of what comes from GitHub and goes there: the webhook, builds, badges
// (taskcluster-map 13 and appendix A).
package githubapi

import (
	"context"
	"embed"
	"net/http"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints. room is nil on a server without an App.
type door struct {
	room    *github.GitHub
	rootURL string
}

const category = "Github Service"

// Service is the table of endpoints of the service github. room may be nil.
func Service(room *github.GitHub, rootURL string) web.Service {
	d := &door{room: room, rootURL: rootURL}
	return web.Service{
		Name: "github", Version: "v1", Title: "GitHub",
		Description: "Makes tasks of what happens at GitHub. Webhooks of the server's GitHub App go to `/api/github/v1/github`.",
		Schemas:     schemas,
		Params: map[string]string{
			"owner": `^([a-zA-Z0-9-_%]+){1,100}$`, "repo": `^([a-zA-Z0-9-_%.]+){1,100}$`, "branch": `^[\x20-\x7e]{1,255}$`,
			"sha": `^[a-f0-9]{40}$`, "number": `^([0-9]+)$`,
		},
		Endpoints: append(d.reading(), d.writing()...),
	}
}

func (d *door) reading() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "builds", Method: http.MethodGet, Route: "/builds", Category: category, Stability: "stable",
			Query: map[string]string{
				"continuationToken": web.TokenPattern, "limit": web.LimitPattern, "organization": `^([a-zA-Z0-9-_%]*)$`, "repository": `^([a-zA-Z0-9-_%.]*)$`,
				"sha": `^[a-f0-9]{0,40}$`, "pullRequest": `^([0-9]*)$`,
			},
			Scopes: scope.Text("github:list-builds"), Output: "build-list.json", Handle: d.builds,
			Title: "List builds", Description: "The task groups that webhooks asked for, oldest first: of an owner, a repository, a revision or a pull request.",
		},
		{
			Name: "badge", Method: http.MethodGet, Route: "/repository/<owner>/<repo>/<branch>/badge.svg", Category: category, Stability: "experimental",
			Scopes: scope.Text("github:get-badge:<owner>:<repo>:<branch>"), Handle: d.badge,
			Title: "Badge of a branch", Description: "A picture of how the newest build of a branch stands. The header X-Taskcluster-Status says it in a word.",
		},
		{
			Name: "repository", Method: http.MethodGet, Route: "/repository/<owner>/<repo>", Category: category, Stability: "experimental",
			Scopes: scope.Text("github:get-repository:<owner>:<repo>"), Output: "repository.json", Handle: d.repository,
			Title: "Look at a repository", Description: "Whether the server's GitHub App is installed at a repository.",
		},
		{
			Name: "latest", Method: http.MethodGet, Route: "/repository/<owner>/<repo>/<branch>/latest", Category: category, Stability: "stable",
			Scopes: scope.Text("github:latest-status:<owner>:<repo>:<branch>"), Handle: d.latest,
			Title: "Newest build of a branch", Description: "Sends the caller to the page of the newest build of a branch; 404 when there is none.",
		},
	}
}

func (d *door) writing() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "githubWebHookConsumer", Method: http.MethodPost, Route: "/github", Proof: web.SignedBody, Sender: "X-GitHub-Hook-ID", Category: category, Stability: "stable", Unpublished: true,
			Input: web.Blob, Handle: d.webhook,
			Title: "Take a webhook", Description: "Stores an authentic webhook of the GitHub App. It is taken afterwards.",
		},
		{
			Name: "cancelBuilds", Method: http.MethodPost, Route: "/builds/<owner>/<repo>/cancel", Category: category, Stability: "stable",
			Query:  map[string]string{"sha": `^[a-f0-9]{0,40}$`, "pullRequest": `^([0-9]*)$`},
			Scopes: scope.Text("github:cancel-builds:<owner>:<repo>"), Output: "build-list.json", Handle: d.cancelBuilds,
			Title: "Cancel builds", Description: "Cancels the pending builds of a revision or a pull request, and answers with them.",
		},
		{
			Name: "createStatus", Method: http.MethodPost, Route: "/repository/<owner>/<repo>/statuses/<sha>", Category: category, Stability: "experimental",
			Scopes: scope.Text("github:create-status:<owner>/<repo>"), Input: "create-status.json", Handle: d.createStatus,
			Title: "Set a commit status", Description: "Sets a status of a revision, in the App's name.",
		},
		{
			Name: "createComment", Method: http.MethodPost, Route: "/repository/<owner>/<repo>/issues/<number>/comments", Category: category, Stability: "stable",
			Scopes: scope.Text("github:create-comment:<owner>/<repo>"), Input: "create-comment.json", Handle: d.createComment,
			Title: "Comment", Description: "Writes a comment on an issue or a pull request, in the App's name.",
		},
		{
			Name: "renderTaskclusterYml", Method: http.MethodPost, Route: "/taskcluster-yml", Costly: true, Category: category, Stability: "experimental",
			Input: "render-taskcluster-yml-input.json", Output: "render-taskcluster-yml-output.json", Handle: d.render,
			Title: "Render a .taskcluster.yml", Description: "The tasks that a file would ask for in an event that is made up, to try it before it is pushed. Nothing is created.",
		},
	}
}

// need is the error of a server without an App.
func (d *door) need() error {
	if d.room == nil {
		return fault.New(fault.NotFound, "This server has no GitHub App.")
	}
	return nil
}

func (d *door) webhook(ctx context.Context, r *web.Request) (any, error) {
	if err := d.need(); err != nil {
		return nil, err
	}
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	h := r.HTTP.Header
	err = d.room.Receive(ctx, github.Webhook{GUID: h.Get("X-GitHub-Delivery"), Event: h.Get("X-GitHub-Event"), Signature: h.Get("X-Hub-Signature-256"), Body: body})
	if err != nil {
		return nil, err
	}
	return web.Status{Code: http.StatusAccepted, Body: map[string]string{"stored": h.Get("X-GitHub-Delivery")}}, nil
}
