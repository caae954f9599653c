package figures

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/app/github/standing"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/gauge"
)

// Readings are what metrics ask the database for, each with a statement or two that read little.
func (in *Rooms) Readings() []metrics.Reading {
	list := []metrics.Reading{
		{Name: "queue", Read: in.readQueue, Families: []string{
			"queue_pending_tasks", "queue_claimed_tasks", "treeline_queue_oldest_pending_seconds", "queue_workers_total", "queue_running_workers",
			"queue_idle_workers", "queue_quarantined_workers", "treeline_queue_capacity",
		}},
		{Name: "unscheduled", Every: time.Minute, Within: 5 * time.Second, Read: in.readUnscheduled, Families: []string{"treeline_queue_unscheduled_tasks"}},
		{Name: "feed", Read: in.readFeed, Families: []string{"treeline_feed_head", "treeline_feed_lag_events", "treeline_feed_lag_seconds"}},
		{Name: "outboxes", Read: in.readOutboxes, Families: []string{
			"treeline_notify_outbox", "treeline_notify_outbox_oldest_seconds", "treeline_notify_failed", "treeline_hook_messages", "treeline_hooks_failing",
		}},
		{Name: "pushes", Read: in.readPushes, Families: []string{"treeline_pushes_undecided", "treeline_pushes_undecided_oldest_seconds"}},
		{Name: "pools", Read: in.readPools, Families: []string{
			"worker_manager_requested_capacity", "worker_manager_existing_capacity", "treeline_pool_running_capacity", "worker_manager_stopping_capacity",
			"treeline_pool_errors", "treeline_pool_turn_late_seconds",
		}},
		{Name: "mercurial", Read: in.readMercurial, Families: []string{"treeline_hg_repositories", "treeline_hg_look_oldest_seconds"}},
		{Name: "schema", Every: time.Minute, Read: in.readSchema, Families: []string{"treeline_schema_version", "treeline_program_schema_version"}},
		{Name: "database", Every: time.Minute, Read: in.readDatabase, Families: []string{
			"treeline_database_bytes", "treeline_database_dead_rows", "treeline_database_oldest_transaction_seconds",
		}},
	}
	list = append(list, metrics.Reading{Name: "retention", Every: time.Minute, Read: in.readRetention, Families: []string{
		"treeline_retention_rows_total", "treeline_retention_last_success_seconds", "treeline_retention_failures",
	}}, metrics.Reading{Name: "backups", Every: time.Minute, Read: in.readBackups, Families: []string{"treeline_backup_age_seconds"}})
	if in.GitHub != nil {
		list = append(list, metrics.Reading{Name: "github", Read: in.readGitHub, Families: []string{
			"treeline_webhooks_waiting", "treeline_webhooks_oldest_seconds", "treeline_webhooks_failed", "treeline_github_repositories",
			"treeline_github_reconcile_oldest_seconds", "treeline_github_blocked_installations",
		}}, metrics.Reading{Name: "checks", Read: in.readChecks, Families: []string{
			"treeline_check_runs_waiting", "treeline_check_runs_oldest_seconds", "treeline_check_heads_waiting", "treeline_github_rate_remaining",
		}})
	}
	return list
}

func (in *Rooms) readQueue(ctx context.Context, s *metrics.Sheet) error {
	list, err := in.Gauge.Figures(ctx)
	if err != nil {
		return err
	}
	amounts := make([]metrics.Amount, len(list))
	for i, f := range list {
		amounts[i] = metrics.Amount{ID: f.TaskQueueID, Weight: float64(f.Pending+f.Claimed)*1000 + float64(f.Workers)}
	}
	names, sums := metrics.Top(amounts), map[string]gauge.Figures{}
	for _, f := range list {
		t := sums[names[f.TaskQueueID]]
		t.Pending, t.Claimed, t.Workers = t.Pending+f.Pending, t.Claimed+f.Claimed, t.Workers+f.Workers
		t.Running, t.Idle, t.Quarantine, t.Capacity = t.Running+f.Running, t.Idle+f.Idle, t.Quarantine+f.Quarantine, t.Capacity+f.Capacity
		t.Oldest = max(t.Oldest, f.Oldest)
		sums[names[f.TaskQueueID]] = t
	}
	for name, f := range sums {
		p, w := metrics.Split(name)
		s.Set("queue_pending_tasks", float64(f.Pending), p, w)
		s.Set("queue_claimed_tasks", float64(f.Claimed), p, w)
		s.Set("treeline_queue_oldest_pending_seconds", f.Oldest.Seconds(), p, w)
		s.Set("queue_workers_total", float64(f.Workers), p, w)
		s.Set("queue_running_workers", float64(f.Running), p, w)
		s.Set("queue_idle_workers", float64(f.Idle), p, w)
		s.Set("queue_quarantined_workers", float64(f.Quarantine), p, w)
		s.Set("treeline_queue_capacity", float64(f.Capacity), p, w)
	}
	return nil
}

