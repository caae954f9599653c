package github

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/stamp"
)

// MaxBody is how many bytes a webhook may have: GitHub sends at most 25 MB.
const MaxBody = 26 << 20

// Webhook is what arrived.
type Webhook struct {
	GUID, Event string // headers X-GitHub-Delivery and X-GitHub-Event
	Signature   string // header X-Hub-Signature-256
	Body        []byte // as it came
}

// Receive stores an authentic webhook and returns; it is taken later. One that is stored already is stored no second
// time, but one that failed is taken again: that is what a person who presses Redeliver wants. Errors are
// fault.Unauthenticated for a bad signature, fault.BadInput for what is no webhook.
func (g *GitHub) Receive(ctx context.Context, w Webhook) error {
	if err := g.verify(w); err != nil {
		return err
	}
	if w.Event == "" || w.GUID == "" || len(w.GUID) > 100 || len(w.Event) > 100 {
		return fault.New(fault.BadInput, "the headers X-GitHub-Event and X-GitHub-Delivery are missing")
	}
	var about struct {
		Action       string
		Installation struct{ ID int64 }
		Repository   struct{ ID int64 }
	}
	if err := json.Unmarshal(w.Body, &about); err != nil {
		if _, syntax := errors.AsType[*json.SyntaxError](err); syntax {
			return fault.New(fault.BadInput, "the body is not JSON; set the webhook's content type to application/json")
		}
	}
	return g.store(ctx, delivery{
		GUID: w.GUID, Event: w.Event, Action: about.Action, Installation: about.Installation.ID, Repository: about.Repository.ID, Source: "webhook", Body: w.Body,
	})
}

// verify checks the signature over the bytes that came, against each secret, in constant time. SHA-1 is not taken.
func (g *GitHub) verify(w Webhook) error {
	text, ok := strings.CutPrefix(w.Signature, "sha256=")
	got, err := hex.DecodeString(text)
	if !ok || err != nil || len(got) != sha256.Size {
		return fault.New(fault.Unauthenticated, "the header X-Hub-Signature-256 is missing or malformed; give the App's webhook a secret")
	}
	good := false
	for _, secret := range g.Secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(w.Body)
		good = hmac.Equal(mac.Sum(nil), got) || good
	}
	if !good {
		return fault.New(fault.Unauthenticated, "the signature does not fit any secret of this server")
	}
	return nil
}

// delivery is a stored webhook.
type delivery struct {
	Seq          int64  `db:"seq"`
	GUID         string `db:"guid"`
	Event        string `db:"event"`
	Action       string `db:"action"`
	Installation int64  `db:"installation_id"`
	Repository   int64  `db:"repository_id"`
	Source       string `db:"source"`
	Body         []byte `db:"body"`
	Received     time.Time
	Tries        int `db:"tries"`
}

func (g *GitHub) store(ctx context.Context, d delivery) error {
	_, err := g.Pool.Exec(ctx, storeSQL.Text, d.GUID, clean(d.Event), clean(d.Action), d.Installation, d.Repository, d.Source, g.pack.EncodeAll(d.Body, nil))
	if err != nil {
		return fmt.Errorf("github: store delivery %s: %w", d.GUID, pg.Classify(err))
	}
	g.wake()
	return nil
}

