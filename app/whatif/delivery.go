package whatif

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
)

// delivery is a webhook that came.
type delivery struct {
	GUID     string    `db:"guid"`
	Event    string    `db:"event"`
	Action   string    `db:"action"`
	Received time.Time `db:"received"`
	Body     []byte    `db:"body"` // packed; nil in lists
}

// deliveries lists the webhooks of a repository that tasks are made for.
func (l *Lab) deliveries(ctx context.Context, r push.Repository) ([]delivery, error) {
	if l.Pool == nil || r.Kind != push.GitHub {
		return nil, nil
	}
	rows, err := l.Pool.Query(ctx, deliveriesSQL.Text, r.Name, maxDeliveries)
	if err != nil {
		return nil, fmt.Errorf("whatif: webhooks of %s: %w", r.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[delivery])
	if err != nil {
		return nil, fmt.Errorf("whatif: webhooks of %s: %w", r.Name, pg.Classify(err))
	}
	return list, nil
}

const maxDelivery = 32 << 20 // bytes of a webhook, unpacked

// delivered is the occasion of a webhook.
func (l *Lab) delivered(ctx context.Context, p place, guid string) (occasion, error) {
	if l.Pool == nil {
		return occasion{}, fault.New(fault.NotFound, "There is no webhook %q.", guid)
	}
	rows, err := l.Pool.Query(ctx, deliverySQL.Text, p.repository.Name, guid)
	var d delivery
	if err == nil {
		d, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[delivery])
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return occasion{}, fault.New(fault.NotFound, "There is no webhook %q of %s any more.", guid, p.repository.Name)
	}
	if err != nil {
		return occasion{}, fmt.Errorf("whatif: webhook %s: %w", guid, pg.Classify(err))
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDelivery), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return occasion{}, fmt.Errorf("whatif: webhook %s: %w", guid, err)
	}
	defer r.Close()
	text, err := r.DecodeAll(d.Body, nil)
	if err != nil {
		return occasion{}, fmt.Errorf("whatif: webhook %s: %w", guid, err)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		return occasion{}, fmt.Errorf("whatif: webhook %s: %w", guid, err)
	}
	tasksFor := map[string]string{"push": "github-push", "pull_request": "github-pull-request", "release": "github-release", "issue_comment": "github-issue-comment"}[d.Event]
	o := occasion{event: l.webhook(p.repository, tasksFor, body, d.Received.UTC(), d.GUID)}
	return l.github(p, o, body), nil
}

// ownID is the id of a decision task that is never made.
func ownID(seed string) string {
	sum := sha256.Sum256([]byte("what-if decision " + seed))
	var id [16]byte
	copy(id[:], sum[:])
	id[0] &= 0x7f
	return slug.FromBytes(id)
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement { return []pg.Statement{deliveriesSQL, deliverySQL} }

var (
	deliveriesSQL = pg.Statement{Name: "whatif.deliveries", Text: `
SELECT d.guid, d.event, d.action, d.received, NULL::bytea AS body FROM github_deliveries d JOIN github_repositories r ON r.id = d.repository_id
WHERE r.name = $1 AND d.event IN ('push', 'pull_request', 'release', 'issue_comment') ORDER BY d.seq DESC LIMIT $2`}
	deliverySQL = pg.Statement{Name: "whatif.delivery", Text: `
SELECT d.guid, d.event, d.action, d.received, d.body FROM github_deliveries d JOIN github_repositories r ON r.id = d.repository_id
WHERE r.name = $1 AND d.guid = $2`}
)
