package hooks

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// row is a hook as it is stored.
type row struct {
	Hook
	sealedToken, sealedTaskID []byte
	next, due                 *time.Time
	failures                  int
	bound                     time.Time
	bindingError              string
	paused                    *time.Time
	pausedBy                  string
	now                       time.Time // of the database, when it was read
}

const rowColumns = `hook_group_id, hook_id, metadata, schedule, bindings, task, trigger_schema, sealed_trigger_token, sealed_next_task_id,
	next_date, due, failures, bound, binding_error, paused, paused_by, clock_timestamp()`

func scanRow(from pgx.CollectableRow) (row, error) {
	var r row
	var metadata, bindings []byte
	err := from.Scan(&r.Group, &r.ID, &metadata, &r.Schedule, &bindings, (*[]byte)(&r.Task), (*[]byte)(&r.TriggerSchema), &r.sealedToken, &r.sealedTaskID,
		&r.next, &r.due, &r.failures, &r.bound, &r.bindingError, &r.paused, &r.pausedBy, &r.now)
	if err == nil {
		err = json.Unmarshal(metadata, &r.Metadata)
	}
	if err == nil {
		err = json.Unmarshal(bindings, &r.Bindings)
	}
	return r, err
}

func (h *Hooks) get(ctx context.Context, group, id string) (row, error) {
	rows, err := h.Pool.Query(ctx, getSQL.Text, group, id)
	if err != nil {
		return row{}, failed("read "+group+"/"+id, err)
	}
	list, err := pgx.CollectRows(rows, scanRow)
	if err != nil {
		return row{}, failed("read "+group+"/"+id, err)
	}
	if len(list) == 0 {
		return row{}, notFound(group, id)
	}
	return list[0], nil
}

// Get returns a hook; a fault.NotFound when there is none.
func (h *Hooks) Get(ctx context.Context, group, id string) (Hook, error) {
	r, err := h.get(ctx, group, id)
	return r.Hook, err
}

// List returns the hooks of a group by id; a fault.NotFound when it has none.
func (h *Hooks) List(ctx context.Context, group string) ([]Hook, error) {
	rows, err := h.Pool.Query(ctx, listSQL.Text, group)
	if err != nil {
		return nil, failed("list "+group, err)
	}
	list, err := pgx.CollectRows(rows, scanRow)
	if err != nil {
		return nil, failed("list "+group, err)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "There is no hook group %s.", group)
	}
	hooks := make([]Hook, len(list))
	for i, r := range list {
		hooks[i] = r.Hook
	}
	return hooks, nil
}

// Groups returns the groups that have hooks, by name.
func (h *Hooks) Groups(ctx context.Context) ([]string, error) {
	rows, err := h.Pool.Query(ctx, groupsSQL.Text)
	if err != nil {
		return nil, failed("list groups", err)
	}
	groups, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return groups, failed("list groups", err)
}

// Status is how a hook stands.
type Status struct {
	Hook
	Next         time.Time  // of the schedule; zero: never
	Due          time.Time  // when it is fired or tried again; later than Next after failures
	Failures     int        // in a row, of fires that nobody called for
	BindingError string     // why messages of an exchange do not come
	Paused       *time.Time // since when it fires only when called for; nil: it is not paused
	PausedBy     string
	Last         *LastFire
}

// Failing tells whether the hook's last fire went wrong.
func (s *Status) Failing() bool { return s.Last != nil && s.Last.Error != "" }

// Status returns how a hook stands; a fault.NotFound when there is none.
func (h *Hooks) Status(ctx context.Context, group, id string) (Status, error) {
	r, err := h.get(ctx, group, id)
	if err != nil {
		return Status{}, err
	}
	s := Status{Hook: r.Hook, Failures: r.failures, BindingError: r.bindingError, Paused: r.paused, PausedBy: r.pausedBy}
	if r.next != nil {
		s.Next, s.Due = r.next.UTC(), r.due.UTC()
	}
	fires, err := h.fires(ctx, group, id, Mark{}, 1)
	if len(fires) > 0 {
		s.Last = &fires[0]
	}
	return s, err
}

