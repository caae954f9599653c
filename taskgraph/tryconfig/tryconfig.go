// Package tryconfig is the file try_task_config.json, with which a push to a try repository or a try
// branch says what it wants run (taskgraph-map 23.3). Version 1 is an object of settings:
//
//	{"version": 1, "tasks": ["build-linux64/opt", "test-linux64/opt-mochitest-*"], "env": {"A": "b"}}
//
// Version 2 is an object of parameters, which win over those of the push; the settings of version 1
// are one of them:
//
//	{"version": 2, "parameters": {"optimize_target_tasks": false, "try_task_config": {"tasks": ["a"]}}}
//
// Parse tells each fault with file, line and key. Everything is a function of its arguments.
package tryconfig

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Name is where the file stands in a tree.
const Name = "try_task_config.json"

// Limits of one file.
const (
	MaxBytes   = 1 << 20 // of the text
	MaxTasks   = 100_000
	MaxRebuild = 1000 // copies of one task
)

// Parameter is the parameter that holds the settings.
const Parameter = "try_task_config"

// Config is what one file says.
type Config struct {
	Version int // 1 or 2
	// Settings are those of version 1, or of the parameter try_task_config of version 2.
	Settings
	// Parameters are those of version 2 besides try_task_config; nil in version 1.
	Parameters map[string]any

	file  string
	lines map[string]int // of settings by their key, of parameters by "parameters." and their name
}

// Settings are what may be asked for. The zero value of each is "not said".
type Settings struct {
	// Tasks are labels; one that ends in "-*" means all numbered chunks of that name. Nil: not said,
	// empty: none.
	Tasks []string
	// Env is added to the environment of every task.
	Env map[string]string
	// Rebuild is how often each task of Tasks runs, 2 to MaxRebuild; 0: once.
	Rebuild int
	// ChemspillPrio lifts the priorities lowest and very-low to low.
	ChemspillPrio bool
	// Routes are added to every task.
	Routes []string
	// WorkerOverrides sends tasks of a worker alias of config.yml to another pool: alias to
	// provisioner/worker-type. WorkerTypes are the aliases concerned, for other programs.
	WorkerOverrides map[string]string
	WorkerTypes     []string
	// OptimizeStrategies takes the place of the parameter optimize_strategies.
	OptimizeStrategies string
	// TargetTasksMethod takes the place of the parameter target_tasks_method.
	TargetTasksMethod string
	// TasksRegex thins out what the filter try_auto selects.
	TasksRegex *TasksRegex

	// The others are for transforms of the tree, which find them in the parameter try_task_config.
	Browsertime          bool
	DisablePGO           bool
	GeckoProfile         bool
	GeckoProfileInterval float64 // milliseconds
	GeckoProfileEntries  int
	GeckoProfileFeatures string
	GeckoProfileThreads  string
	NewTestConfig        bool
	PerftestOptions      any
	Pernosco             bool
	UseArtifactBuilds    bool

	said map[string]any // what stood in the file, also false and 0
}

// TasksRegex are regular expressions that match anywhere in a label.
type TasksRegex struct {
	Include []string `json:"include,omitempty"` // at least one must match; empty: all labels do
	Exclude []string `json:"exclude,omitempty"` // none may match
}

// Values are the settings as the parameter try_task_config holds them: those that were said.
func (s Settings) Values() map[string]any {
	out := maps.Clone(s.said)
	if out == nil {
		out = map[string]any{}
	}
	for _, k := range keys() {
		if v, ok := k.value(&s); ok {
			out[k.name] = v
		}
	}
	return out
}

// Encode writes the file, with sorted keys and an indent of two, as people review it.
func (c Config) Encode() []byte {
	var out map[string]any
	settings := c.Settings.Values()
	if c.Version == 2 {
		p := maps.Clone(c.Parameters)
		if p == nil {
			p = map[string]any{}
		}
		if len(settings) > 0 {
			p[Parameter] = settings
		}
		out = map[string]any{"version": 2, "parameters": p}
	} else {
		out = settings
		out["version"] = 1
		if out["tasks"] == nil {
			out["tasks"] = []any{}
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return nil // a value of Parameters that JSON cannot hold: Parse gives none
	}
	return b.Bytes()
}

// Keys are the names of all settings, sorted.
func Keys() []string {
	var out []string
	for _, k := range keys() {
		out = append(out, k.name)
	}
	return slices.Sorted(slices.Values(out))
}
