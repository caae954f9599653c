package taskgraph

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxDependencies is how many dependencies a task may have.
const MaxDependencies = 9999

// verification checks one task; it may remember earlier ones, which come in sorted order.
type verification func(t *graph.Task) error

// verifyFull checks the graph of all tasks (taskgraph-map 16). All faults are told together.
func (g *generation) verifyFull() error {
	if g.in.NoVerify {
		return nil
	}
	err := verify(g.res.Full, []verification{
		uniqueSymbols(g.res.Full.Len()), g.uniqueRoutes(), g.notifications, namespaces, g.tiers(), uniqueAliases(), g.caches(), identifiers, countDependencies,
	})
	if err == nil && g.in.Strict {
		err = g.warn.asError()
	}
	return err
}

// verifyOptimized checks the graph that optimization left.
func (g *generation) verifyOptimized() error {
	if g.in.NoVerify {
		return nil
	}
	return verify(g.res.Optimized, []verification{func(t *graph.Task) error {
		if t.Definition["workerType"] == "always-optimized" {
			return faultOf(t, "%s", unreplaced(t))
		}
		return nil
	}})
}

// unreplaced says why a task that only stands for others is still there, and what to do.
func unreplaced(t *graph.Task) string {
	const cannot = "no task was found to take its place, and it cannot run itself"
	paths, ok := value.Strings(t.Optimization["index-search"])
	if !ok || len(paths) == 0 {
		return cannot + ": give it the optimization index-search with the paths to look at"
	}
	return fmt.Sprintf("%s: the index has no task that is not failed and lives long enough at %s", cannot, strings.Join(paths, ", "))
}

// maxFaults are told of one graph.
const maxFaults = 50

// verify runs all checks on all tasks, some checks beside others. Faults are in the order of tasks,
// and of checks for one task.
func verify(full *graph.Graph, checks []verification) error {
	type fault struct {
		task, check int
		err         error
	}
	groups := min(runtime.GOMAXPROCS(0), len(checks))
	found := make([][]fault, groups)
	var wg sync.WaitGroup
	for group := range groups {
		wg.Go(func() {
			at := 0
			for _, t := range full.All() {
				for check := group; check < len(checks); check += groups {
					if err := checks[check](t); err != nil {
						found[group] = append(found[group], fault{at, check, err})
					}
				}
				if at++; len(found[group]) > maxFaults {
					return
				}
			}
		})
	}
	wg.Wait()
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b fault) int { return cmp.Or(a.task-b.task, a.check-b.check) })
	var errs []error
	for i, f := range all {
		if len(errs) > maxFaults && f.task != all[i-1].task {
			break
		}
		errs = append(errs, f.err)
	}
	return errors.Join(errs...)
}

func faultOf(t *graph.Task, format string, args ...any) error {
	return &graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label, Message: fmt.Sprintf(format, args...)}
}

func treeherderOf(t *graph.Task) map[string]any {
	return value.Map(value.Map(t.Definition, "extra"), "treeherder")
}

// uniqueSymbols: no two tasks may look the same on Treeherder.
func uniqueSymbols(tasks int) verification {
	seen := make(map[[4]string]*graph.Task, tasks)
	return func(t *graph.Task) error {
		th := treeherderOf(t)
		if th == nil {
			return nil
		}
		collections := value.Map(th, "collection")
		if len(collections) != 1 {
			return faultOf(t, "must be in one Treeherder collection (what stands behind the slash of the platform), not %d", len(collections))
		}
		collection := ""
		for collection = range collections {
		}
		group, symbol := value.String(th, "groupSymbol"), value.String(th, "symbol")
		platform := value.String(value.Map(th, "machine"), "platform")
		key := [4]string{platform, collection, group, symbol}
		if other, ok := seen[key]; ok {
			return faultOf(t, "has the Treeherder platform and symbol of %s: %s/%s %s(%s)", other.Label, platform, collection, group, symbol)
		}
		seen[key] = t
		return nil
	}
}

// routesOf yields the task's routes.
func routesOf(t *graph.Task) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range value.List(t.Definition, "routes") {
			if r, ok := v.(string); ok && !yield(r) {
				return
			}
		}
	}
}

// uniqueRoutes: no two tasks may be indexed at one place of the tree's own.
func (g *generation) uniqueRoutes() verification {
	prefix := "index." + g.res.Config.TrustDomain() + ".v2"
	seen := map[string]string{}
	return func(t *graph.Task) error {
		for r := range routesOf(t) {
			if !strings.HasPrefix(r, prefix) {
				continue
			}
			if other, ok := seen[r]; ok {
				return faultOf(t, "has the route of %s: %s", other, r)
			}
			seen[r] = t.Label
		}
		return nil
	}
}

var namespace = regexp.MustCompile(`^([a-zA-Z0-9_!~*'()%-]+\.)*[a-zA-Z0-9_!~*'()%-]+$`)

func notifyFilters() []string {
	return []string{"on-any", "on-completed", "on-defined", "on-failed", "on-exception", "on-pending", "on-resolved", "on-running", "on-transition"}
}