// Line is a hook in an overview.
type Line struct {
	Group, ID, Name string
	Schedule        []string
	Bindings        int
	Next            *time.Time
	Failures        int
	Last            *time.Time
	LastError       string // begins with the reason; cut off
	LastTaskID      string
	BindingError    string
	Paused          *time.Time
}

// Overview returns up to limit hooks by group and id, after the given hook ("", "" from the first on).
func (h *Hooks) Overview(ctx context.Context, group, id string, limit int) ([]Line, error) {
	rows, err := h.Pool.Query(ctx, overviewSQL.Text, group, id, limit)
	if err != nil {
		return nil, failed("overview", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Line])
	return list, failed("overview", err)
}

// Token returns the secret with which triggerHookWithToken fires a hook.
func (h *Hooks) Token(ctx context.Context, group, id string) (string, error) {
	r, err := h.get(ctx, group, id)
	if err != nil {
		return "", err
	}
	return h.open(TokenColumn, group, id, r.sealedToken)
}

// ResetToken gives a hook another token and returns it; the old one is worth nothing from then.
func (h *Hooks) ResetToken(ctx context.Context, actor, group, id string) (string, error) {
	token := slug.New()
	sealed, err := h.seal(TokenColumn, group, id, token)
	if err != nil {
		return "", failed("reset token", err)
	}
	err = pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, resetTokenSQL.Text, group, id, sealed)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return notFound(group, id)
		}
		if h.Audit == nil {
			return nil
		}
		return h.Audit(ctx, tx, Deed{Actor: actor, Hook: group + "/" + id, Action: "trigger token reset"})
	})
	if err != nil {
		return "", failed("reset token of "+group+"/"+id, err)
	}
	return token, nil
}

// CheckToken returns a fault.Unauthenticated for a token that is not the hook's, and a fault.NotFound
// for a hook that does not exist.
func (h *Hooks) CheckToken(ctx context.Context, group, id, token string) error {
	want, err := h.Token(ctx, group, id)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(token)) != 1 {
		return fault.New(fault.Unauthenticated, "The token is not that of hook %s/%s.", group, id)
	}
	return nil
}

var (
	getSQL    = pg.Statement{Name: "hooks.get", Text: `SELECT ` + rowColumns + ` FROM hook_definitions WHERE hook_group_id = $1 AND hook_id = $2`}
	lockSQL   = pg.Statement{Name: "hooks.lock", Text: getSQL.Text + ` FOR UPDATE`}
	listSQL   = pg.Statement{Name: "hooks.list", Text: `SELECT ` + rowColumns + ` FROM hook_definitions WHERE hook_group_id = $1 ORDER BY hook_id`}
	groupsSQL = pg.Statement{Name: "hooks.groups", Text: `SELECT DISTINCT hook_group_id FROM hook_definitions ORDER BY 1`}

	resetTokenSQL = pg.Statement{Name: "hooks.reset_token", Text: `
UPDATE hook_definitions SET sealed_trigger_token = $3, modified = now() WHERE hook_group_id = $1 AND hook_id = $2`}

	overviewSQL = pg.Statement{Name: "hooks.overview", Text: `
SELECT d.hook_group_id, d.hook_id, d.metadata->>'name', d.schedule, jsonb_array_length(d.bindings), d.next_date, d.failures,
	last.fired, coalesce(left(last.error, 300), ''), coalesce(last.task_id, ''), d.binding_error, d.paused
FROM hook_definitions d LEFT JOIN LATERAL (
	SELECT fired, error, task_id FROM hook_fires f
	WHERE f.hook_group_id = d.hook_group_id AND f.hook_id = d.hook_id ORDER BY fired DESC, task_id DESC LIMIT 1) last ON true
WHERE (d.hook_group_id, d.hook_id) > ($1, $2) ORDER BY d.hook_group_id, d.hook_id LIMIT $3`}
)