func (in *Rooms) readUnscheduled(ctx context.Context, s *metrics.Sheet) error {
	list, err := in.Gauge.Unscheduled(ctx)
	if err != nil {
		return err
	}
	var amounts []metrics.Amount
	for id, n := range list {
		amounts = append(amounts, metrics.Amount{ID: id, Weight: float64(n)})
	}
	names, sums := metrics.Top(amounts), map[string]int{}
	for id, n := range list {
		sums[names[id]] += n
	}
	for name, n := range sums {
		p, w := metrics.Split(name)
		s.Set("treeline_queue_unscheduled_tasks", float64(n), p, w)
	}
	return nil
}

func (in *Rooms) readFeed(ctx context.Context, s *metrics.Sheet) error {
	head, err := in.Feed.Head(ctx)
	if err != nil {
		return err
	}
	list, err := in.Feed.Consumers(ctx)
	if err != nil {
		return err
	}
	s.Set("treeline_feed_head", float64(head))
	for _, c := range list {
		s.Set("treeline_feed_lag_events", float64(c.Lag), c.Name)
		s.Set("treeline_feed_lag_seconds", max(0, c.Behind.Seconds()), c.Name)
	}
	return nil
}

func (in *Rooms) readOutboxes(ctx context.Context, s *metrics.Sheet) error {
	list, err := in.Notify.Figures(ctx)
	if err != nil {
		return err
	}
	h, err := in.Hooks.Figures(ctx)
	if err != nil {
		return err
	}
	for _, f := range list {
		s.Set("treeline_notify_outbox", float64(f.Waiting), f.Channel)
		s.Set("treeline_notify_outbox_oldest_seconds", f.Oldest.Seconds(), f.Channel)
		s.Set("treeline_notify_failed", float64(f.Failed), f.Channel)
	}
	s.Set("treeline_hook_messages", float64(h.Messages))
	s.Set("treeline_hooks_failing", float64(h.Failing))
	return nil
}

func (in *Rooms) readPushes(ctx context.Context, s *metrics.Sheet) error {
	f, err := in.Push.Figures(ctx)
	s.Set("treeline_pushes_undecided", float64(f.Undecided))
	s.Set("treeline_pushes_undecided_oldest_seconds", f.Oldest.Seconds())
	return err
}

func (in *Rooms) readPools(ctx context.Context, s *metrics.Sheet) error {
	list, late, err := in.Pools.Figures(ctx)
	if err != nil {
		return err
	}
	type key struct{ provider, pool string }
	type sums struct{ requested, running, stopping, errors int }
	var amounts []metrics.Amount
	for _, f := range list {
		amounts = append(amounts, metrics.Amount{ID: f.Pool, Weight: float64(f.Requested + f.Running + f.Stopping)})
	}
	names, all := metrics.Top(amounts), map[key]sums{}
	for _, f := range list {
		k := key{f.Provider, names[f.Pool]}
		t := all[k]
		all[k] = sums{t.requested + f.Requested, t.running + f.Running, t.stopping + f.Stopping, t.errors + f.Errors}
	}
	for k, t := range all {
		s.Set("worker_manager_requested_capacity", float64(t.requested), k.provider, k.pool)
		s.Set("worker_manager_existing_capacity", float64(t.requested+t.running), k.provider, k.pool)
		s.Set("treeline_pool_running_capacity", float64(t.running), k.provider, k.pool)
		s.Set("worker_manager_stopping_capacity", float64(t.stopping), k.provider, k.pool)
		s.Set("treeline_pool_errors", float64(t.errors), k.provider, k.pool)
	}
	s.Set("treeline_pool_turn_late_seconds", late.Seconds())
	return nil
}

