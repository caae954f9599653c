package decision

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Input is what a generation gave.
type Input struct {
	Params        *params.Parameters
	Kinds         []string     // names of all kinds
	Full          *graph.Graph // by label
	Targets       []string
	Morphed       *graph.Graph // by task id
	LabelToTaskID map[string]string
	Actions       map[string]any // of Actions; nil: no actions.json
	History       *history.Table // what strategies decided from; nil: no history.json
	Log           *explain.Log
}

// Artifacts gives the content of each artifact by file name.
func Artifacts(in Input) (map[string][]byte, error) {
	out := map[string][]byte{}
	var err error
	add := func(name string, make func() ([]byte, error)) {
		if err != nil {
			return
		}
		var b []byte
		if b, err = make(); err != nil {
			err = fmt.Errorf("decision: artifact %s: %w", name, err)
		}
		out[name] = b
	}
	add("parameters.yml", in.Params.YAML)
	if in.Actions != nil {
		add("actions.json", func() ([]byte, error) { return JSON(in.Actions) })
	}
	add("full-task-graph.json", in.Full.MarshalIndent)
	add("runnable-jobs.json", func() ([]byte, error) { return JSON(runnable(in.Full)) })
	add("target-tasks.json", func() ([]byte, error) { return JSON(value.Anys(in.Targets)) })
	add("task-graph.json", in.Morphed.MarshalIndent)
	add("label-to-taskid.json", func() ([]byte, error) {
		m := make(map[string]any, len(in.LabelToTaskID))
		for label, id := range in.LabelToTaskID {
			m[label] = id
		}
		return JSON(m)
	})
	if in.History != nil {
		add(history.ArtifactName, in.History.Bytes)
	}
	add("optimizations.log", func() ([]byte, error) { return []byte(optimizations(in.Log)), nil })
	add(explain.RecordName, func() ([]byte, error) { return explained(in) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// JSON writes v with sorted keys and an indent of two, as all artifacts of the field.
func JSON(v any) ([]byte, error) { return graph.AppendJSON(nil, v) }

// ContentType is the content type of an artifact of Artifacts.
func ContentType(name string) string {
	switch {
	case strings.HasSuffix(name, ".json"):
		return "application/json"
	case strings.HasSuffix(name, ".yml"):
		return "application/yaml"
	}
	return "text/plain; charset=utf-8"
}

// runnable is what Treeherder's list of jobs to add shows.
func runnable(full *graph.Graph) map[string]any {
	out := map[string]any{}
	for label, t := range full.All() {
		th, ok := value.Get(t.Definition, "extra.treeherder")
		m, isMap := th.(map[string]any)
		if !ok || !isMap {
			continue
		}
		job := map[string]any{}
		for _, key := range []string{"symbol", "groupName", "groupSymbol", "collection"} {
			if v, has := m[key]; has {
				job[key] = v
			}
		}
		if platform, has := value.Get(m, "machine.platform"); has && value.Truthy(platform) {
			job["platform"] = platform
		}
		out[label] = job
	}
	return out
}

// optimizations is the log of the optimization for people.
func optimizations(log *explain.Log) string {
	if log == nil {
		return ""
	}
	var b strings.Builder
	for _, o := range log.Optimizations {
		fmt.Fprintf(&b, "%s: %s %s", o.Phase, o.Label, o.Outcome)
		if o.TaskID != "" {
			fmt.Fprintf(&b, " by %s", o.TaskID)
		}
		if o.Strategy != "" {
			fmt.Fprintf(&b, " [%s]", o.Strategy)
		}
		fmt.Fprintf(&b, ": %s\n", o.Reason)
	}
	return b.String()
}

// explained is the record of the whole generation; tasks that morphs made are in it too.
func explained(in Input) ([]byte, error) {
	r := &explain.Record{Kinds: in.Kinds, Tasks: make(map[string]explain.Recorded, in.Full.Len())}
	for label, t := range in.Full.All() {
		r.Tasks[label] = explain.Recorded{Provenance: t.Provenance, Optimization: t.Optimization}
	}
	for id, t := range in.Morphed.All() {
		one, there := r.Tasks[t.Label]
		if !there {
			one.Provenance = t.Provenance
		}
		one.TaskID = id
		r.Tasks[t.Label] = one
	}
	if in.Log != nil {
		r.Log = *in.Log
	}
	return r.MarshalJSON()
}

// Names are the names of artifacts, sorted.
func Names(artifacts map[string][]byte) []string { return slices.Sorted(maps.Keys(artifacts)) }
