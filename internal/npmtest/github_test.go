package npmtest_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/githubapi"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
)

const githubYML = `version: 1
policy: {pullRequests: public}
tasks:
  - taskQueueId: npm-test/github
    deadline: {$fromNow: 1 day}
    metadata: {name: "${tasks_for}", description: d, owner: o@example.com, source: "${event.repository.html_url}"}
    payload: {}
`

// githubService is the service github of a server that is an App of a double of GitHub, where somebody pushes and opens
// a pull request.
func githubService(ctx context.Context, t *testing.T, pool *pgxpool.Pool, who *auth.Auth, tasks *queue.Queue, root string, log *slog.Logger) web.Service {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	gh, err := ghfake.Start(ghfake.Options{Dir: t.TempDir()})
	check(err)
	t.Cleanup(func() { check(gh.Close()) })
	app, err := gh.AddApp("treeline", root+"/api/github/v1/github", "secret")
	check(err)
	feed := event.NewFeed(pool, log)
	feed.Start(ctx)
	t.Cleanup(feed.Stop)
	pushes := push.New(pool, feed.Wake, log)
	in := intake.New(intake.Deps{Queue: tasks, Push: pushes, Expand: who.Expand, Log: log, RootURL: root})
	room, err := github.New(github.Deps{
		Level:  func(string) int { return 1 },
		Config: github.Config{AppID: app.ID, Key: app.PrivateKey(), Secrets: []string{"secret"}, API: gh.APIURL()},
		Pool:   pool, Queue: tasks, Push: pushes, Feed: feed, Create: in.Create, Expand: who.Expand, RootURL: root, Log: log,
	})
	check(err)
	room.Start(ctx)
	t.Cleanup(room.Stop)
	scopes := []string{"queue:create-task:highest:npm-test/*", "queue:create-task:project:none", "queue:scheduler-id:*"}
	check(who.EnsureRole(ctx, "repo:github.com/acme/app:*", scopes, "test"))

	repo, err := gh.AddRepository("acme/app", true)
	check(err)
	_, err = repo.Push("ada", "main", ghfake.Change{Files: map[string]string{".taskcluster.yml": githubYML}})
	check(err)
	app.Install("acme", repo)
	_, err = repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "1"}})
	check(err)
	fork, err := repo.Fork("stranger")
	check(err)
	_, err = fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"b": "1"}})
	check(err)
	p, err := repo.OpenPull("stranger", fork, "patch", "main", "a patch")
	check(err)
	t.Cleanup(func() { // what the scenario asked GitHub for
		state, description, target, err := repo.Status(repo.Head("main"), "npm")
		if t.Failed() {
			return
		}
		if err != nil || state != "success" || description != "fine" || target != "https://example.com/npm" {
			t.Errorf("status %s %q %s: %v", state, description, target, err)
		}
		if said := repo.Comments(p.Number); len(said) != 1 || said[0].Body != "hello from npm" {
			t.Errorf("comments %+v: %v", said, errors.New("the scenario makes one"))
		}
	})
	return githubapi.Service(room, root)
}
