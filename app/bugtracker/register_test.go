package bugtracker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/trackertest"
	"github.com/treeline-ci/treeline/triage/bugs"
)

// registers are those of two servers on one database, with what they wrote into the audit log.
type registers struct {
	t       *testing.T
	db      *pgxpool.Pool
	tracker *trackertest.Server
	a, b    *bugs.Register

	mu    sync.Mutex
	deeds []string
}

var failure = bugs.Failure{Repository: "sample", TaskID: "task"}

func twoServers(t *testing.T, tracker *trackertest.Server, setting, token string) *registers {
	t.Helper()
	rs := &registers{t: t, db: pgtest.DB(t), tracker: tracker}
	rs.a, rs.b = rs.server(setting, token), rs.server(setting, token)
	return rs
}

func (rs *registers) server(setting, token string) *bugs.Register {
	rs.t.Helper()
	pool, err := pgxpool.New(rs.t.Context(), rs.db.Config().ConnString())
	if err != nil {
		rs.t.Fatal(err)
	}
	rs.t.Cleanup(pool.Close)
	return &bugs.Register{Pool: pool, Tracker: open(rs.t, setting, token), Log: slog.New(slog.DiscardHandler), Audit: func(ctx context.Context, tx pgx.Tx, d bugs.Deed) error {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		rs.deeds = append(rs.deeds, fmt.Sprintf("%s %s %s %s", d.Actor, d.Action, d.Bug.ID, d.For.TaskID))
		return nil
	}}
}

// made returns the bugs that the tracker has of a summary.
func (rs *registers) made(summary string) int {
	all, _ := rs.tracker.Bugs()
	return len(slices.DeleteFunc(all, func(b trackertest.Bug) bool { return b.Summary != summary }))
}

func (rs *registers) exec(sql string) {
	rs.t.Helper()
	if _, err := rs.db.Exec(rs.t.Context(), sql); err != nil {
		rs.t.Fatal(err)
	}
}

// file has a server file a bug, and wants the tracker to have just one of it then.
func (rs *registers) file(r *bugs.Register, actor, summary string) bugs.Filed {
	rs.t.Helper()
	got, err := r.File(rs.t.Context(), actor, failure, bugs.New{Summary: summary})
	if n := rs.made(summary); err != nil || n != 1 || got.ID == "" || got.URL == "" {
		rs.t.Fatalf("%+v, %v; the tracker has %d", got, err, n)
	}
	return got
}

func TestABugIsFiledOnce(t *testing.T) {
	github := trackertest.GitHub(t, samples()...)
	bugzilla := trackertest.Bugzilla(t, samples()...)
	for name, rs := range map[string]*registers{
		"GitHub":   twoServers(t, github, "github:"+github.URL+"/acme/app", trackertest.Token),
		"Bugzilla": twoServers(t, bugzilla, "bugzilla:"+bugzilla.URL+"?product=Core&component=General", trackertest.Token),
	} {
		t.Run(name, func(t *testing.T) {
			rs.t = t
			t.Run("by two servers at once", func(t *testing.T) { atOnce(t, rs) })
			t.Run("after an answer that nobody heard", func(t *testing.T) { unheard(t, rs) })
			t.Run("after the end of the server that asked", func(t *testing.T) { ended(t, rs) })
			t.Run("after a tracker that was away", func(t *testing.T) {
				rs.tracker.Break(1)
				if _, err := rs.a.File(t.Context(), "ada", failure, bugs.New{Summary: "It is away"}); !errors.Is(err, fault.Conflict) || errors.Is(err, bugs.ErrRefused) {
					t.Fatal(err)
				}
				if got := rs.file(rs.b, "bob", "It is away"); got.Before || got.By != "bob" {
					t.Errorf("%+v", got)
				}
			})
			t.Run("again when it was closed", func(t *testing.T) { closed(t, rs) })
		})
	}
}

