package actions

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// Times of hooks: for how long those stay that nobody uses, by default.
const (
	KeepHooks = 60 * 24 * time.Hour // for which they stay unused, since a decision asked for them or somebody used them (taskgraph-map 18.6)
	freshHook = 24 * time.Hour      // for which it is taken that a hook is as it should be
)

const actor = "static/treeline"

// ensure makes the hooks of actions what they must be, or refuses them. Without a push or a job that the
// server knows of there is nothing to be sure of, so hooks made by an operator are used as they are.
func (a *Actions) ensure(ctx context.Context, g *group, entries []action.Entry) error {
	o, err := a.Intake.Occasion(ctx, g.id)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	source := []byte(nil)
	for _, e := range entries {
		if err := checkPayload(o, g, e); err != nil {
			return err
		}
		if err := hookFor(o, e).CheckName(e); err != nil {
			return fault.New(fault.Forbidden, "%s", sentence(err))
		}
		known, err := a.fresh(ctx, e, o.Repository.Name)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if source == nil {
			if source, err = a.source(ctx, o); err != nil {
				return err
			}
		}
		if err := a.make(ctx, g, e, o, source); err != nil {
			return err
		}
	}
	return nil
}

// checkPayload refuses an entry that would act for another push than the group's.
func checkPayload(o intake.Occasion, g *group, e action.Entry) error {
	decision, _ := member(e.HookPayload, "decision")
	repository, _ := member(decision, "repository")
	push, _ := member(decision, "push")
	act, _ := member(decision, "action")
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"repository", repository["url"], o.HeadURL()}, {"base repository", repository["base_url"], o.BaseURL()}, {"revision", push["revision"], o.Push.Revision}, {"task group", act["taskGroupId"], g.id},
	} {
		if c.got != c.want {
			return fault.New(fault.Forbidden, "The action %s of decision task %s speaks of the %s %v, but the push is of %v. It was not made by Treeline, or not for this push.", e.Name, g.id, c.what, c.got, c.want)
		}
	}
	return nil
}

// hookFor is what the hook of an entry stands for.
func hookFor(o intake.Occasion, e action.Entry) action.HookFor {
	return action.HookFor{Permission: e.Extra.Permission, Level: o.Level(), PullRequest: o.PullRequest()}
}

// source is the .taskcluster.yml that a hook's task is made of. That of a pull request counts only while
// it is what the branch has: else whoever opens one would say what runs with the rights of the hook.
func (a *Actions) source(ctx context.Context, o intake.Occasion) ([]byte, error) {
	source, err := a.config(ctx, o, o.Push.Revision)
	if err != nil || !o.PullRequest() {
		return source, err
	}
	base, err := a.config(ctx, o, o.Push.Base)
	if err == nil && sha256.Sum256(base) != sha256.Sum256(source) {
		err = fault.New(fault.Forbidden, "The pull request changes .taskcluster.yml: its actions can be started when it is merged.")
	}
	return source, err
}

func (a *Actions) config(ctx context.Context, o intake.Occasion, revision string) ([]byte, error) {
	if revision == "" {
		return nil, fault.New(fault.Forbidden, "It is not known which revision the change is based on, so its actions cannot be trusted.")
	}
	tree, err := a.Intake.At(ctx, o.Repository, revision)
	if err != nil {
		if wrong := intake.MistakeOf(err); wrong != nil {
			return nil, fault.Wrap(fault.NotFound, err, "%s", wrong.Message)
		}
		return nil, err
	}
	source, err := tree.ReadFile(".taskcluster.yml")
	if err != nil {
		return nil, fmt.Errorf("actions: .taskcluster.yml of %s at %s: %w", o.Repository.Name, revision, err)
	}
	return source, nil
}

// fresh reports whether the hook was made for the repository lately.
func (a *Actions) fresh(ctx context.Context, e action.Entry, repository string) (bool, error) {
	var known bool
	err := a.Pool.QueryRow(ctx, freshSQL.Text, e.HookGroupID, e.HookID, repository, freshHook).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("actions: hook %s/%s: %w", e.HookGroupID, e.HookID, pg.Classify(err))
	}
	if !known {
		return false, nil
	}
	_, err = a.Hooks.Get(ctx, e.HookGroupID, e.HookID)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// make makes one hook and its role.
