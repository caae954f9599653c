package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Guard names entities whose change needs a second person.
type Guard struct {
	EntityType string // such as role, client, hook, worker-pool, secret, denylist
	Pattern    string // of ids; a star stands for any text
}

func (g Guard) String() string { return g.EntityType + ":" + g.Pattern }

// guardable are the types of entities whose changes pass through Audit.
var guardable = []string{"client", "denylist", "hook", "role", "secret", "worker-pool"}

// ParseGuard reads a guard as it is configured: a type and a pattern, such as role:repo:github.com/acme/*.
func ParseGuard(text string) (Guard, error) {
	kind, pattern, ok := strings.Cut(text, ":")
	switch {
	case !ok || pattern == "":
		return Guard{}, fault.New(fault.Invalid, "%.200q names nothing: give a type and a pattern, such as role:repo:github.com/acme/*", text)
	case !slices.Contains(guardable, kind):
		return Guard{}, fault.New(fault.Invalid, "%.200q: %q is no type of entity; those are %s", text, kind, strings.Join(guardable, ", "))
	}
	return Guard{kind, pattern}, nil
}

// ParseGuards reads guards with spaces between.
func ParseGuards(text string) ([]Guard, error) {
	var list []Guard
	for _, word := range strings.Fields(text) {
		g, err := ParseGuard(word)
		if err != nil {
			return nil, fmt.Errorf("what needs two persons (TREELINE_TWO_PERSONS): %w", err)
		}
		list = append(list, g)
	}
	return list, nil
}

// Guarded is the refusal of a change that a second person has not approved. Propose keeps the change for
// that person to see.
type Guarded struct {
	EntityType, EntityID, Action, Proposer string
	Change                                 json.RawMessage
	Digest                                 []byte
}

// Error tells what is missing.
func (g *Guarded) Error() string {
	return fmt.Sprintf("The change of %s %s needs the approval of a second person. Once somebody else has approved it (Approvals), make it again.", g.EntityType, g.EntityID)
}

// Unwrap gives the refusal its meaning.
func (g *Guarded) Unwrap() error { return fault.New(fault.Conflict, "%s", g.Error()) }

// watchKey is the key of a *Watched in a context.
type watchKey struct{}

// Watched is the last change that was refused, for want of a second person, in a context.
type Watched struct {
	mu   sync.Mutex
	last *Guarded
}

// Last returns it; nil when there was none.
func (w *Watched) Last() *Guarded {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Watch returns a context in which such refusals are noted, whatever becomes of their error on its way.
func Watch(ctx context.Context) (context.Context, *Watched) {
	w := &Watched{}
	return context.WithValue(ctx, watchKey{}, w), w
}

// SetGuards makes the guards what the configuration says.
func (a *Auth) SetGuards(ctx context.Context, guards []Guard) error {
	kinds, patterns := []string{}, []string{}
	for _, g := range guards {
		kinds, patterns = append(kinds, g.EntityType), append(patterns, g.Pattern)
	}
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, dropGuardsSQL.Text, kinds, patterns); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, putGuardSQL.Text, kinds, patterns)
		return err
	})
	if err != nil {
		return fmt.Errorf("auth: set guards: %w", pg.Classify(err))
	}
	return nil
}

// Guards lists what needs a second person.
func (a *Auth) Guards(ctx context.Context) ([]Guard, error) {
	rows, err := a.pool.Query(ctx, listGuardsSQL.Text)
	if err != nil {
		return nil, fmt.Errorf("auth: guards: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Guard])
	if err != nil {
		return nil, fmt.Errorf("auth: guards: %w", pg.Classify(err))
	}
	return list, nil
}

// approval tells who approved a change that needs it, and uses that up; "" for one that needs none.
func approval(ctx context.Context, tx pgx.Tx, r Record, change json.RawMessage) (approvedBy string, err error) {
	if r.Own || change == nil && (r.Before != nil || r.After != nil) {
		return "", nil
	}
	var guarded bool
	if err := tx.QueryRow(ctx, guardedSQL.Text, r.EntityType, r.EntityID).Scan(&guarded); err != nil || !guarded {
		return "", err
	}
	digest, err := digestOf(r)
	if err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, useApprovalSQL.Text, digest, r.ClientID).Scan(&approvedBy)
	if errors.Is(err, pgx.ErrNoRows) {
		refusal := &Guarded{EntityType: r.EntityType, EntityID: r.EntityID, Action: r.Action, Proposer: r.ClientID, Change: change, Digest: digest}
		if w, ok := ctx.Value(watchKey{}).(*Watched); ok {
			w.mu.Lock()
			w.last = refusal
			w.mu.Unlock()
		}
		return "", refusal
	}
	return approvedBy, err
}

// digestOf binds an approval to the whole change: what it is done to, from what, to what.
func digestOf(r Record) ([]byte, error) {
	text, err := json.Marshal([]any{r.EntityType, r.EntityID, r.Action, r.Before, r.After})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

var (
	guardedSQL = pg.Statement{Name: "auth.guarded", Text: `
SELECT EXISTS (SELECT FROM auth_guards WHERE entity_type = $1
	AND $2 LIKE replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'))`}
	dropGuardsSQL = pg.Statement{Name: "auth.drop_guards", Text: `
DELETE FROM auth_guards WHERE (entity_type, pattern) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))`}
	putGuardSQL = pg.Statement{Name: "auth.put_guard", Text: `
INSERT INTO auth_guards (entity_type, pattern) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING`}
	listGuardsSQL  = pg.Statement{Name: "auth.list_guards", Text: `SELECT entity_type, pattern FROM auth_guards ORDER BY 1, 2`}
	useApprovalSQL = pg.Statement{Name: "auth.use_approval", Text: `
UPDATE auth_approvals SET state = 'used' WHERE digest = $1 AND proposer = $2 AND state = 'approved' AND expires > now() RETURNING decided_by`}
)
