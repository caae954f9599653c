package scopegate_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/scopegate"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), scopegate.Statements()...)
}

// room is a gate and its database.
type room struct {
	scopegate.Gate
	t    *testing.T
	pool *pgxpool.Pool
}

func newRoom(t *testing.T) room {
	pool := pgtest.DB(t)
	return room{scopegate.Gate{Pool: pool}, t, pool}
}

// pull is pull request n of ada's at a revision, of which GitHub has told.
func (r room) pull(n int, revision string) scopegate.Pull {
	r.t.Helper()
	_, err := r.pool.Exec(r.t.Context(), `INSERT INTO github_pulls (repository_id, number, head, base) VALUES (7, $1, $2, 'main')
		ON CONFLICT (repository_id, number) DO UPDATE SET head = EXCLUDED.head`, n, revision)
	if err != nil {
		r.t.Fatal(err)
	}
	return scopegate.Pull{Repository: 7, Number: n, Base: "main", Revision: revision, Author: "ada"}
}

func (r room) found(p scopegate.Pull, gains ...string) {
	r.t.Helper()
	if err := r.Found(r.t.Context(), p, gains); err != nil {
		r.t.Fatal(err)
	}
}

// open is what nobody has approved at a revision, by pull request.
func (r room) open(revision string) map[int][]string {
	r.t.Helper()
	list, err := r.At(r.t.Context(), 7, revision)
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[int][]string{}
	for _, h := range list {
		if len(h.Open) > 0 {
			out[h.Number] = h.Open
		}
	}
	return out
}

func (r room) approve(revision, login string) error {
	return r.Approve(r.t.Context(), 7, "acme/app", revision, login, "github/1|"+login)
}

func (r room) want(revision string, want map[int][]string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.open(revision)); diff != "" {
		r.t.Errorf("%s: %s", revision, diff)
	}
}

func TestAnApprovalHoldsForWhatItWasOf(t *testing.T) {
	r := newRoom(t)
	r.found(r.pull(1, "r1"), "scope b", "scope a", "scope b")
	r.want("r1", map[int][]string{1: {"scope a", "scope b"}})
	if err := r.approve("r1", "Ada"); !errors.Is(err, fault.Forbidden) {
		t.Errorf("who opened it approved it: %v", err)
	}
	for range 2 { // a webhook that is taken again
		if err := r.approve("r1", "grace"); err != nil {
			t.Error(err)
		}
	}
	r.want("r1", map[int][]string{})

	r.found(r.pull(1, "r2"), "scope a")
	r.want("r2", map[int][]string{})
	r.found(r.pull(1, "r3"), "scope a", "scope c")
	r.want("r3", map[int][]string{1: {"scope c"}})
	if err := r.approve("r1", "grace"); !errors.Is(err, fault.Conflict) {
		t.Errorf("an old revision was approved: %v", err)
	}
	r.found(r.pull(2, "r4"), "scope a")
	r.want("r4", map[int][]string{2: {"scope a"}})

	var told string
	err := r.pool.QueryRow(t.Context(), `SELECT string_agg(concat_ws(' ', entity_type, entity_id, client_id, action, change::text), E'\n') FROM auth_audit`).Scan(&told)
	if err != nil || strings.Count(told, "\n") != 0 || !strings.HasPrefix(told, "pull-request acme/app#1 github/1|grace new scopes approved") || !strings.Contains(told, "scope b") {
		t.Errorf("the audit log says: %s (%v)", told, err)
	}
}

func TestAnotherBaseIsAnotherApproval(t *testing.T) {
	r := newRoom(t)
	p := r.pull(1, "r1")
	r.found(p, "scope a")
	if err := r.approve("r1", "grace"); err != nil {
		t.Fatal(err)
	}
	to := func(base string) {
		t.Helper()
		if _, err := r.pool.Exec(t.Context(), `UPDATE github_pulls SET base = $1`, base); err != nil {
			t.Fatal(err)
		}
	}
	p.Base = "release"
	r.found(p, "scope a")
	r.want("r1", map[int][]string{})
	to("release")
	r.want("r1", map[int][]string{1: {"scope a"}})
	to("main")
	r.want("r1", map[int][]string{})
}

func TestWhoPushedDoesNotApprove(t *testing.T) {
	r := newRoom(t)
	p := r.pull(1, "r1")
	p.PushedBy = "grace"
	r.found(p, "scope a")
	p.PushedBy = "" // compared once more
	r.found(p, "scope a")
	if err := r.approve("r1", "Grace"); !errors.Is(err, fault.Forbidden) {
		t.Error(err)
	}
	if err := r.approve("r1", "alan"); err != nil {
		t.Error(err)
	}
}

