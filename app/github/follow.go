package github

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// follow keeps the states of builds up to date with their task groups, until ctx ends.
func (g *GitHub) follow(ctx context.Context) {
	interest := event.Interest{Kinds: []string{"task-group-resolved", "task-failed", "task-exception", "task-pending"}, Every: 100 * time.Millisecond}
	err := g.Feed.Consume(ctx, "github-builds", interest, func(ctx context.Context, _ pgx.Tx, events []event.Event) error {
		states := map[string]string{}
		for _, e := range events {
			switch e.Kind {
			case "task-failed", "task-exception":
				states[e.TaskGroupID] = "failure" // at once: nobody need wait for the rest
			case "task-pending":
				if states[e.TaskGroupID] == "" {
					states[e.TaskGroupID] = "pending"
				}
			case "task-group-resolved":
				states[e.TaskGroupID] = "resolved"
			}
		}
		return g.settle(ctx, states)
	})
	if err != nil && ctx.Err() == nil {
		g.Log.ErrorContext(ctx, "builds are no longer told how their tasks go", "err", err)
	}
}

// settle writes down how groups are. Each is looked at as it stands now, so that it does not matter how often or in
// what order its events come.
func (g *GitHub) settle(ctx context.Context, groups map[string]string) error {
	ids := make([]string, 0, len(groups))
	for id := range groups {
		ids = append(ids, id)
	}
	rows, err := g.Pool.Query(ctx, followSQL.Text, ids)
	if err != nil {
		return fmt.Errorf("github: builds: %w", pg.Classify(err))
	}
	if ids, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("github: builds: %w", pg.Classify(err))
	}
	if len(ids) == 0 {
		return nil
	}
	counts, err := g.Queue.GroupCounts(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		state := "success"
		c := counts[id]
		switch {
		case c[task.Failed]+c[task.Exception] > 0:
			state = "failure"
		case c[task.Unscheduled]+c[task.Pending]+c[task.Running] > 0:
			state = "pending"
		}
		if err := g.setBuild(ctx, id, state); err != nil {
			return err
		}
	}
	return nil
}

var followSQL = pg.Statement{Name: "github.follow", Text: `
	SELECT task_group_id FROM github_builds WHERE task_group_id = ANY ($1) AND state <> 'cancelled'`}
