package workers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

// A worker's clock may be hours wrong: it signs by the server's clock, renews claims by how long they last, and what
// expires does so when the task says.
func TestAWorkerWithAWrongClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"ahead": 5 * time.Hour, "behind": -30 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, 3*time.Second)
			c, err := client.New(client.Config{
				RootURL: s.url, Credentials: hawk.Credentials{ClientID: rootClient, AccessToken: s.token},
				Clock: func() time.Time { return time.Now().Add(wrong) },
			})
			if err != nil {
				t.Fatal(err)
			}
			s.work(func(cfg *workers.Config) { cfg.Client = c })
			expires := task.At(time.Now().Add(time.Hour))
			id := s.create(with(sh("sleep 4; echo x >x"), dict{"artifacts": []dict{{"type": "file", "path": "x", "name": "public/x", "expires": expires}}}), nil)
			s.resolved(id, task.ReasonCompleted)
			if st := s.status(id); len(st.Runs) != 1 {
				t.Errorf("the claim was lost: %+v", st.Runs)
			}
			info, err := s.root.ArtifactInfo(t.Context(), id, 0, "public/x")
			if err != nil || !info.Expires.Equal(expires.Time) {
				t.Errorf("%+v, %v", info, err)
			}
			log := s.logOf(id)
			if !strings.Contains(log, "clock is wrong by") {
				t.Errorf("the log does not say so:\n%s", log)
			}
			if st := s.status(id); st.LastRun().Resolved.Sub(st.LastRun().Started.Time) > time.Minute {
				t.Errorf("%+v", st.LastRun())
			}
		})
	}
}
