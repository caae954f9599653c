package mounts

import (
	"context"
	"errors"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/payload"
)

// wish is what is known of wishes to drop the caches of a name (taskcluster-map 10). All moments are
// by the server's clock; the worker's own does not matter.
type wish struct {
	before  time.Time // caches that were made before it, or not under it, are dropped; zero without one
	unknown bool      // the server could not be asked
}

// wishes are those of a worker's pool.
type wishes struct {
	before  map[string]time.Time // by the name of the cache
	unknown bool
}

func (w wishes) of(name string) wish { return wish{w.before[name], w.unknown} }

// ask finds out which caches are to be dropped, if the run uses any. A server that does not tell this
// worker is taken for one without wishes; one that cannot be reached, for one that may have any.
func ask(ctx context.Context, env Env, list []payload.Mount) (wishes, error) {
	caches := false
	for _, m := range list {
		caches = caches || m.CacheName != ""
	}
	if !caches || env.Purges == nil {
		return wishes{}, nil
	}
	requests, err := env.Purges(ctx)
	switch {
	case err == nil:
		return newest(requests), nil
	case ctx.Err() != nil:
		return wishes{}, err
	case errors.Is(err, fault.Forbidden), errors.Is(err, fault.Unauthenticated), errors.Is(err, fault.NotFound):
		env.Say("Whether caches are to be dropped is not known: the server does not tell this worker (%v).", fault.KindOf(err))
		return wishes{}, nil
	}
	env.Say("Whether caches are to be dropped cannot be asked now, so new ones are used.")
	return wishes{unknown: true}, nil
}

func newest(requests []client.PurgeRequest) wishes {
	w := wishes{before: map[string]time.Time{}}
	for _, r := range requests {
		if r.Before.After(w.before[r.CacheName]) {
			w.before[r.CacheName] = r.Before.Time
		}
	}
	return w
}