// wake tells those who take deliveries that there is one.
func (g *GitHub) wake() {
	select {
	case g.fresh <- struct{}{}:
	default:
	}
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// takeDeliveries does what deliveries ask for, as they come; or compares graphs, which takes long and may wait.
func (g *GitHub) takeDeliveries(ctx context.Context, graphs bool) {
	ticker := time.NewTicker(pollDeliveries)
	defer ticker.Stop()
	for ctx.Err() == nil {
		n, err := g.takeOne(ctx, graphs)
		if err != nil && ctx.Err() == nil {
			g.Log.ErrorContext(ctx, "take webhooks; tried again soon", "err", err)
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-g.fresh:
		}
	}
}

// Take does what the oldest stored delivery asks for, and returns how many it took: one or none. It is meant for the
// loops, and for tests that go by step.
func (g *GitHub) Take(ctx context.Context) (int, error) {
	n, err := g.takeOne(ctx, false)
	if n > 0 || err != nil {
		return n, err
	}
	return g.takeOne(ctx, true)
}

func (g *GitHub) takeOne(ctx context.Context, graphs bool) (int, error) {
	rows, err := g.Pool.Query(ctx, claimSQL.Text, lease.Seconds(), 1, graphs, graphDiffEvent)
	if err != nil {
		return 0, fmt.Errorf("github: claim deliveries: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[delivery])
	if err != nil {
		return 0, fmt.Errorf("github: claim deliveries: %w", pg.Classify(err))
	}
	for _, d := range list {
		if err := g.take(ctx, d); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// giveUpAfter is how long a delivery is tried.
const giveUpAfter = 24 * time.Hour

// take does what a delivery asks for and writes down what became of it. An error is one of writing that down.
func (g *GitHub) take(ctx context.Context, d delivery) error {
	ctx = stamp.With(ctx, stamp.Webhook, d.GUID)
	doing, cancel := context.WithTimeout(ctx, takeFor)
	defer cancel()
	release := g.hold(doing, d)
	outcome, err := g.unpackAndHandle(doing, d)
	release()
	if ctx.Err() != nil { // the server stops: another need not wait for the lease to end
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return g.settleAs(ctx, d, "new", "the server stopped", 0)
	}
	state, wait := "done", time.Duration(0)
	if err != nil {
		outcome, state = err.Error(), "new"
		wait = min(10*time.Minute, time.Second<<min(d.Tries, 10))
		if limit, ok := ghclient.Limited(err, time.Now()); ok {
			wait = limit
			if _, err := g.Pool.Exec(ctx, blockSQL.Text, d.Installation, limit.Seconds()); err != nil {
				return fmt.Errorf("github: note a rate limit: %w", pg.Classify(err))
			}
		}
		if time.Since(d.Received) > giveUpAfter || errors.Is(err, errNever) {
			state = "failed"
		}
		g.Log.WarnContext(ctx, "webhook", "event", d.Event, "action", d.Action, "delivery", d.GUID, "tries", d.Tries, "state", state, "err", err)
	}
	if err := g.settleAs(ctx, d, state, outcome, wait); err != nil || g.Handled == nil {
		return err
	}
	if state == "new" {
		state = "again"
	}
	g.Handled(d.Event, state, time.Since(d.Received))
	return nil
}

// maxOutcome is how many bytes of an outcome are kept.
const maxOutcome = 2000

func (g *GitHub) settleAs(ctx context.Context, d delivery, state, outcome string, wait time.Duration) error {
	outcome = outcome[:min(len(outcome), maxOutcome)]
	if _, err := g.Pool.Exec(ctx, settleSQL.Text, d.Seq, state, clean(outcome), wait.Seconds()); err != nil {
		return fmt.Errorf("github: settle delivery %s: %w", d.GUID, pg.Classify(err))
	}
	return nil
}

// hold renews the lease of a delivery until release is called.
func (g *GitHub) hold(ctx context.Context, d delivery) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := g.Pool.Exec(ctx, renewSQL.Text, d.Seq, lease.Seconds()); err != nil && ctx.Err() == nil {
				g.Log.WarnContext(ctx, "renew the lease of a webhook; tried again soon", "delivery", d.GUID, "err", pg.Classify(err))
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// errNever is a failure that trying again cannot mend.
var errNever = errors.New("this cannot succeed")

func (g *GitHub) unpackAndHandle(ctx context.Context, d delivery) (string, error) {
	var err error
	if d.Body, err = g.unpack.DecodeAll(d.Body, nil); err != nil {
		return "", fmt.Errorf("github: the stored body cannot be read: %w: %w", err, errNever)
	}
	outcome, err := g.handle(ctx, d)
	if err != nil && ghclient.Gone(err) && !g.reaches(ctx, d) {
		return "the App no longer reaches the repository", nil
	}
	return outcome, err
}

// reaches reports whether the App still has what a delivery is about.
func (g *GitHub) reaches(ctx context.Context, d delivery) bool {
	r, err := g.repository(ctx, d.Repository)
	if err != nil {
		return !errors.Is(err, fault.NotFound)
	}
	_, _, err = g.client.Installation(r.Installation).Repositories.GetByID(ctx, r.ID)
	return !ghclient.Gone(err)
}

// Outcome is what became of a delivery.
type Outcome struct {
	State   string `db:"state"` // new, done or failed
	Outcome string `db:"outcome"`
	Tries   int    `db:"tries"`
}

// OutcomeOf returns what became of a delivery, or a fault.NotFound.
func (g *GitHub) OutcomeOf(ctx context.Context, guid string) (Outcome, error) {
	rows, err := g.Pool.Query(ctx, knownSQL.Text, guid)
	if err == nil {
		var o Outcome
		if o, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Outcome]); err == nil {
			return o, nil
		}
	}
	return Outcome{}, fmt.Errorf("github: delivery %s: %w", guid, pg.Classify(err))
}

const pruneBatch = 200

// PruneDeliveries removes settled deliveries that came longer ago than keep, and forgets what was said then, in
// small steps. It returns how many rows that were.
func (g *GitHub) PruneDeliveries(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, g.Pool, forgetSQL, pruneBatch, keep.Seconds())
	if err != nil {
		return n, fmt.Errorf("github: prune deliveries: %w", err)
	}
	said, err := g.once.Prune(ctx, keep)
	return n + said, err
}

// PruneBuilds removes builds that nothing happened to for longer than keep, in small
// steps. It returns how many rows that were.
func (g *GitHub) PruneBuilds(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, g.Pool, pruneBuildsSQL, pruneBatch, keep.Seconds())
	if err != nil {
		return n, fmt.Errorf("github: prune builds: %w", err)
	}
	return n, nil
}

var (
	storeSQL = pg.Statement{Name: "github.store", Text: `
		INSERT INTO github_deliveries AS d (guid, event, action, installation_id, repository_id, source, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (guid) DO UPDATE SET state = 'new', tries = 0, retry_after = '-infinity', received = clock_timestamp() WHERE d.state = 'failed'`}

	claimSQL = pg.Statement{Name: "github.claim", Text: `
		UPDATE github_deliveries SET tries = tries + 1, retry_after = clock_timestamp() + make_interval(secs => $1)
		WHERE seq IN (
			SELECT d.seq FROM github_deliveries d LEFT JOIN github_installations i ON i.id = d.installation_id
			WHERE d.state = 'new' AND (d.event = $4) = $3::boolean AND d.retry_after <= clock_timestamp() AND coalesce(i.blocked_until, '-infinity') <= clock_timestamp()
			ORDER BY d.seq LIMIT $2 FOR UPDATE OF d SKIP LOCKED)
		RETURNING seq, guid, event, action, installation_id, repository_id, source, body, received, tries`}

	renewSQL = pg.Statement{Name: "github.renew", Text: `
		UPDATE github_deliveries SET retry_after = clock_timestamp() + make_interval(secs => $2) WHERE seq = $1 AND state = 'new'`}

	settleSQL = pg.Statement{Name: "github.settle", Text: `
		UPDATE github_deliveries SET state = $2, outcome = $3, retry_after = clock_timestamp() + make_interval(secs => $4) WHERE seq = $1`}

	knownSQL = pg.Statement{Name: "github.known", Text: `SELECT state, outcome, tries FROM github_deliveries WHERE guid = $1`}

	forgetSQL = pg.Statement{Name: "github.forget", Text: `
		DELETE FROM github_deliveries WHERE seq IN (
			SELECT seq FROM github_deliveries WHERE state <> 'new' AND received < now() - make_interval(secs => $2)
			ORDER BY received LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	pruneBuildsSQL = pg.Statement{Name: "github.prune-builds", Text: `
		DELETE FROM github_builds WHERE task_group_id IN (
			SELECT task_group_id FROM github_builds WHERE updated < now() - make_interval(secs => $2)
			ORDER BY updated LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
