package app

import (
	"context"
	"errors"
	"time"

	"github.com/treeline-ci/treeline/app/github/scopegate"
	"github.com/treeline-ci/treeline/retention"
	"github.com/treeline-ci/treeline/triage/bugs"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
	"github.com/treeline-ci/treeline/ui/session"
	"github.com/treeline-ci/treeline/ui/shell"
)

// makeRetention joins what rooms know of their old rows with the room that has them removed.
func (a *App) makeRetention() {
	a.retention = retention.New(a.pool, a.config.Log, a.retentionJobs())
}

// startRetention begins to remove what is old.
func (a *App) startRetention(ctx context.Context) {
	a.retention.Start(ctx)
	a.onStop(func(context.Context) error { a.retention.Stop(); return nil })
}

// retentionJobs are all that remove old rows. docs/reference/tables.md shows them by table; a test holds the two
// against each other.
func (a *App) retentionJobs() []retention.Job {
	jobs := []retention.Job{
		{Name: "tasks", Every: 5 * time.Minute, Tables: []string{"tasks", "definitions", "runs", "dependencies", "task_groups", "artifacts", "queue_workers", "worker_details", "task_queues"},
			Remove: a.queue.RemoveExpired},
		{Name: "objects", Every: 10 * time.Minute, Tables: []string{"objects", "object_contents", "object_parts", "object_copies"}, Remove: a.cleanObjects},
		{Name: "index", Every: time.Hour, Tables: []string{"indexed_tasks", "index_namespaces"}, Remove: a.index.Prune},
		{Name: "events", Every: time.Hour, Tables: []string{"events", "event_order"}, Remove: a.feed.Prune},
		{Name: "audit", Every: time.Hour, Tables: []string{"auth_audit", "auth_approvals", "auth_clients"}, Remove: a.auth.Prune},
		{Name: "secrets", Every: 5 * time.Minute, Tables: []string{"secrets"}, Remove: a.secrets.Prune},
		{Name: "cache-purges", Every: time.Hour, Tables: []string{"cache_purges"}, Remove: a.purges.Prune},
		{Name: "sign-ins", Every: time.Hour, Tables: []string{"login_spent", "login_tokens", "login_codes"}, Remove: a.login.Prune},
		{Name: "history", Every: time.Hour, Tables: []string{"history_pushes", "history_outcomes"}, Remove: a.history.Prune},
	}
	jobs = append(jobs, a.keptJobs()...)
	if a.github != nil {
		jobs = append(jobs,
			retention.Job{Name: "deliveries", Every: time.Hour, Tables: []string{"github_deliveries", "github_said"}, Remove: a.kept("deliveries", a.github.PruneDeliveries)},
			retention.Job{Name: "builds", Every: 6 * time.Hour, Tables: []string{"github_builds"}, Remove: a.kept("builds", a.github.PruneBuilds)},
			retention.Job{Name: "checks", Every: time.Hour, Tables: []string{"github_checks", "github_check_heads", "github_verdicts"}, Remove: a.kept("checks", a.github.Checks.Prune)},
			retention.Job{Name: "scope-gates", Every: time.Hour, Tables: []string{"github_scope_gates"}, Remove: a.kept("checks", scopegate.Gate{Pool: a.pool}.Prune)})
	}
	return append(jobs, a.pageJobs()...)
}

// keptJobs remove what is older than a setting says.
func (a *App) keptJobs() []retention.Job {
	return []retention.Job{
		{Name: "pushes", Every: 6 * time.Hour, Tables: []string{"pushes"}, Remove: a.kept("pushes", a.push.Prune)},
		{Name: "failures", Every: time.Hour, Tables: []string{"failure_pushes", "failure_outcomes", "failure_runs", "failure_lines", "failure_reports", "failure_labels"},
			Remove: a.kept("failures", a.failures.Prune)},
		{Name: "classifications", Every: 6 * time.Hour, Tables: []string{"classifications"}, Remove: a.kept("classifications", a.triage().Prune)},
		{Name: "bugs", Every: 6 * time.Hour, Tables: []string{"bug_filings"}, Remove: a.kept("classifications", func(ctx context.Context, keep time.Duration) (int64, error) { return bugs.Prune(ctx, a.pool, keep) })},
		{Name: "notifications", Every: time.Hour, Tables: []string{"notify_outbox"}, Remove: a.kept("notifications", a.notify.Prune)},
		{Name: "fires", Every: time.Hour, Tables: []string{"hook_fires"}, Remove: a.kept("fires", a.hooks.Prune)},
		{Name: "action-hooks", Every: time.Hour, Tables: []string{"action_hooks"}, Remove: a.kept("action-hooks", a.actions.Prune)},
		{Name: "cron-runs", Every: time.Hour, Tables: []string{"cron_runs"}, Remove: a.kept("cron-runs", a.calendar.Prune)},
		{Name: "pool-errors", Every: 5 * time.Minute, Tables: []string{"worker_pool_errors", "pool_workers", "worker_launches"}, Remove: a.kept("pool-errors", a.pools.Prune)},
		{Name: "samples", Every: time.Hour, Tables: []string{"queue_samples"}, Remove: a.kept("samples", a.gauge.Thin)},
		{Name: "tree-changes", Every: 6 * time.Hour, Tables: []string{"ui_tree_changes"}, Remove: a.kept("tree-changes", a.trees().Prune)},
	}
}

// pageJobs remove what the pages need for a while.
func (a *App) pageJobs() []retention.Job {
	return []retention.Job{
		{Name: "sessions", Every: time.Hour, Tables: []string{"ui_sessions"}, Remove: func(ctx context.Context) (int64, error) { return session.Prune(ctx, a.pool) }},
		{Name: "log-indexes", Every: time.Hour, Tables: []string{"log_indexes"}, Remove: func(ctx context.Context) (int64, error) { return lineindex.Prune(ctx, a.pool) }},
		{Name: "shell-offers", Every: 6 * time.Hour, Tables: []string{"shell_offers"}, Remove: func(ctx context.Context) (int64, error) { return shell.Prune(ctx, a.pool) }},
	}
}

// kept calls a prune with the setting of its name.
func (a *App) kept(name string, prune func(context.Context, time.Duration) (int64, error)) func(context.Context) (int64, error) {
	keep := a.config.keep(name)
	return func(ctx context.Context) (int64, error) { return prune(ctx, keep) }
}

func (a *App) cleanObjects(ctx context.Context) (int64, error) {
	n, err := a.objects.Clean(ctx)
	return n, errors.Join(err, a.objects.Sweep(ctx))
}

// Retention says what removes which old rows, and what came of it.
func (a *App) Retention() *retention.Retention { return a.retention }
