package authapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d door) github() []web.Endpoint {
	return []web.Endpoint{{
		Name: "githubRepoToken", Method: "POST", Route: "/github/<appName>/<owner>/repo-token", Category: "Github Credentials", Stability: "experimental",
		Scopes: scope.All{scope.For{Each: "repoPerm", In: "repoPerms", Body: scope.Text("auth:github-repo-token:<appName>/<owner>/<repoPerm>")}},
		Input:  "github-repo-token-request.json", Output: "github-token-response.json", Handle: d.githubToken, MaxBody: smallBody,
		Title: "Token of a GitHub App",
		Description: "A token of the app's installation at `owner`, for the given repositories and permissions. Each repository with each permission " +
			"needs the scope `auth:github-repo-token:<appName>/<owner>/<repository>:<permission>:<level>`, owner and repository in lower case; " +
			"levels are compared as they are: who may ask for `write` may not for that reason ask for `read`.",
	}}
}

func (d door) githubToken(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Permissions  map[string]string
		Repositories []string
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	app, owner := r.Params["appName"], strings.ToLower(r.Params["owner"])
	repositories, each := repositoryPermissions(in.Repositories, in.Permissions)
	if err := r.Authorize(ctx, map[string]any{"owner": owner, "repoPerms": each}); err != nil {
		return nil, err
	}
	got, err := d.cloud.GitHub(ctx, time.Now(), app, owner, repositories, in.Permissions)
	if limited, ok := errors.AsType[*cloud.RateLimited](err); ok {
		return nil, &web.CodedError{Code: "TooManyRequests", Status: http.StatusTooManyRequests, Message: limited.Error()}
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"token": got.Token, "expires": task.At(got.Expires)}, nil
}

// repositoryPermissions returns the repositories in lower case, and each with each permission.
func repositoryPermissions(repositories []string, permissions map[string]string) (lower, each []string) {
	for _, repository := range repositories {
		lower = append(lower, strings.ToLower(repository))
		for permission, level := range permissions {
			each = append(each, strings.ToLower(repository)+":"+permission+":"+level)
		}
	}
	slices.Sort(each)
	return lower, each
}
