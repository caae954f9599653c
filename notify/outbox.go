package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/notify/message"
)

// State is how a notification stands.
type State string

// The states. Limited and denied ones are not sent, and kept to be seen.
const (
	StateWaiting State = "waiting"
	StateSent    State = "sent"
	StateFailed  State = "failed"
	StateLimited State = "limited"
	StateDenied  State = "denied"
)

// refusal is the error of a state in which a notification is not sent.
func (s State) refusal() error {
	switch s {
	case StateDenied:
		return ErrDenied
	case StateLimited:
		return ErrLimited
	}
	return nil
}

// identity says which notifications are the same.
type identity struct {
	key    string
	within time.Duration // 0: for as long as the outbox remembers
	test   bool
}

// parcel is a notification on its way into the outbox.
type parcel struct {
	identity
	channel, address string
	taskID           string // "" for none
	body             body
	claimed          bool // the caller sends it itself
	keep             bool // remember it also when it is refused
}

// body is what the outbox keeps of a message: the message, or what happened to a task, of which the message
// is made when it is sent.
type body struct {
	Email  *message.Email  `json:"email,omitempty"`
	Slack  *message.Slack  `json:"slack,omitempty"`
	Matrix *message.Matrix `json:"matrix,omitempty"`
	Pulse  *message.Pulse  `json:"pulse,omitempty"`
	Why    string          `json:"why,omitempty"`
	State  string          `json:"state,omitempty"`
	News   *news           `json:"news,omitempty"`
}

// news is what happened to a task.
type news struct {
	Event  string          `json:"event"`
	TaskID string          `json:"taskId"`
	RunID  *int            `json:"runId,omitempty"`
	Status json.RawMessage `json:"status"`
	Route  string          `json:"route"`
}

func (b *body) take(m message.Message) {
	switch m := m.(type) {
	case message.Email:
		b.Email, b.Why, b.State = &m, m.Why, m.State
	case message.Slack:
		b.Slack = &m
	case message.Matrix:
		b.Matrix = &m
	case message.Pulse:
		b.Pulse = &m
	}
}

// row is a notification of the outbox that this process is to send.
type row struct {
	id               int64
	ident            string
	channel, address string
	last             bool // the last mail before the limit
	test             bool // what stands in the way is what the caller wants to know: it is not tried again
	body             body
}

// enqueue puts a parcel into the outbox. The row is nil when the same notification is there already, or the
// state refuses it.
func (n *Notify) enqueue(ctx context.Context, p parcel) (state State, r *row, err error) {
	err = pg.Tx(ctx, n.Pool, func(ctx context.Context, tx pgx.Tx) error {
		state, r, err = enqueue(ctx, tx, p)
		return err
	})
	if err != nil {
		return "", nil, failed("enqueue for "+p.channel, err)
	}
	return state, r, nil
}

// lock makes transactions that count the mails of an address wait for one another.
func lock(ctx context.Context, tx pgx.Tx, addresses ...string) error {
	if len(addresses) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, lockSQL.Text, addresses)
	return err
}

