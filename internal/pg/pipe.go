package pg

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Pipe is a transaction that saves round trips: BEGIN travels with its first batch, and COMMIT with
// its last one when that is sent with SendLast. It is made by TxPipe; where a pgx.Tx is asked for it
// serves as one, but has neither savepoints nor large objects.
type Pipe struct {
	pgx.Tx // nil: what is not redefined below is not there
	conn   *pgx.Conn
	begun  bool
	ended  bool // committed, or rolled back
}

// TxPipe is Tx with a transaction that saves round trips.
func TxPipe(ctx context.Context, pool *pgxpool.Pool, fn func(ctx context.Context, tx *Pipe) error) error {
	return again(ctx, func() error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		defer conn.Release()
		tx := &Pipe{conn: conn.Conn()}
		return run(ctx, tx, func(ctx context.Context) error {
			if err := begun(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
	})
}

// SendLast sends the batch together with the COMMIT, and waits for the outcome.
func (p *Pipe) SendLast(ctx context.Context, b *pgx.Batch) error {
	var tag pgconn.CommandTag
	b.Queue("commit").Exec(func(t pgconn.CommandTag) error { tag = t; return nil })
	if err := p.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	p.ended = true
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// SendBatch sends the batch.
func (p *Pipe) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if p.begun {
		return p.conn.SendBatch(ctx, b)
	}
	p.begun = true
	all := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, 0, len(b.QueuedQueries)+1)}
	all.Queue("begin")
	all.QueuedQueries = append(all.QueuedQueries, b.QueuedQueries...)
	return &begunResults{BatchResults: p.conn.SendBatch(ctx, all)}
}

// begunResults are the results of a batch that the caller did not begin with BEGIN.
type begunResults struct {
	pgx.BatchResults
	read bool
}

func (r *begunResults) first() error {
	if r.read {
		return nil
	}
	r.read = true
	_, err := r.BatchResults.Exec()
	return err
}

func (r *begunResults) Exec() (pgconn.CommandTag, error) {
	if err := r.first(); err != nil {
		return pgconn.CommandTag{}, err
	}
	return r.BatchResults.Exec()
}

func (r *begunResults) Query() (pgx.Rows, error) {
	if err := r.first(); err != nil {
		return nil, err
	}
	return r.BatchResults.Query()
}

func (r *begunResults) QueryRow() pgx.Row {
	if err := r.first(); err != nil {
		return failedRow{err}
	}
	return r.BatchResults.QueryRow()
}

// failedRow is a row that could not be read.
type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

func (p *Pipe) begin(ctx context.Context) error {
	if p.begun {
		return nil
	}
	p.begun = true
	_, err := p.conn.Exec(ctx, "begin")
	return err
}

// Exec runs a statement.
func (p *Pipe) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := p.begin(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return p.conn.Exec(ctx, sql, args...)
}

// Query runs a query.
func (p *Pipe) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	return p.conn.Query(ctx, sql, args...)
}

// QueryRow runs a query of one row.
func (p *Pipe) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := p.begin(ctx); err != nil {
		return failedRow{err}
	}
	return p.conn.QueryRow(ctx, sql, args...)
}

// Begin is refused: there are no savepoints.
func (p *Pipe) Begin(context.Context) (pgx.Tx, error) {
	return nil, fault.New(fault.Internal, "pg: a Pipe has no savepoints")
}

// CopyFrom copies rows into a table.
func (p *Pipe) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	if err := p.begin(ctx); err != nil {
		return 0, err
	}
	return p.conn.CopyFrom(ctx, table, columns, rows)
}

// Conn returns the connection.
func (p *Pipe) Conn() *pgx.Conn { return p.conn }

// Commit ends the transaction, unless SendLast did.
func (p *Pipe) Commit(ctx context.Context) error {
	if p.ended || !p.begun {
		p.ended = true
		return nil
	}
	p.ended = true
	tag, err := p.conn.Exec(ctx, "commit")
	if err == nil && tag.String() == "ROLLBACK" {
		err = pgx.ErrTxCommitRollback
	}
	return err
}

// Rollback ends the transaction without effect.
func (p *Pipe) Rollback(ctx context.Context) error {
	if p.ended {
		return pgx.ErrTxClosed
	}
	p.ended = true
	if p.conn.IsClosed() || p.conn.PgConn().TxStatus() == 'I' {
		return nil // broken, or it never began
	}
	_, err := p.conn.Exec(ctx, "rollback")
	return err
}

// ender is what run ends.
type ender interface {
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
}

// run commits tx when fn returns nil, and rolls it back otherwise.
func run(ctx context.Context, tx ender, fn func(ctx context.Context) error) (err error) {
	done := false
	defer func() {
		if !done {
			// The caller's context may be over already; the rollback must still happen.
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if back := tx.Rollback(late); back != nil && !errors.Is(back, pgx.ErrTxClosed) && err != nil {
				err = fmt.Errorf("%w (and the rollback failed: %w)", err, back)
			}
		}
	}()
	if err := fn(ctx); err != nil {
		return err
	}
	done = true
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed(ctx)
	return nil
}