// A pull request with nothing new must not let another one pass that has the same revision.
func TestARevisionPassesWhenAllItsPullRequestsDo(t *testing.T) {
	r := newRoom(t)
	r.found(r.pull(1, "r"), "scope a")
	r.found(r.pull(2, "r"))
	r.want("r", map[int][]string{1: {"scope a"}})
	third := r.pull(3, "r")
	third.Author = "grace"
	r.found(third, "scope b")
	if err := r.approve("r", "grace"); err != nil {
		t.Fatal(err)
	}
	r.want("r", map[int][]string{3: {"scope b"}})
	if _, err := r.pool.Exec(t.Context(), `DELETE FROM github_pulls WHERE number = 3`); err != nil { // it is closed
		t.Fatal(err)
	}
	r.want("r", map[int][]string{})
}

func TestManyGainsAreApprovedTogether(t *testing.T) {
	r := newRoom(t)
	var gains []string
	for i := range 5000 {
		gains = append(gains, fmt.Sprintf("scope %d", i))
	}
	r.found(r.pull(1, "r"), gains...)
	r.want("r", map[int][]string{1: {"5000 scopes and task queues at r"}})
}

func TestTwoApproveAtOnce(t *testing.T) {
	r := newRoom(t)
	r.found(r.pull(1, "r"), "scope a")
	var all sync.WaitGroup
	for _, who := range []string{"grace", "alan", "barbara", "edsger"} {
		all.Go(func() {
			if err := r.approve("r", who); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var n int
	if err := r.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth_audit`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestOldOnesGoUnlessACheckDependsOnThem(t *testing.T) {
	r := newRoom(t)
	r.found(r.pull(1, "closed"), "scope a")
	r.found(r.pull(2, "open"), "scope a")
	r.found(r.pull(3, "replaced"), "scope a")
	r.found(r.pull(3, "young"), "scope a")
	for _, text := range []string{
		`DELETE FROM github_pulls WHERE number = 1`, `UPDATE github_scope_gates SET updated = now() - interval '91 days' WHERE revision <> 'young'`,
	} {
		if _, err := r.pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.Prune(t.Context(), 90*24*time.Hour); n != 2 || err != nil {
		t.Error(n, err)
	}
	r.want("open", map[int][]string{2: {"scope a"}})
	r.want("young", map[int][]string{3: {"scope a"}})
}

func TestWhatACheckShows(t *testing.T) {
	base := checks.State{Status: checks.Completed, Conclusion: checks.Neutral, Title: "1 new scope", Summary: "words", DetailsURL: "https://ci.example.com/graph-diff/x"}
	held := scopegate.Held{Number: 12, Base: "main", Author: "a`b", Gains: []string{"scope ```x", "task queue p/w"}, Open: []string{"scope ```x"}, By: []string{"grace"}}
	passed := held
	passed.Open = nil
	for name, c := range map[string]struct {
		state              checks.State
		conclusion, title  string
		actions            int
		contains, lacks    string
		alsoContains, more string
	}{
		"nothing new":     {scopegate.Show(base, nil), checks.Success, "1 new scope", 0, "words", "approve", "", ""},
		"held":            {scopegate.Show(base, []scopegate.Held{held}), checks.ActionRequired, "An owner must approve: 1 new scope", 1, "**#12 brings to main", "task queue", "````diff\n- scope ```x\n````", "words"},
		"one of two":      {scopegate.Show(base, []scopegate.Held{passed, held}), checks.ActionRequired, "An owner must approve: 1 new scope", 1, "#12", "task queue", "", ""},
		"approved":        {scopegate.Show(base, []scopegate.Held{passed}), checks.Success, "Approved by grace: 1 new scope", 0, "words", "🔒", "approved by grace", ""},
		"without diff":    {scopegate.Approved(base, []scopegate.Held{passed}), checks.Success, "Approved by grace", 0, "task queue p/w", "words", "[The whole comparison](https://ci.example.com/graph-diff/x)", ""},
		"of another only": {scopegate.Approved(scopegate.Show(base, []scopegate.Held{held}), []scopegate.Held{passed, held}), checks.ActionRequired, "An owner must approve: 1 new scope", 1, "#12", "words", "", ""},
	} {
		s := c.state
		if s.Conclusion != c.conclusion || s.Title != c.title || len(s.Actions) != c.actions || strings.Contains(s.Summary, c.lacks) ||
			!strings.Contains(s.Summary, c.contains) || !strings.Contains(s.Summary, c.alsoContains) || !strings.Contains(s.Summary, c.more) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