// enqueue puts a parcel into the outbox; for a mail it holds the lock on its address from then on.
func enqueue(ctx context.Context, tx pgx.Tx, p parcel) (state State, r *row, err error) {
	if p.channel == message.ChannelEmail {
		if err := lock(ctx, tx, p.address); err != nil {
			return "", nil, err
		}
	}
	text, err := json.Marshal(p.body)
	if err != nil {
		return "", nil, fmt.Errorf("message: %w", err)
	}
	var within *time.Duration
	if p.within > 0 {
		within = &p.within
	}
	wait := time.Duration(0)
	if p.claimed {
		wait = attemptLease
	}
	r = &row{ident: slug.New(), channel: p.channel, address: p.address, body: p.body}
	var id *int64
	var used int
	err = tx.QueryRow(ctx, enqueueSQL.Text, p.key, r.ident, p.channel, p.address, optional(p.taskID), string(text), within, wait, p.keep,
		MailLimit, MailPeriod).Scan(&state, &used, &id)
	if err != nil {
		return "", nil, err
	}
	if id == nil || state != StateWaiting {
		return state, nil, nil
	}
	r.id, r.last, r.test = *id, p.channel == message.ChannelEmail && used == MailLimit-1, p.test
	return state, r, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// claim takes waiting notifications of a channel, for as long as an attempt may take.
func (n *Notify) claim(ctx context.Context, channel string, limit int) ([]row, error) {
	rows, err := n.Pool.Query(ctx, claimSQL.Text, channel, limit, attemptLease, MailLimit, MailPeriod)
	if err != nil {
		return nil, failed("claim", err)
	}
	list, err := pgx.CollectRows(rows, func(c pgx.CollectableRow) (r row, err error) {
		var text []byte
		if err := c.Scan(&r.id, &r.ident, &r.channel, &r.address, &text, &r.last); err != nil {
			return r, err
		}
		if json.Unmarshal(text, &r.body) != nil {
			r.body = body{} // deliver says that there is nothing to send
		}
		return r, nil
	})
	if err != nil {
		return nil, failed("claim", err)
	}
	return list, nil
}

var (
	lockSQL = pg.Statement{Name: "notify.lock", Text: `
		SELECT pg_advisory_xact_lock(hashtextextended('notify/' || a, 0)) FROM (
			SELECT DISTINCT lower(x) AS a FROM unnest($1::text[]) AS x ORDER BY 1) AS addresses`}

	// The verdict counts what was sent or will be; a failed one may be tried anew by a new call.
	enqueueSQL = pg.Statement{Name: "notify.enqueue", Text: `
		WITH verdict AS (
			SELECT CASE
				WHEN EXISTS (SELECT FROM notify_denylist WHERE type = $3 AND lower(address) = lower($4)) THEN 'denied'
				WHEN used >= $10 THEN 'limited' ELSE 'waiting' END AS state, used
			FROM (SELECT CASE WHEN $3 <> 'email' THEN 0 ELSE (
				SELECT count(*) FROM (SELECT FROM notify_outbox WHERE channel = 'email' AND lower(address) = lower($4)
					AND created > clock_timestamp() - $11::interval AND state IN ('waiting', 'sent') LIMIT $10) AS m)
			END AS used) AS counted
		), entered AS (
			INSERT INTO notify_outbox AS o (key, ident, channel, address, state, task_id, message, tries, next_try, finished)
			SELECT $1, $2, $3, $4, state, $5, CASE state WHEN 'waiting' THEN $6::json END, CASE WHEN $8::interval > interval '0' THEN 1 ELSE 0 END,
				clock_timestamp() + $8::interval, CASE state WHEN 'waiting' THEN NULL ELSE clock_timestamp() END
			FROM verdict WHERE state = 'waiting' OR $9::boolean
			ON CONFLICT (key) DO UPDATE SET ident = EXCLUDED.ident, state = EXCLUDED.state, message = EXCLUDED.message, tries = EXCLUDED.tries,
				created = clock_timestamp(), next_try = EXCLUDED.next_try, error = NULL, finished = EXCLUDED.finished
			WHERE $7::interval IS NOT NULL AND (o.state = 'failed' OR o.created < clock_timestamp() - $7::interval)
			RETURNING id
		)
		SELECT state, used::int, (SELECT id FROM entered) FROM verdict`}

	claimSQL = pg.Statement{Name: "notify.claim", Text: `
		WITH due AS (
			SELECT id FROM notify_outbox WHERE state = 'waiting' AND channel = $1 AND next_try <= clock_timestamp()
			ORDER BY next_try LIMIT $2 FOR UPDATE SKIP LOCKED
		)
		UPDATE notify_outbox AS o SET tries = tries + 1, next_try = clock_timestamp() + $3::interval
		FROM due WHERE o.id = due.id
		RETURNING o.id, o.ident, o.channel, o.address, o.message, o.channel = 'email' AND $4::bigint = (
			SELECT count(*) FROM (SELECT FROM notify_outbox AS b WHERE b.channel = 'email' AND lower(b.address) = lower(o.address)
				AND b.created > o.created - $5::interval AND b.created <= o.created AND b.state IN ('waiting', 'sent') LIMIT $4::bigint + 1) AS m)`}

	sentSQL = pg.Statement{Name: "notify.sent", Text: `
		UPDATE notify_outbox SET state = 'sent', message = NULL, error = NULL, finished = clock_timestamp()
		WHERE id = $1 AND ident = $2 AND state = 'waiting'`}

	laterSQL = pg.Statement{Name: "notify.later", Text: `
		UPDATE notify_outbox SET error = $3,
			next_try = clock_timestamp() + greatest($4::interval, least($5::interval * power(3, least(tries - 1, 10)), interval '1 hour') * (0.9 + random() * 0.2)),
			state = CASE WHEN created < clock_timestamp() - $6::interval THEN 'failed' ELSE state END,
			message = CASE WHEN created < clock_timestamp() - $6::interval THEN NULL ELSE message END,
			finished = CASE WHEN created < clock_timestamp() - $6::interval THEN clock_timestamp() END
		WHERE id = $1 AND ident = $2 AND state = 'waiting'
		RETURNING state`}

	failSQL = pg.Statement{Name: "notify.fail", Text: `
		UPDATE notify_outbox SET state = 'failed', message = NULL, error = $3, finished = clock_timestamp()
		WHERE id = $1 AND ident = $2 AND state = 'waiting'`}
)