func atOnce(t *testing.T, rs *registers) {
	const summary = "It is cold | at once"
	held, release := rs.tracker.Hold()
	defer release()
	type answer struct {
		bugs.Filed
		error
	}
	answers := make(chan answer, 2)
	ask := func(r *bugs.Register, actor string) {
		got, err := r.File(t.Context(), actor, failure, bugs.New{Summary: summary})
		answers <- answer{got, err}
	}
	go ask(rs.a, "ada")
	<-held
	go ask(rs.b, "bob")
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rs.b.File(short, "eve", failure, bugs.New{Summary: summary}); err == nil {
		t.Error("one did not wait, and has a bug")
	}
	release()
	first, second := <-answers, <-answers
	if first.error != nil || second.error != nil || first.ID != second.ID || first.Before == second.Before || first.By != "ada" || second.By != "ada" || rs.made(summary) != 1 {
		t.Errorf("%+v, %+v; the tracker has %d", first, second, rs.made(summary))
	}
	if want := "ada filed " + first.ID + " task"; !slices.Contains(rs.deeds, want) || len(rs.deeds) != 1 {
		t.Errorf("the audit log has %q, want %q", rs.deeds, want)
	}
}

func unheard(t *testing.T, rs *registers) {
	const summary = "Its answer is lost"
	rs.tracker.Lose(1)
	if _, err := rs.a.File(t.Context(), "ada", failure, bugs.New{Summary: summary}); !errors.Is(err, fault.Conflict) || rs.made(summary) != 1 {
		t.Fatal(err, rs.made(summary))
	}
	rs.tracker.Break(1) // nor can it be looked through
	if _, err := rs.b.File(t.Context(), "bob", failure, bugs.New{Summary: summary}); !errors.Is(err, fault.Conflict) || rs.made(summary) != 1 {
		t.Fatal(err, rs.made(summary))
	}
	if got := rs.file(rs.b, "bob", summary); !got.Before || got.By != "" || !slices.Contains(rs.deeds, "bob found "+got.ID+" task") {
		t.Errorf("%+v, %q", got, rs.deeds)
	}
}

// A server that cannot write down what came of it leaves the same as one that ends.
func ended(t *testing.T, rs *registers) {
	const summary = "Its server ended"
	audit := rs.a.Audit
	rs.a.Audit = func(context.Context, pgx.Tx, bugs.Deed) error { return errors.New("the end") }
	defer func() { rs.a.Audit = audit }()
	if _, err := rs.a.File(t.Context(), "ada", failure, bugs.New{Summary: summary}); err == nil || rs.made(summary) != 1 {
		t.Fatal(err, rs.made(summary))
	}
	rs.exec(`UPDATE bug_filings SET tried = now() - interval '1 minute' WHERE state = 'asked'`)
	if got := rs.file(rs.b, "bob", summary); !got.Before {
		t.Errorf("%+v", got)
	}
}

func closed(t *testing.T, rs *registers) {
	const summary = "It comes again"
	first := rs.file(rs.a, "ada", summary)
	const age = `UPDATE bug_filings SET asked = now() - interval '1 day', tried = now() - interval '1 day' WHERE summary = 'It comes again'`
	rs.exec(age)
	if got := rs.file(rs.b, "bob", summary); !got.Before || got.By != "ada" || got.ID != first.ID {
		t.Errorf("while it is open: %+v", got)
	}
	rs.tracker.Break(1)
	if got := rs.file(rs.b, "bob", summary); got.ID != first.ID {
		t.Errorf("when nobody knows: %+v", got)
	}
	all, _ := rs.tracker.Bugs()
	rs.tracker.Resolve(all[len(all)-1].ID)
	got, err := rs.b.File(t.Context(), "bob", failure, bugs.New{Summary: summary})
	if err != nil || got.Before || got.ID == first.ID || rs.made(summary) != 2 {
		t.Errorf("%+v, %v; the tracker has %d", got, err, rs.made(summary))
	}
}

func TestWhatIsRefusedIsNotKept(t *testing.T) {
	tracker := trackertest.GitHub(t)
	setting := "github:" + tracker.URL + "/acme/app"
	rs := twoServers(t, tracker, setting, "wrong-"+trackertest.Token)
	if _, err := rs.a.File(t.Context(), "ada", failure, bugs.New{Summary: "x"}); !errors.Is(err, bugs.ErrRefused) {
		t.Fatal(err)
	}
	if _, err := rs.a.File(t.Context(), "ada", failure, bugs.New{}); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
	var rows int
	if err := rs.db.QueryRow(t.Context(), `SELECT count(*) FROM bug_filings`).Scan(&rows); err != nil || rows != 0 {
		t.Error(rows, err)
	}
	if got := rs.file(rs.server(setting, trackertest.Token), "ada", "x"); got.Before {
		t.Errorf("%+v", got)
	}
}

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), bugs.Statements()...) }
