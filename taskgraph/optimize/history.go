package optimize

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// pastRule is a strategy that decides from the history of the project (docs/explanation/history.md).
type pastRule struct {
	stays
	name string
	// defaults are the keys that the argument may have, with what they are when left out: int64 or
	// float64, which its values must be, too. first is the key of an argument that is a bare number.
	defaults map[string]any
	first    string
	// decide answers whether t runs; it is asked only where there is a history, with every key set.
	decide func(env *Env, past *history.Table, t *graph.Task, arg settings) (history.Answer, error)
	// leaves turns the answer around: it says whether t is left out.
	leaves bool
}

// settings are an argument with its defaults.
type settings map[string]any

func (s settings) count(key string) int { return int(s[key].(int64)) }

func (s settings) age(key string) time.Duration { return time.Duration(s[key].(int64)) * time.Minute }

// pastRules are the strategies that look at the history, by name.
func pastRules() map[string]Strategy {
	interval := pastRule{name: "skip-unless-push-interval", first: "pushes", defaults: settings{"pushes": int64(10)},
		decide: func(_ *Env, past *history.Table, _ *graph.Task, arg settings) (history.Answer, error) {
			return past.Interval(arg.count("pushes")), nil
		}}
	backstop := pastRule{name: "skip-unless-backstop", first: "pushes", defaults: settings{"pushes": int64(20), "minutes": int64(240)},
		decide: func(env *Env, past *history.Table, _ *graph.Task, arg settings) (history.Answer, error) {
			return past.Backstop(arg.count("pushes"), arg.age("minutes")), nil
		}}
	expanded := pastRule{name: "skip-unless-expanded", first: "pushes", defaults: backstop.defaults,
		decide: func(_ *Env, past *history.Table, _ *graph.Task, arg settings) (history.Answer, error) {
			if a := past.Interval(max(arg.count("pushes")/2, 1)); a.Yes {
				return a, nil
			}
			return past.Backstop(arg.count("pushes"), arg.age("minutes")), nil
		}}
	bucket := pastRule{name: "skip-unless-bucket", first: "pushes", defaults: settings{"pushes": int64(10)},
		decide: func(_ *Env, past *history.Table, t *graph.Task, arg settings) (history.Answer, error) {
			return past.Bucket(t.Label, arg.count("pushes")), nil
		}}
	recent := pastRule{name: "skip-if-recent", first: "pushes", defaults: settings{"pushes": int64(5), "minutes": int64(0)}, leaves: true,
		decide: func(_ *Env, past *history.Table, t *graph.Task, arg settings) (history.Answer, error) {
			return past.Recent(t.Label, arg.count("pushes"), arg.age("minutes")), nil
		}}
	low := pastRule{name: "skip-low-value", first: "catch", leaves: true,
		defaults: settings{"catch": 1.0, "runs": int64(20), "pushes": int64(history.MaxPushes)},
		decide: func(env *Env, past *history.Table, t *graph.Task, arg settings) (history.Answer, error) {
			return env.coverage(past, arg).LowValue(t.Label), nil
		}}
	out := map[string]Strategy{}
	for _, r := range []pastRule{interval, backstop, expanded, bucket, recent, low} {
		out[r.name] = r
	}
	return out
}

// Remove implements Strategy. Where nothing is known of earlier pushes, and where nothing was pushed,
// the task stays.
func (r pastRule) Remove(_ context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	set, err := r.settings(arg)
	if err != nil {
		return Verdict{}, err
	}
	if base := env.Params.String("base_rev"); base != "" && base == env.Params.String("head_rev") {
		return Verdict{Reason: "base_rev and head_rev are the same: nothing was pushed, so earlier pushes do not count"}, nil
	}
	past, err := env.History()
	if err != nil {
		return Verdict{}, err
	}
	if past == nil {
		return Verdict{Reason: "no history of earlier pushes is known"}, nil
	}
	a, err := r.decide(env, past, t, set)
	return Verdict{Yes: a.Yes == r.leaves, Reason: a.Reason}, err
}

// settings reads an argument: null, a number, or a mapping.
func (r pastRule) settings(arg any) (settings, error) {
	said := map[string]any{}
	switch arg := arg.(type) {
	case nil:
	case map[string]any:
		said = arg
	case int64, float64:
		said[r.first] = arg
	default:
		return nil, r.wrong("got %s", value.Kind(arg))
	}
	out := maps.Clone(r.defaults)
	for _, key := range slices.Sorted(maps.Keys(said)) {
		v := said[key]
		usual, known := out[key]
		if !known {
			message := fmt.Sprintf("got the key %q", key)
			if near := graph.Nearest(key, slices.Sorted(maps.Keys(r.defaults))); near != "" {
				message += fmt.Sprintf("; is %q meant?", near)
			}
			return nil, r.wrong("%s", message)
		}
		if n, whole := v.(int64); whole {
			if _, share := usual.(float64); share {
				v = float64(n)
			}
		}
		if err := r.fits(key, v, usual); err != nil {
			return nil, err
		}
		out[key] = v
	}
	return settings(out), nil
}

// maxCount is the largest number of runs or minutes that means anything.
const maxCount = 1_000_000

func (r pastRule) fits(key string, v, usual any) error {
	if _, share := usual.(float64); share {
		if f, ok := v.(float64); !ok || !(f >= 0 && f <= 1) {
			return r.wrong("%s must be a number from 0 to 1, not %s", key, value.Text(v))
		}
		return nil
	}
	least, most := int64(0), int64(maxCount)
	if key == "pushes" {
		least, most = 1, history.MaxPushes
	}
	if n, ok := v.(int64); !ok || n < least || n > most {
		return r.wrong("%s must be a whole number from %d to %d, not %s", key, least, most, value.Text(v))
	}
	return nil
}

// wrong is an error about the argument, with what would do.
func (r pastRule) wrong(format string, args ...any) error {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(r.defaults)) {
		keys = append(keys, key+": "+value.Text(r.defaults[key]))
	}
	return fmt.Errorf("strategy %s wants null, %s as a number, or some of {%s}; %s", r.name, r.first, strings.Join(keys, ", "), fmt.Sprintf(format, args...))
}

// History is the table of earlier pushes; nil when there is none. It is asked for at most once.
func (e *Env) History() (*history.Table, error) {
	if !e.askedPast && e.run.History != nil {
		e.askedPast = true
		var err error
		if e.past, err = e.run.History(); err != nil {
			return nil, fmt.Errorf("history of earlier pushes: %w", err)
		}
	}
	return e.past, nil
}

// coverage chooses the valuable ones of all tasks of the target graph: a task that always runs makes
// others needless, too.
func (e *Env) coverage(past *history.Table, arg settings) *history.Coverage {
	key := coverKey{arg.count("pushes"), arg.count("runs"), arg["catch"].(float64)}
	c, ok := e.covers[key]
	if !ok {
		c = past.Cover(e.run.Target.Keys(), key.pushes, key.catch, key.runs)
		e.covers[key] = c
	}
	return c
}

type coverKey struct {
	pushes, runs int
	catch        float64
}
