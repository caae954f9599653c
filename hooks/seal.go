package hooks

import (
	"fmt"

	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Column is a column of secrets. What is sealed for one does not open in the other.
type Column string

// The secrets of a hook's row.
const (
	TokenColumn Column = "token" // with which triggerHookWithToken fires it
	TaskColumn  Column = "task"  // the id of the next scheduled task: who knew it could make another one of that id before
)

// bound is what a hook's sealed value is bound to.
func (c Column) bound(group, id string) []byte {
	return fmt.Appendf(nil, "hook %s %s/%s", string(c), group, id)
}

func (h *Hooks) seal(c Column, group, id, secret string) ([]byte, error) {
	return h.Ring.Seal([]byte(secret), c.bound(group, id))
}

func (h *Hooks) open(c Column, group, id string, sealed []byte) (string, error) {
	secret, err := h.Ring.Open(sealed, c.bound(group, id))
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the stored %s of hook %s/%s cannot be opened; is the encryption key the one it was stored with?", c, group, id)
	}
	return string(secret), nil
}

// Sealed is a column of hooks, for who changes the encryption key. A scheduled fire that runs just then
// is begun again and finds its task.
func Sealed(c Column) reseal.Table {
	t := reseal.Table{
		Name: "hooks (trigger tokens)", Columns: 2, Page: tokensSQL, Swap: swapTokenSQL,
		Context: func(key []string) []byte { return c.bound(key[0], key[1]) },
	}
	if c == TaskColumn {
		t.Name, t.Page, t.Swap = "hooks (next tasks)", nextTasksSQL, swapNextTaskSQL
	}
	return t
}

var (
	tokensSQL = pg.Statement{Name: "hooks.sealed_tokens", Text: `
SELECT ARRAY[hook_group_id, hook_id], sealed_trigger_token FROM hook_definitions
WHERE (hook_group_id, hook_id) > (($1::text[])[1], ($1::text[])[2]) ORDER BY hook_group_id, hook_id LIMIT $2`}
	swapTokenSQL = pg.Statement{Name: "hooks.swap_token", Text: `
UPDATE hook_definitions SET sealed_trigger_token = $3 WHERE hook_group_id = ($1::text[])[1] AND hook_id = ($1::text[])[2] AND sealed_trigger_token = $2`}
	nextTasksSQL = pg.Statement{Name: "hooks.sealed_tasks", Text: `
SELECT ARRAY[hook_group_id, hook_id], sealed_next_task_id FROM hook_definitions
WHERE (hook_group_id, hook_id) > (($1::text[])[1], ($1::text[])[2]) ORDER BY hook_group_id, hook_id LIMIT $2`}
	swapNextTaskSQL = pg.Statement{Name: "hooks.swap_task", Text: `
UPDATE hook_definitions SET sealed_next_task_id = $3 WHERE hook_group_id = ($1::text[])[1] AND hook_id = ($1::text[])[2] AND sealed_next_task_id = $2`}
)