func (in *Rooms) readMercurial(ctx context.Context, s *metrics.Sheet) error {
	if in.Mercurial == nil {
		return nil
	}
	list, err := in.Mercurial.List(ctx)
	if err != nil {
		return err
	}
	states, oldest := map[string]int{"fine": 0, "failing": 0, "unread": 0}, time.Time{}
	for _, r := range list {
		switch {
		case r.URL == "": // this server's configuration has it no more
			continue
		case r.Failures > 0:
			states["failing"]++
		case r.Looked == nil:
			states["unread"]++
		default:
			states["fine"]++
		}
		if r.Looked != nil && (oldest.IsZero() || r.Looked.Before(oldest)) {
			oldest = *r.Looked
		}
	}
	for state, n := range states {
		s.Set("treeline_hg_repositories", float64(n), state)
	}
	s.Age("treeline_hg_look_oldest_seconds", time.Now(), oldest)
	return nil
}

func (in *Rooms) readSchema(ctx context.Context, s *metrics.Sheet) error {
	has, knows, err := in.schemaVersions(ctx)
	if err != nil {
		return err
	}
	s.Set("treeline_schema_version", float64(has))
	s.Set("treeline_program_schema_version", float64(knows))
	return nil
}

func (in *Rooms) readDatabase(ctx context.Context, s *metrics.Sheet) error {
	v, err := pg.ReadVitals(ctx, in.Pool)
	if err != nil {
		return err
	}
	s.Set("treeline_database_bytes", float64(v.Bytes))
	s.Set("treeline_database_oldest_transaction_seconds", v.Oldest.Seconds())
	for _, d := range v.Dead {
		s.Set("treeline_database_dead_rows", float64(d.Rows), d.Table)
	}
	return nil
}

func (in *Rooms) readRetention(ctx context.Context, s *metrics.Sheet) error {
	runs, err := in.Retention.Runs(ctx)
	if err != nil {
		return err
	}
	for _, r := range runs {
		ended := r.Finished
		if ended.IsZero() {
			ended = in.Began
		}
		s.Set("treeline_retention_rows_total", float64(r.Total), r.Job)
		s.Age("treeline_retention_last_success_seconds", time.Now(), ended, r.Job)
		s.Set("treeline_retention_failures", float64(r.Failures), r.Job)
	}
	return nil
}

func (in *Rooms) readBackups(ctx context.Context, s *metrics.Sheet) error {
	list, err := backup.Last(ctx, in.Pool)
	if err != nil {
		return err
	}
	newest := map[backup.Kind]time.Time{}
	for _, b := range list {
		if b.OK && b.Finished.After(newest[b.Kind]) {
			newest[b.Kind] = b.Finished
		}
	}
	for kind, at := range newest {
		s.Age("treeline_backup_age_seconds", time.Now(), at, string(kind))
	}
	return nil
}

func (in *Rooms) readGitHub(ctx context.Context, s *metrics.Sheet) error {
	f, err := standing.Of(ctx, in.Pool)
	if err != nil {
		return err
	}
	s.Set("treeline_webhooks_waiting", float64(f.Waiting))
	s.Set("treeline_webhooks_oldest_seconds", f.Oldest.Seconds())
	s.Set("treeline_webhooks_failed", float64(f.Failed))
	s.Set("treeline_github_repositories", float64(f.Enabled), "enabled")
	s.Set("treeline_github_repositories", float64(f.Disabled), "disabled")
	s.Set("treeline_github_reconcile_oldest_seconds", f.Compared.Seconds())
	s.Set("treeline_github_blocked_installations", float64(f.Blocked))
	return nil
}

func (in *Rooms) readChecks(ctx context.Context, s *metrics.Sheet) error {
	f, err := in.GitHub.Checks.Figures(ctx)
	if err != nil {
		return err
	}
	s.Set("treeline_check_runs_waiting", float64(f.Due), "due")
	s.Set("treeline_check_runs_waiting", float64(f.Later), "later")
	s.Set("treeline_check_runs_oldest_seconds", f.Oldest.Seconds())
	s.Set("treeline_check_heads_waiting", float64(f.Marks))
	if f.Remaining >= 0 {
		s.Set("treeline_github_rate_remaining", float64(f.Remaining))
	}
	return nil
}
