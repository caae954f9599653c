// Package reseal replaces the key under which stored values are sealed: it reads the rows of each
// room's table in small pages, and seals again those whose key is not the current one. It may be
// ended at any point and begun anew, by any number of processes; a row that changes meanwhile is left
// to its writer, who seals with the current key anyway.
package reseal

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/pg"
)

// pageSize is how many rows are read at once.
const pageSize = 200

// Table is a room's column of sealed values. Its statements belong to the room.
type Table struct {
	Name    string // for people
	Columns int    // how many text columns the key has

	// Page is given the key after which to begin, as text[] ("" for each column at first), and a
	// limit; it returns in ascending order the key, as text[], and the sealed value (not null).
	Page pg.Statement
	// Swap is given a key, the value as it was read, and the new value, and writes it if the old one
	// still stands there.
	Swap pg.Statement

	Context func(key []string) []byte // what values are bound to
	// Open opens a value in whatever way; nil opens with the ring and the context.
	Open func(ring *crypt.Ring, key []string, sealed []byte) ([]byte, error)
}

// Report is what is stored in a table, by the id of the key ("" for values of before keys had ids).
type Report struct {
	Table    string
	Resealed int            // with the current key, by this run
	Keys     map[string]int // how many values are sealed by each key, after the run
	Lost     [][]string     // keys of rows that none of the ring's keys opens; they are left as they are
}

type row struct {
	Key    []string
	Sealed []byte
}

// Run seals again what is not sealed with the ring's current key. Without change it counts only.
func Run(ctx context.Context, pool *pgxpool.Pool, ring *crypt.Ring, change bool, tables ...Table) ([]Report, error) {
	var reports []Report
	for _, t := range tables {
		report, err := t.run(ctx, pool, ring, change)
		if err != nil {
			return reports, fmt.Errorf("reseal %s: %w", t.Name, pg.Classify(err))
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func (t Table) run(ctx context.Context, pool *pgxpool.Pool, ring *crypt.Ring, change bool) (Report, error) {
	report := Report{Table: t.Name, Keys: map[string]int{}}
	after := make([]string, t.Columns)
	for {
		rows, err := pool.Query(ctx, t.Page.Text, after, pageSize)
		if err != nil {
			return report, err
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return report, err
		}
		for _, r := range page {
			if err := t.one(ctx, pool, ring, change, r, &report); err != nil {
				return report, err
			}
		}
		if len(page) < pageSize {
			return report, nil
		}
		after = page[len(page)-1].Key
	}
}

func (t Table) one(ctx context.Context, pool *pgxpool.Pool, ring *crypt.Ring, change bool, r row, report *Report) error {
	id, _ := crypt.KeyID(r.Sealed)
	if ring.Current(r.Sealed) {
		report.Keys[id]++
		return nil
	}
	plain, err := t.open(ring, r)
	if err != nil {
		report.Lost = append(report.Lost, r.Key)
		report.Keys[id]++
		return nil
	}
	if !change {
		report.Keys[id]++
		return nil
	}
	sealed, err := ring.Seal(plain, t.Context(r.Key))
	if err != nil {
		return err
	}
	tag, err := pool.Exec(ctx, t.Swap.Text, r.Key, r.Sealed, sealed)
	if err != nil {
		return err
	}
	// A row that was changed or removed meanwhile counts nowhere: a writer seals with its own current key.
	if tag.RowsAffected() > 0 {
		report.Resealed++
		report.Keys[ring.CurrentID()]++
	}
	return nil
}

func (t Table) open(ring *crypt.Ring, r row) ([]byte, error) {
	if t.Open != nil {
		return t.Open(ring, r.Key, r.Sealed)
	}
	return ring.Open(r.Sealed, t.Context(r.Key))
}

// Unknown looks at the first page of each table for values that were sealed with keys which the ring has
// not, and returns the keys' ids with the tables. A server that finds any lacks a key, or has another's
// database.
func Unknown(ctx context.Context, pool *pgxpool.Pool, ring *crypt.Ring, tables ...Table) (map[string][]string, error) {
	found := map[string][]string{}
	for _, t := range tables {
		rows, err := pool.Query(ctx, t.Page.Text, make([]string, t.Columns), pageSize)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", t.Name, pg.Classify(err))
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", t.Name, pg.Classify(err))
		}
		for _, r := range page {
			id, ok := crypt.KeyID(r.Sealed)
			if ok && !slices.Contains(ring.IDs(), id) && !slices.Contains(found[id], t.Name) {
				found[id] = append(found[id], t.Name)
			}
		}
	}
	return found, nil
}
