package notify

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how the outbox of a channel stands.
type Figures struct {
	Channel string
	Waiting int
	Oldest  time.Duration // how long the one waits that waits longest
	Failed  int           // given up within the last hour
}

// Figures tells of the channels that have something waiting, or failed lately.
func (n *Notify) Figures(ctx context.Context) ([]Figures, error) {
	rows, err := n.Pool.Query(ctx, figuresSQL.Text)
	if err != nil {
		return nil, failed("figures", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Figures])
	if err != nil {
		return nil, failed("figures", err)
	}
	return list, nil
}

var figuresSQL = pg.Statement{Name: "notify.figures", Text: `
SELECT channel, sum(waiting)::int, max(oldest), sum(failed)::int
FROM (
	SELECT channel, count(*) AS waiting, greatest(clock_timestamp() - min(created), '0') AS oldest, 0 AS failed
	FROM notify_outbox WHERE state = 'waiting' GROUP BY channel
	UNION ALL
	SELECT channel, 0, '0', count(*) FROM notify_outbox
	WHERE state = 'failed' AND created > clock_timestamp() - interval '1 hour' GROUP BY channel) AS parts
GROUP BY channel`}
