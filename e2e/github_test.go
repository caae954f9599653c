package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

const killedYML = `version: 1
tasks:
  - taskQueueId: proj/linux
    deadline: {$fromNow: 1 day}
    metadata: {name: "${event.after}", description: d, owner: o@example.com, source: "${event.repository.html_url}"}
    payload: {}
`

// TestWebhooksSurviveServersThatAreKilled pushes while two servers are killed in turn, GitHub is slow, and webhooks
// fail whenever the server that they go to is down: in the end each push has its task, and only one, and GitHub knows
// of each.
func TestWebhooksSurviveServersThatAreKilled(t *testing.T) {
	pool := pgtest.Empty(t)
	r := &replicas{upgrade: upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}, pool: pool}
	r.db(program, "upgrade")
	r.ports, r.up = []int{freePort(t), freePort(t)}, make([]*server, 2)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	gh, err := ghfake.Start(ghfake.Options{Dir: t.TempDir(), Timeout: 2 * time.Second})
	must(err)
	t.Cleanup(func() { must(gh.Close()) })
	app, err := gh.AddApp("treeline", fmt.Sprintf("http://127.0.0.1:%d/api/github/v1/github", r.ports[0]), "a-secret-of-some-length")
	must(err)
	repo, err := gh.AddRepository("acme/app", true)
	must(err)
	_, err = repo.Push("ada", "main", ghfake.Change{Files: map[string]string{".taskcluster.yml": killedYML}})
	must(err)
	r.env = []string{
		fmt.Sprintf("TREELINE_ROOT_URL=http://127.0.0.1:%d", r.ports[0]), fmt.Sprintf("TREELINE_GITHUB_APP_ID=%d", app.ID),
		"TREELINE_GITHUB_APP_KEY=" + string(app.PrivateKey()), "TREELINE_GITHUB_WEBHOOK_SECRETS=a-secret-of-some-length", "TREELINE_GITHUB_API=" + gh.APIURL(),
	}
	t.Cleanup(func() {
		for i := range r.up {
			r.kill(i)
		}
	})
	for i := range r.up {
		r.startOne(i)
		r.until("the server answers", func(context.Context) error {
			resp, err := http.Get(r.up[i].rootURL + "/api/github/v1/ping")
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		})
	}
	c := r.connect(r.up[0]).WithPatience(time.Minute)
	role := map[string]any{"description": "test", "scopes": []string{"queue:create-task:highest:proj/linux", "queue:create-task:project:none", "queue:scheduler-id:*"}}
	must(c.Call(t.Context(), "auth", "PUT", "/roles/"+url.PathEscape("repo:github.com/acme/app:branch:*"), nil, role, nil))
	app.Install("acme", repo)
	r.until("the repository is known", func(context.Context) error {
		if r.scan(`SELECT count(*) FROM github_repositories`) != 1 {
			return fmt.Errorf("it is not there")
		}
		return nil
	})

	gh.Slow(50 * time.Millisecond)
	want := map[string]bool{}
	for i := range 12 {
		sha, err := repo.Push("ada", fmt.Sprintf("b%d", i%3), ghfake.Change{Files: map[string]string{"a": fmt.Sprint(i)}})
		must(err)
		want[sha] = true
		if i%2 == 1 {
			time.AfterFunc(time.Duration(100+60*i)*time.Millisecond, func() { _ = r.up[i/2%2].cmd.Process.Kill() })
			<-r.up[i/2%2].exited
			r.startOne(i / 2 % 2)
		}
	}
	gh.Slow(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(gh.Drain(ctx))
	for i := range r.up { // a server that starts looks for what was missed
		r.kill(i)
		r.startOne(i)
	}
	c = r.connect(r.up[1]).WithPatience(time.Minute)
	r.until("all pushes have their tasks", func(ctx context.Context) error {
		var page struct {
			Builds []struct{ SHA, TaskGroupID, State string }
		}
		if err := c.Call(ctx, "github", "GET", "/builds", nil, nil, &page); err != nil {
			return err
		}
		got := map[string]int{}
		for _, b := range page.Builds {
			var group struct{ Tasks []any }
			if err := c.Call(ctx, "queue", "GET", "/task-group/"+b.TaskGroupID+"/list", nil, nil, &group); err != nil {
				return err
			}
			got[b.SHA] += len(group.Tasks)
			state, _, _, err := repo.Status(b.SHA, "Treeline (push)")
			if err != nil {
				return err
			}
			if state != b.State {
				return fmt.Errorf("GitHub thinks %s is %s", b.SHA, state)
			}
		}
		for sha, n := range got {
			if !want[sha] || n != 1 {
				t.Fatalf("%s has %d tasks", sha, n)
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("%d of %d pushes", len(got), len(want))
		}
		return nil
	})
}
