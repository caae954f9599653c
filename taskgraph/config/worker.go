package config

import (
	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Worker is what an alias of workers.aliases stands for.
type Worker struct {
	Provisioner, WorkerType string
	// Implementation names the payload builder, OS the workers' system ("" for none).
	Implementation, OS string
}

// builtin are the aliases that exist without configuration and win over it.
func builtin(alias string) (Worker, bool) {
	switch alias {
	case "always-optimized":
		return Worker{Provisioner: "invalid", WorkerType: alias, Implementation: alias}, true
	case "succeed":
		return Worker{Provisioner: "built-in", WorkerType: alias, Implementation: alias}, true
	}
	return Worker{}, false
}

type workerKey struct{ alias, level string }

type workerAnswer struct {
	worker Worker
	err    error
}

// Worker resolves an alias for a level. Aliases are expressions: the alias "b-mac.*" serves
// "b-mac-x" (taskgraph-map 2.1). The error is a *graph.Error that points at the aliases.
func (g *GraphConfig) Worker(alias, level string) (Worker, error) {
	if w, ok := builtin(alias); ok {
		return w, nil
	}
	key := workerKey{alias, level}
	if v, ok := g.workers.Load(key); ok {
		a := v.(workerAnswer)
		return a.worker, a.err
	}
	w, err := g.resolveWorker(alias, level)
	g.workers.Store(key, workerAnswer{w, err})
	return w, err
}

func (g *GraphConfig) resolveWorker(alias, level string) (Worker, error) {
	at := []string{"workers", "aliases"}
	aliases, _ := value.Get(g.Values, "workers.aliases")
	v, err := g.resolver.Evaluate(map[string]any{"by-worker-type": aliases}, "the worker type "+alias, value.NameMap{"worker-type": alias}, keyedby.Options{})
	if err != nil {
		return Worker{}, g.errorf(at, "%v", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return Worker{}, g.errorf(at, "the worker type %q stands for %s, not a mapping", alias, value.Kind(v))
	}
	names := value.NameMap{"alias": alias, "level": level, "trust-domain": g.TrustDomain()}
	w := Worker{Implementation: value.String(m, "implementation"), OS: value.String(m, "os")}
	for key, field := range map[string]*string{"provisioner": &w.Provisioner, "worker-type": &w.WorkerType} {
		v, err := g.resolver.Evaluate(m[key], key+" of the worker type "+alias, value.NameMap{"level": level}, keyedby.Options{})
		if err != nil {
			return Worker{}, g.errorf(at, "%v", err)
		}
		text, ok := v.(string)
		if !ok {
			return Worker{}, g.errorf(at, "%s of the worker type %q must be a string, not %s", key, alias, value.Kind(v))
		}
		if *field, err = value.Format(text, names); err != nil {
			return Worker{}, g.errorf(at, "%s of the worker type %q: %v", key, alias, err)
		}
	}
	return w, nil
}
