// Package pools is the pages of worker pools, their workers and task queues: what waits and runs, how long, on which
// workers, at which price; and what operators do to them (ui.md 6.9).
//
// A task queue without a pool has the same page as one with: workers that nobody makes are workers too.
package pools

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are the pages. They are safe for concurrent use.
type Pages struct {
	Pools *manager.Pools
	Queue *queue.Queue
	Gauge *gauge.Gauge
	Live  *live.Live
	Log   *slog.Logger

	tables tables

	mu     sync.Mutex
	sparks map[string][]gauge.Point // of the last day, as of drawn
	drawn  time.Time
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /worker-manager", ps.list)
	k.Page("GET /worker-manager/create", ps.createForm)
	k.Page("POST /worker-manager/create", ps.create)
	k.Page("GET /worker-manager/{pool...}", ps.pool)
	k.Page("POST /worker-manager/{pool...}", ps.post)
	k.Page("GET /queues", ps.queues)
	k.Page("GET /queues/{queue...}", ps.queue)
	k.Page("GET /provisioners", to("/queues"))
	k.Page("GET /provisioners/{provisioner}", ps.provisioner)
	k.Page("GET /provisioners/{provisioner}/worker-types", ps.provisioner)
	k.Page("GET /provisioners/{provisioner}/worker-types/{type}", ps.workerType(""))
	k.Page("GET /provisioners/{provisioner}/worker-types/{type}/workers", ps.workerType("workers"))
	k.Page("GET /provisioners/{provisioner}/worker-types/{type}/pending-tasks", ps.workerType("pending"))
	k.Page("GET /provisioners/{provisioner}/worker-types/{type}/claimed-tasks", ps.workerType("workers"))
	k.Page("GET /provisioners/{provisioner}/worker-types/{type}/workers/{group}/{id}", ps.worker)
	k.Page("POST /provisioners/{provisioner}/worker-types/{type}/workers/{group}/{id}", ps.postWorker)
	k.Page("GET /workers/{worker...}", ps.oldWorker)
	k.Data("GET /ui/api/pools/workers", ps.workersData)
	k.Data("POST /ui/api/pools/workers", ps.actData)
	return k.Add(markup)
}

// What seeing things asks for: the same as the API does.
var (
	seePools  = scope.String("worker-manager:list-worker-pools")
	seeQueues = scope.AnyOf(scope.String("queue:list-task-queues"), scope.String("queue:list-task-queues:*"))
)

func seePool(id string) scope.Expr { return scope.String("worker-manager:get-worker-pool:" + id) }
func seeErrors(id string) scope.Expr {
	return scope.String("worker-manager:list-worker-pool-errors:" + id)
}
func seeQueue(id string) scope.Expr   { return scope.String("queue:get-task-queue:" + id) }
func seeWorkers(id string) scope.Expr { return scope.String("queue:list-workers:" + id) }
func seePending(id string) scope.Expr { return scope.String("queue:pending-list:" + id) }

// Path is the address of the page of a pool, or of a task queue.
func Path(id string) string { return "/worker-manager/" + url.PathEscape(id) }

// WorkerPath is the address of the page of a worker.
func WorkerPath(taskQueueID, group, id string) string {
	provisioner, kind, _ := strings.Cut(taskQueueID, "/")
	return "/provisioners/" + url.PathEscape(provisioner) + "/worker-types/" + url.PathEscape(kind) + "/workers/" + url.PathEscape(group) + "/" + url.PathEscape(id)
}

// subject is what a page is about: a pool, or a task queue that has none.
type subject struct {
	ID     string
	Pool   *manager.Pool // nil: there is none
	Line   gauge.Line
	Prices manager.Prices
	Costs  manager.Standing
}

// who finds the pool of a name, or the task queue, with the scopes for it.
func (ps *Pages) who(v *page.Visit, id string) (*subject, error) {
	ctx := v.R.Context()
	s := &subject{ID: id}
	if v.Allow(seePool(id)) == nil {
		pool, err := ps.Pools.Get(ctx, id)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return nil, err
		}
		if err == nil {
			s.Pool = &pool
			return s, nil
		}
	}
	if err := v.Allow(seeQueue(id)); err != nil {
		return nil, err
	}
	line, known, err := ps.Gauge.Line(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.Line = line; !known {
		return nil, fault.New(fault.NotFound, "There is neither a worker pool nor a task queue %s: none of the name was made, and within five days nobody asked for its work.", id)
	}
	return s, nil
}

// find reads what there is of a name, and how it stands, with the scopes for it.
func (ps *Pages) find(v *page.Visit, id string) (*subject, error) {
	s, err := ps.who(v, id)
	if err != nil || s.Pool == nil {
		return s, err
	}
	g, ctx := errgroup.WithContext(v.R.Context())
	g.Go(func() (err error) { s.Line, _, err = ps.Gauge.Line(ctx, id); return err })
	g.Go(func() (err error) { s.Prices, err = ps.Pools.Prices(ctx, id); return err })
	g.Go(func() error {
		all, err := ps.Pools.Standings(ctx)
		s.Costs = all[id]
		return err
	})
	return s, g.Wait()
}

// capacity is how many tasks the workers can do at once.
func (s *subject) capacity() int {
	if s.Pool != nil {
		return max(s.Pool.RunningCapacity, s.Line.Running)
	}
	return max(s.Line.Workers-s.Line.Quarantined, s.Line.Running)
}

// day is how all task queues stood in the last 24 hours, for small pictures; it is asked for once a minute.
func (ps *Pages) day(ctx context.Context, ids []string) (map[string][]gauge.Point, error) {
	const fresh = time.Minute
	ps.mu.Lock()
	defer ps.mu.Unlock()
	missing := time.Since(ps.drawn) > fresh
	for _, id := range ids {
		if _, ok := ps.sparks[id]; !ok {
			missing = true
		}
	}
	if !missing {
		return ps.sparks, nil
	}
	list, err := ps.Gauge.History(ctx, ids, 24*time.Hour, 20*time.Minute)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if list[id] == nil {
			list[id] = []gauge.Point{}
		}
	}
	ps.sparks, ps.drawn = list, time.Now()
	return list, nil
}

// to answers an old address with the one it has now.
func to(path string) func(*page.Visit) error {
	return func(v *page.Visit) error { return moved(v, path) }
}

func moved(v *page.Visit, path string) error {
	http.Redirect(v.W, v.R, path, http.StatusFound)
	return nil
}

// queue leads to the page of a task queue, which is that of its pool, if it has one.
func (ps *Pages) queue(v *page.Visit) error { return moved(v, Path(v.R.PathValue("queue"))) }

// provisioner shows the task queues of one.
func (ps *Pages) provisioner(v *page.Visit) error {
	return moved(v, "/queues?"+url.Values{"q": {v.R.PathValue("provisioner") + "/"}}.Encode())
}

func (ps *Pages) workerType(tab string) func(*page.Visit) error {
	return func(v *page.Visit) error {
		path := Path(v.R.PathValue("provisioner") + "/" + v.R.PathValue("type"))
		if tab != "" {
			path += "?tab=" + tab
		}
		return moved(v, path)
	}
}

// oldWorker answers addresses of workers as one path: pool, group and id, the last two also with a colon between.
func (ps *Pages) oldWorker(v *page.Visit) error {
	list := strings.FieldsFunc(v.R.PathValue("worker"), func(r rune) bool { return r == '/' || r == ':' })
	if len(list) != 4 {
		return page.ErrNoPage
	}
	return moved(v, WorkerPath(list[0]+"/"+list[1], list[2], list[3]))
}
