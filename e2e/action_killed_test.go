package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/task"
)

// newServer describes a server that watches the sample and soon misses who was killed.
func newServer(t *testing.T) *replicas {
	pool := pgtest.Empty(t)
	r := &replicas{upgrade: upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}, pool: pool}
	r.db(program, "upgrade")
	local := filepath.Join(t.TempDir(), sample.Name)
	if _, err := sample.Create(t.Context(), local); err != nil {
		t.Fatal(err)
	}
	r.ports, r.up = []int{freePort(t)}, make([]*server, 1)
	r.args, r.env = []string{"--repo", local, "--claim-timeout", "3s"}, []string{fmt.Sprintf("TREELINE_ROOT_URL=http://127.0.0.1:%d", r.ports[0])}
	t.Cleanup(func() { r.kill(0) })
	return r
}

// TestAnActionInTheServerThatIsKilledDoesNothingTwice kills the server ever later in the course of an
// action; whoever started it got no answer, and asks again.
func TestAnActionInTheServerThatIsKilledDoesNothingTwice(t *testing.T) {
	r := newServer(t)
	r.startOne(0)
	var c *client.Client
	var group string
	r.until("the push is decided", func(ctx context.Context) error {
		if c == nil {
			if _, err := os.Stat(filepath.Join(r.data, "secrets.json")); err != nil {
				return err
			}
			c = r.connect(r.up[0]).WithPatience(20 * time.Second)
		}
		for g, err := range c.Groups(ctx) {
			if err != nil {
				return err
			}
			group = g.TaskGroupID
			s, err := c.Status(ctx, group)
			if err == nil && s.State != task.Completed {
				err = errors.New(string(s.State))
			}
			return err
		}
		return errors.New("there is no group yet")
	})
	const rounds, times = 5, 100
	interrupted := 0
	for round := range rounds {
		ask := func() client.StartedAction {
			started, err := c.StartAction(t.Context(), group, "add-new-jobs", client.ActionStart{
				Input: map[string]any{"tasks": []string{"lint-shell", "docs-links"}, "times": times}, Key: fmt.Sprintf("round %d", round),
			})
			if err != nil {
				t.Fatal(err)
			}
			return started
		}
		started := ask()
		<-time.After(time.Duration(round*round) * 20 * time.Millisecond)
		r.kill(0)
		r.startOne(0)
		if again := ask(); again.TaskID != started.TaskID {
			t.Fatalf("%s was %s", again.TaskID, started.TaskID)
		}
		var status task.Status
		r.until("the action is done", func(ctx context.Context) (err error) {
			if status, err = c.Status(ctx, started.TaskID); err == nil && status.State != task.Completed {
				err = errors.New(string(status.State))
			}
			return err
		})
		if len(status.Runs) > 1 {
			interrupted++
		}
		made := map[string]int{}
		for item, err := range c.GroupTasks(t.Context(), group) {
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(item.Task.Dependencies, started.TaskID) {
				made[item.Task.Metadata.Name]++
			}
		}
		if diff := cmp.Diff(map[string]int{"lint-shell": times, "docs-links": times}, made); diff != "" {
			t.Errorf("round %d, %d runs: %s", round, len(status.Runs), diff)
		}
	}
	t.Logf("%d of %d actions were interrupted in their course", interrupted, rounds)
	if interrupted == 0 {
		t.Error("no action was interrupted: kill earlier")
	}
}
