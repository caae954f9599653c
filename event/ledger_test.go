package event

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

// The ledger's gaps are always exactly the seqs up to the mark that have no position.
func TestLedgerKnowsWhatIsMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l ledger
		taken := map[int64]bool{}
		for _, seq := range rapid.SliceOfNDistinct(rapid.Int64Range(1, 60), 0, 60, rapid.ID[int64]).Draw(t, "seqs") {
			l.take(seq)
			taken[seq] = true
			missing := map[int64]bool{}
			last := int64(0)
			for _, g := range l.gaps {
				if g.lo > g.hi || g.lo <= last || g.hi >= l.mark {
					t.Fatalf("bad gap %v of %v, mark %d", g, l.gaps, l.mark)
				}
				last = g.hi
				for i := g.lo; i <= g.hi; i++ {
					missing[i] = true
				}
			}
			for i := int64(1); i <= l.mark; i++ {
				if missing[i] == taken[i] {
					t.Fatalf("seq %d: missing %v, taken %v; gaps %v", i, missing[i], taken[i], l.gaps)
				}
			}
		}
		if l.position != int64(len(taken)) {
			t.Fatalf("position %d after %d", l.position, len(taken))
		}
	})
}

func TestGapsAreGivenUp(t *testing.T) {
	pool := pgtest.DB(t)
	var s sequencer
	pass := func() {
		t.Helper()
		for more := true; more; {
			var err error
			if more, err = s.pass(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := func() testTx {
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := Append(t.Context(), tx, Event{Kind: "a"}, Event{Kind: "b"}); err != nil {
			t.Fatal(err)
		}
		return testTx{t, tx}
	}

	lost, open := begin(), begin()
	begin().commit()
	pass()
	if s.position != 2 || len(s.gaps) != 1 || s.gaps[0].lo != 1 || s.gaps[0].hi != 4 {
		t.Fatalf("after the first commit: %+v", s)
	}
	lost.rollback()
	for range 3 {
		begin().commit()
		pass()
	}
	if s.position != 8 || len(s.gaps) != 1 {
		t.Fatalf("while one is open: %+v", s)
	}
	open.commit()
	// Transactions in other databases of the cluster, as of other tests, may run and hold the gap up.
	for began := time.Now(); len(s.gaps) > 0 && time.Since(began) < 30*time.Second; {
		pass()
	}
	if s.position != 10 || len(s.gaps) != 0 {
		t.Fatalf("at the end: %+v", s)
	}

	// One that begins later knows the same.
	var late sequencer
	for more := true; more; {
		var err error
		if more, err = late.pass(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	if late.position != 10 || late.mark != s.mark {
		t.Errorf("a late sequencer knows %+v, not %+v", late, s)
	}
}

type testTx struct {
	t *testing.T
	pgx.Tx
}

func (tx testTx) commit() {
	tx.t.Helper()
	if err := tx.Commit(tx.t.Context()); err != nil {
		tx.t.Fatal(err)
	}
}

func (tx testTx) rollback() {
	tx.t.Helper()
	if err := tx.Rollback(tx.t.Context()); err != nil {
		tx.t.Fatal(err)
	}
}
