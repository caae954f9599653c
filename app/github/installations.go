package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	type installation struct {
		installationPayload
		Suspended *time.Time `json:"suspended_at"`
	}
	ids := []int64{}
	var errs []error
	c := g.client.AsApp()
	for page := 1; page > 0; {
		r, err := c.NewRequest(http.MethodGet, fmt.Sprintf("app/installations?per_page=100&page=%d", page), nil)
		if err != nil {
			return fmt.Errorf("github: installations: %w", err)
		}
		var text json.RawMessage
		answer, err := c.Do(ctx, r, &text)
		if err != nil {
			return fmt.Errorf("github: installations: %w", err)
		}
		var list []installation
		if err := json.Unmarshal(text, &list); err != nil {
			return fmt.Errorf("github: installations: %w", err)
		}
		for _, in := range list {
			ids = append(ids, in.ID)
			state := "active"
			if in.Suspended != nil {
				state = "suspended"
			}
			errs = append(errs, g.syncOne(ctx, in.installationPayload, state))
		}
		page = answer.NextPage
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
