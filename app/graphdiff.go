package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/history"
)

// pastOf tells comparisons of graphs how long tasks took before; nil where no push is known.
func (a *App) pastOf(ctx context.Context, repository, branch string) (history.Durations, error) {
	table, err := a.history.Next(ctx, repository, branch)
	if errors.Is(err, fault.NotFound) || err == nil && table == nil {
		return nil, nil
	}
	return table, err
}

// keepPage keeps what a page shows.
func (a *App) keepPage(ctx context.Context, name string, last time.Duration, content io.Reader) error {
	_, err := a.objects.Put(ctx, name, "treeline", "application/json", time.Now().Add(last), content, "")
	return err
}

// graphDiff reads what the page of a comparison shows, or gives a fault.NotFound.
func (a *App) graphDiff(ctx context.Context, repository, name string) ([]byte, error) {
	_, content, err := a.objects.Open(ctx, graphdiff.Object(repository, name))
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		return nil, fmt.Errorf("app: comparison of graphs %s: %w", name, err)
	}
	return text, nil
}
