package uitest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

// Large makes a push of that many tasks in 60 platform rows, of which every 25th has failed, in a repository "large".
func Large(t testing.TB, s *Site, tasks int) (group string) {
	t.Helper()
	s.Repository(t, "large")
	p := s.Record(t, push.Push{Repository: "large", Message: fmt.Sprintf("%d tasks", tasks)})
	group, _ = s.Decide(t, p)
	var batch []queue.NewTask
	for i := range tasks - 1 {
		job := Job{
			Name: fmt.Sprintf("test-platform%d-suite%d-%d", i%60, i%5, i/300), Platform: fmt.Sprintf("platform%d", i%60), Group: fmt.Sprintf("S%d", i%5), Symbol: fmt.Sprint(i / 300),
		}
		batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(group), job.Define)})
	}
	for part := range slices.Chunk(batch, 10_000) {
		if _, err := s.Queue.CreateBatch(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	queuetest.Fail(t, s.Pool, 25)
	return group
}
