package mounts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/payload"
)

// Bind takes caches for a sandbox that sees them at places of its own; caches is the place of each by its name.
// Release must be called in any case, when nothing of the task runs any more.
func (c *Caches) Bind(ctx context.Context, env Env, caches map[string]string) (*Mounted, []engine.Bind, error) {
	m := &Mounted{caches: c}
	names := slices.Sorted(maps.Keys(caches))
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(caches[a], caches[b]) }) // parents first
	list := make([]payload.Mount, 0, len(names))
	for _, name := range names {
		list = append(list, payload.Mount{Directory: caches[name], CacheName: name, Scope: "docker-worker:cache:" + name})
	}
	if err := authorize(ctx, env, list); err != nil {
		return m, nil, err
	}
	purges, err := ask(ctx, env, list)
	if err != nil {
		return m, nil, err
	}
	var binds []engine.Bind
	for _, want := range list {
		h, err := c.take(env, want.CacheName, want.Directory, purges.of(want.CacheName))
		if err != nil {
			return m, nil, fmt.Errorf("cache %s: %w", want.CacheName, err)
		}
		h.bound = true
		m.held = append(m.held, h)
		// Whom the image runs its commands as is its own affair; nobody but the sandbox comes this way.
		if err := os.Chmod(h.path, 0o777); err != nil {
			return m, nil, fmt.Errorf("cache %s: %w", want.CacheName, err)
		}
		env.Say("Mounted cache %s (%s) at %s", want.CacheName, h.age(), want.Directory)
		binds = append(binds, engine.Bind{Host: h.path, Place: want.Directory})
	}
	return m, binds, nil
}

// Names are those of the caches that the run has.
func (m *Mounted) Names() []string {
	var out []string
	for _, h := range m.held {
		out = append(out, h.name)
	}
	return out
}

// take takes a cache for a task and makes it the property of the task's user.
func (c *Caches) take(env Env, name, directory string, w wish) (*held, error) {
	h, dropped, err := c.acquire(name, env.Task.SchedulerID, directory, w)
	if dropped > 0 {
		env.Say("Dropped cache %s (%d), as was asked for at %s", name, dropped, w.before.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return nil, err
	}
	if err := own(h.path, env.User); err != nil {
		return nil, fmt.Errorf("give cache %s to the task's user: %w", name, errors.Join(err, c.giveBack(h, true)))
	}
	return h, nil
}