func (a *Actions) make(ctx context.Context, g *group, e action.Entry, o intake.Occasion, source []byte) error {
	h := hookFor(o, e)
	h.TaskclusterYML, h.RootURL = source, a.RootURL
	if err := h.Check(e); err != nil {
		return fault.New(fault.Forbidden, "%s", sentence(err))
	}
	if !g.scopes.Has(e.Scope()) {
		return fault.New(fault.Forbidden, "The decision task %s does not hold %s.", g.id, e.Scope())
	}
	a.making.Lock()
	defer a.making.Unlock()
	return pg.Tx(ctx, a.Pool, func(ctx context.Context, tx pgx.Tx) error {
		// Repositories that share a hook make it one after the other.
		if _, err := tx.Exec(ctx, lockHookSQL.Text, e.HookGroupID+"/"+e.HookID); err != nil {
			return err
		}
		sum := sha256.Sum256(source)
		tag, err := tx.Exec(ctx, useHookSQL.Text, e.HookGroupID, e.HookID, o.Repository.Name, sum[:], o.BaseURL())
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fault.New(fault.Conflict, "The hook %s/%s stands for another text of .taskcluster.yml whose digest begins alike. Change the file in some way.", e.HookGroupID, e.HookID)
		}
		return a.write(ctx, tx, e, h)
	})
}

// write makes the hook and the role for all repositories that have a row.
func (a *Actions) write(ctx context.Context, tx pgx.Tx, e action.Entry, h action.HookFor) error {
	rows, err := tx.Query(ctx, sharersSQL.Text, e.HookGroupID, e.HookID)
	if err != nil {
		return err
	}
	type sharer struct{ Name, URL string }
	sharers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sharer])
	if err != nil {
		return err
	}
	var names []string
	for _, s := range sharers {
		r, err := a.Intake.Push.Repository(ctx, s.Name)
		if errors.Is(err, fault.NotFound) || err == nil && r.Level < h.Level {
			continue // it is no longer what it was
		}
		if err != nil {
			return err
		}
		names = append(names, s.Name)
		h.Repositories = append(h.Repositories, action.HookRepository{URL: s.URL, Project: r.Name, Role: intake.Role(r), Type: intake.RepositoryType(r)})
	}
	task, err := h.Task()
	if err != nil {
		return fault.New(fault.Invalid, "%s", sentence(err))
	}
	hook := hooks.Hook{Group: e.HookGroupID, ID: e.HookID, Metadata: hooks.Metadata{
		Name:        fmt.Sprintf("Actions with permission %s at level %d", h.Permission, h.Level),
		Description: "Made by Treeline of a tree's .taskcluster.yml: it starts the actions of " + strings.Join(names, ", ") + ". Do not change it; it is made anew.",
		Owner:       "treeline@localhost",
	}}
	if hook.Task, err = json.Marshal(task); err == nil {
		hook.TriggerSchema, err = json.Marshal(h.TriggerSchema())
	}
	if err != nil {
		return fmt.Errorf("actions: hook %s/%s: %w", e.HookGroupID, e.HookID, err)
	}
	// The role first: a hook never runs without it.
	if err := a.Auth.EnsureRole(ctx, roleOf(e.HookGroupID, e.HookID), h.Scopes(), "What the actions of "+strings.Join(names, ", ")+" run with. Made by Treeline."); err != nil {
		return err
	}
	return a.Hooks.Ensure(ctx, actor, hook)
}

func roleOf(group, id string) string { return "hook-id:" + group + "/" + id }

var (
	freshSQL = pg.Statement{Name: "actions.fresh-hook", Text: `
SELECT EXISTS (SELECT FROM action_hooks WHERE hook_group_id = $1 AND hook_id = $2 AND repository = $3 AND used > now() - $4::interval)`}

	lockHookSQL = pg.Statement{Name: "actions.lock-hook", Text: `SELECT pg_advisory_xact_lock(hashtextextended($1, 23))`}

	useHookSQL = pg.Statement{Name: "actions.use-hook", Text: `
INSERT INTO action_hooks (hook_group_id, hook_id, repository, digest, url)
SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM action_hooks WHERE hook_group_id = $1 AND hook_id = $2 AND digest <> $4)
ON CONFLICT (hook_group_id, hook_id, repository) DO UPDATE SET used = now(), url = EXCLUDED.url`}

	sharersSQL = pg.Statement{Name: "actions.sharers", Text: `
SELECT repository, url FROM action_hooks WHERE hook_group_id = $1 AND hook_id = $2 ORDER BY repository`}
)