// namespaces: index routes must be places that the index has.
func namespaces(t *graph.Task) error {
	for r := range routesOf(t) {
		if name, ok := strings.CutPrefix(r, "index."); ok && !namespace.MatchString(name) {
			return faultOf(t, "has the index route %q, which is no namespace: names of letters, digits and _!~*'()%%- with dots between", r)
		}
	}
	return nil
}

// notifications: notify routes end in a known filter.
func (g *generation) notifications(t *graph.Task) error {
	for r := range routesOf(t) {
		if !strings.HasPrefix(r, "notify.") {
			continue
		}
		filter := r[strings.LastIndexByte(r, '.')+1:]
		if !slices.Contains(notifyFilters(), filter) {
			message := fmt.Sprintf("has the route %q, whose end is no filter of notifications; known are %s", r, strings.Join(notifyFilters(), ", "))
			if near := graph.Nearest(filter, notifyFilters()); near != "" {
				message += fmt.Sprintf("; is %q meant?", near)
			}
			return faultOf(t, "%s", message)
		}
		if filter == "on-any" {
			g.warn.add(&graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label,
				Message: fmt.Sprintf("has the route %q; on-any is deprecated: say on-transition or on-resolved", r)})
		}
	}
	return nil
}

// tier is the task's Treeherder tier; one without is beyond all tiers.
func tier(t *graph.Task) int64 {
	if n, ok := treeherderOf(t)["tier"].(int64); ok {
		return n
	}
	return math.MaxInt64
}

// tiers: a task must not depend on one that is watched less.
func (g *generation) tiers() verification {
	show := func(n int64) string {
		if n == math.MaxInt64 {
			return "no tier"
		}
		return fmt.Sprintf("tier %d", n)
	}
	return func(t *graph.Task) error {
		own := tier(t)
		if own == math.MaxInt64 {
			return nil
		}
		for d := range g.res.Full.TasksNeeded(t.Label) {
			if d.Definition["workerType"] == "always-optimized" || strings.Contains(d.Kind, "dummy") {
				continue
			}
			if n := tier(d); own < n {
				return faultOf(t, "(%s) cannot depend on %s (%s): give that one a tier of at most %d", show(own), d.Label, show(n), own)
			}
		}
		return nil
	}
}

// uniqueAliases: no two toolchains may have one alias.
func uniqueAliases() verification {
	seen := map[string]string{}
	return func(t *graph.Task) error {
		v := t.Attributes["toolchain-alias"]
		aliases, _ := value.Strings(v)
		if text, ok := v.(string); ok && text != "" {
			aliases = []string{text}
		}
		for _, a := range aliases {
			if other, ok := seen[a]; ok {
				return faultOf(t, "has the toolchain-alias %q of %s", a, other)
			}
			seen[a] = t.Label
		}
		return nil
	}
}

// caches: names must say trust domain and level; those of checkouts belong to run-task.
func (g *generation) caches() verification {
	prefix := g.res.Config.TrustDomain() + "-level-" + g.in.Parameters.String("level") + "-"
	hash, hashErr := g.shared().ScriptHash("run-task")
	var fine map[string]any // the caches checked last: many tasks share them
	return func(t *graph.Task) error {
		payload := value.Map(t.Definition, "payload")
		names := value.Map(payload, "cache")
		if r, ok := names["task-reference"].(map[string]any); ok {
			names = r
		}
		if value.Same(names, fine) && usesRunTask(payload) {
			return nil
		}
		for _, cache := range slices.Sorted(maps.Keys(names)) {
			name, ok := strings.CutPrefix(cache, prefix)
			if !ok {
				return faultOf(t, "uses the cache %q; the names of its trust domain and level start with %q", cache, prefix)
			}
			if !strings.HasPrefix(name, "checkouts") && !strings.HasPrefix(name, "tooltool-cache") {
				continue
			}
			if !usesRunTask(payload) {
				return faultOf(t, "uses the cache %q, which is run-task's own; use run-task or another name", cache)
			}
			if hashErr != nil {
				return hashErr
			}
			if !strings.Contains(name, hash[:20]) {
				return faultOf(t, "uses the cache %q, whose name does not change with run-task's content", cache)
			}
		}
		fine = names
		return nil
	}
}

func usesRunTask(payload map[string]any) bool {
	command := value.List(payload, "command")
	if len(command) == 0 {
		return false
	}
	first, _ := command[0].(string)
	return strings.HasPrefix(path.Base(first), "run-task")
}

// isIdentifier reports whether s is 1 to 38 letters, digits, _ or -.
func isIdentifier(s string) bool {
	if s == "" || len(s) > 38 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// identifiers: provisioner and worker type must be names that the queue takes.
func identifiers(t *graph.Task) error {
	for _, key := range [...]string{"workerType", "provisionerId"} {
		s, _ := t.Definition[key].(string)
		if !isIdentifier(s) {
			return faultOf(t, "has the %s %q; it must be 1 to 38 letters, digits, _ or -", key, s)
		}
	}
	return nil
}

func countDependencies(t *graph.Task) error {
	if n := len(t.Dependencies) + len(t.IfDependencies) + len(t.SoftDependencies); n > MaxDependencies {
		return faultOf(t, "has %d dependencies; the limit is %d", n, MaxDependencies)
	}
	return nil
}
