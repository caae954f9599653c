package github

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// syncEvery is how often the App's installations are read anew: what is known of them comes from webhooks, of which
// some may have been sent before there was a server, or are lost.
const syncEvery = time.Hour

// SyncInstallations reads from GitHub where the App is installed and which repositories it reaches there, and forgets
// what is gone.
func (g *GitHub) SyncInstallations(ctx context.Context) error {
	var began time.Time
	if err := g.Pool.QueryRow(ctx, clockSQL.Text).Scan(&began); err != nil {
		return fmt.Errorf("github: installations: %w", pg.Classify(err))
	}
	list, err := g.client.Installations(ctx)
	if err != nil {
		return err
	}
	ids := []int64{}
	var errs []error
	for _, in := range list {
		ids = append(ids, in.ID)
		state := "active"
		if in.Suspended != nil {
			state = "suspended"
		}
		errs = append(errs, g.syncOne(ctx, installationPayload{ID: in.ID, Account: person{Login: in.Account.Login, ID: in.Account.ID}, Permissions: in.Permissions}, state))
	}
	rows, err := g.Pool.Query(ctx, goneSQL.Text, ids, began)
	if err != nil {
		return fmt.Errorf("github: installations: %w", pg.Classify(err))
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("github: installations: %w", pg.Classify(err))
	}
	for _, id := range gone {
		g.client.Forget(id)
		errs = append(errs, g.disable(ctx, id))
	}
	return errors.Join(errs...)
}

func (g *GitHub) syncOne(ctx context.Context, in installationPayload, state string) error {
	if err := g.setInstallation(ctx, in, state); err != nil {
		return err
	}
	if state != "active" {
		return g.disable(ctx, in.ID)
	}
	_, err := g.sync(ctx, in.ID)
	return err
}

// disable stops work for the repositories of an installation.
func (g *GitHub) disable(ctx context.Context, installation int64) error {
	if _, err := g.Pool.Exec(ctx, disableSQL.Text, installation, []int64{}); err != nil {
		return fmt.Errorf("github: installation %d: %w", installation, pg.Classify(err))
	}
	return nil
}

var (
	clockSQL = pg.Statement{Name: "github.clock", Text: `SELECT clock_timestamp()`}

	// What was written since the list was asked for may be newer than the list.
	goneSQL = pg.Statement{Name: "github.gone-installations", Text: `
		UPDATE github_installations SET state = 'deleted', updated = clock_timestamp()
		WHERE state <> 'deleted' AND id <> ALL ($1::bigint[]) AND updated < $2 RETURNING id`}
)
