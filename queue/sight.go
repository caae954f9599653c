package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// sightings remembers which workers this process has noted lately, so that a poll need not write.
type sightings struct {
	mu sync.Mutex
	at map[sighting]time.Time
}

type sighting struct{ queue, group, worker string }

const (
	sightEvery   = time.Minute
	maxSightings = 20000
)

// due reports whether the worker must be noted again.
func (s *sightings) due(w sighting, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil || len(s.at) >= maxSightings {
		s.at = map[sighting]time.Time{}
	}
	if now.Sub(s.at[w]) < sightEvery {
		return false
	}
	s.at[w] = now
	return true
}

// sight notes that a worker asked for work.
func (q *Queue) sight(ctx context.Context, req ClaimRequest) error {
	if !q.seen.due(sighting{req.TaskQueueID, req.WorkerGroup, req.WorkerID}, time.Now()) {
		return nil
	}
	if _, err := q.deps.Pool.Exec(ctx, sightSQL.Text, req.TaskQueueID, req.WorkerGroup, req.WorkerID); err != nil {
		return fmt.Errorf("queue: note worker %s/%s: %w", req.WorkerGroup, req.WorkerID, pg.Classify(err))
	}
	return nil
}

var sightSQL = pg.Statement{Name: "queue.sight", Text: `
INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ($1, $2, $3)
ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET last_active = now()`}
