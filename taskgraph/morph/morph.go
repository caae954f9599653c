// Package morph changes the optimized graph just before its tasks are created (taskgraph-map
// 15), in this order:
//
//	try                  what a push to try asks of its tasks: copies, environment, routes, priority, mail
//	add_index_tasks      a task with more than 64 routes cannot be created; its index routes move to
//	                     a task of their own that runs after it
//	add_code_review_task with the parameter code-review, one task that ends when all tasks with
//	                     the attribute code-review have ended, however they ended
//
// Every change is recorded. Graphs and tasks that are given are not changed.
package morph

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxRoutes is how many routes a task may have.
const MaxRoutes = 64

// Input is what morphs look at.
type Input struct {
	Graph         *graph.Graph // optimized, by task id
	LabelToTaskID map[string]string
	Params        *params.Parameters
	Config        *config.GraphConfig
	NewID         func(label string) string
	Log           *explain.Log // nil: nothing is recorded
	Targets       []string     // labels of the target set, sorted
}

// Run applies all morphs and gives the new graph with its table of labels.
func Run(in Input) (*graph.Graph, map[string]string, error) {
	m := &morpher{Input: in, tasks: map[string]*graph.Task{}, edges: slices.Clone(in.Graph.Edges()), ids: maps.Clone(in.LabelToTaskID)}
	for id, t := range in.Graph.All() {
		m.tasks[id] = t
	}
	if err := m.try(); err != nil {
		return nil, nil, err
	}
	if err := m.addIndexTasks(); err != nil {
		return nil, nil, err
	}
	m.addCodeReviewTask()
	g, err := graph.New(m.tasks, m.edges)
	if err != nil {
		return nil, nil, err
	}
	return g, m.ids, nil
}

// morpher is one run of all morphs.
type morpher struct {
	Input
	tasks map[string]*graph.Task
	edges []graph.Edge
	ids   map[string]string
}

// byLabel gives the tasks sorted by label, so that new ids come in a stable order.
func (m *morpher) byLabel() []*graph.Task {
	return slices.SortedFunc(maps.Values(m.tasks), func(a, b *graph.Task) int { return strings.Compare(a.Label, b.Label) })
}

// add puts a new task into the graph with edges to what it depends on.
func (m *morpher) add(t *graph.Task) error {
	if _, twice := m.ids[t.Label]; twice {
		return fmt.Errorf("morph: the label %s is taken", t.Label)
	}
	t.TaskID = m.NewID(t.Label)
	m.tasks[t.TaskID] = t
	m.ids[t.Label] = t.TaskID
	for name, id := range t.Dependencies {
		m.edges = append(m.edges, graph.Edge{From: t.TaskID, To: id, Name: name})
	}
	return nil
}

func (m *morpher) addIndexTasks() error {
	for _, t := range m.byLabel() {
		routes, _ := value.Strings(t.Definition["routes"])
		if len(routes) <= MaxRoutes {
			continue
		}
		var paths []string
		rest := []any{}
		for _, r := range routes {
			if path, ok := strings.CutPrefix(r, "index."); ok {
				paths = append(paths, path)
			} else {
				rest = append(rest, r)
			}
		}
		if len(paths) == 0 {
			continue
		}
		task, err := m.indexTask(t, paths)
		if err != nil {
			return &graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label, Message: "morph add_index_tasks", Err: err}
		}
		if err := m.add(task); err != nil {
			return err
		}
		c := t.Clone()
		c.Definition["routes"] = rest
		m.tasks[t.TaskID] = c
		change := fmt.Sprintf("%d of %d routes moved to %s", len(paths), len(routes), task.Label)
		m.Log.Morphed(explain.Morph{Label: t.Label, Morph: "add_index_tasks", Change: change})
		m.Log.Morphed(explain.Morph{Label: task.Label, Morph: "add_index_tasks", Change: "made to insert the index routes of " + t.Label})
	}
	return nil
}

// indexTask is the task that inserts paths for t. Its image and command are those that workers
// of the field have in their index.
func (m *morpher) indexTask(t *graph.Task, paths []string) (*graph.Task, error) {
	worker, err := m.Config.Worker("misc", m.Params.String("level"))
	if err != nil {
		return nil, fmt.Errorf("tasks with more than %d routes need the worker alias misc: %w", MaxRoutes, err)
	}
	scopes, err := m.scopes(paths)
	if err != nil {
		return nil, err
	}
	meta := value.Map(t.Definition, "metadata")
	command := []any{"insert-indexes.js"}
	for _, p := range paths {
		command = append(command, p)
	}
	rank, ok := value.Get(t.Definition, "extra.index.rank")
	if !ok {
		rank = int64(0)
	}
	deadline := t.Definition["deadline"]
	name := "index-task-" + t.Label
	return &graph.Task{
		Kind: "misc", Label: name, Attributes: map[string]any{"kind": "misc"}, Dependencies: map[string]string{"parent": t.TaskID},
		Provenance: explain.Provenance{Kind: "misc"}.With(explain.Step{Transform: "morph add_index_tasks", Note: "for " + t.Label}),
		Definition: map[string]any{
			"provisionerId": worker.Provisioner, "workerType": worker.WorkerType,
			"dependencies": []any{t.TaskID},
			"created":      map[string]any{"relative-datestamp": "0 seconds"},
			"deadline":     deadline, "expires": deadline, // no point in living on after its parent
			"metadata": map[string]any{
				"name": name, "description": "index-task for " + value.String(meta, "description"),
				"owner": meta["owner"], "source": meta["source"],
			},
			"scopes": scopes,
			"payload": map[string]any{
				"features": map[string]any{"taskclusterProxy": true},
				"image": map[string]any{
					"type": "indexed-image", "path": "public/image.tar.zst",
					"namespace": "taskgraph.cache.level-3.docker-images.v2.index-task.latest",
				},
				"maxRunTime": int64(600),
				"command":    command,
				"env":        map[string]any{"TARGET_TASKID": t.TaskID, "INDEX_RANK": fmt.Sprint(rank)},
			},
		},
	}, nil
}

// scopes are what inserting paths needs, summarised so that many paths of one namespace need one
// scope: the first of <trust domain>.v2.<project>. and index-path-regexes of config.yml whose
// expression matches the start of the path gives its first group and a star.
func (m *morpher) scopes(paths []string) ([]any, error) {
	summaries := []*regexp.Regexp{regexp.MustCompile(`\A(` + regexp.QuoteMeta(m.Config.TrustDomain()) + `\.v2\.[^.]*\.)`)}
	for _, text := range m.Config.IndexPathRegexes() {
		re, err := regexp.Compile(`\A(?:` + text + `)`)
		if err != nil {
			return nil, fmt.Errorf("config.yml: taskgraph.index-path-regexes: %w", err)
		}
		if re.NumSubexp() < 1 {
			return nil, fmt.Errorf("config.yml: taskgraph.index-path-regexes: %q has no group: put the part that scopes shall keep in brackets, as in (my\\.v1\\.).*", text)
		}
		summaries = append(summaries, re)
	}
	set := map[string]bool{}
	for _, path := range paths {
		set["index:insert-task:"+summarise(path, summaries)] = true
	}
	return value.Anys(slices.Sorted(maps.Keys(set))), nil
}

func summarise(path string, summaries []*regexp.Regexp) string {
	for _, re := range summaries {
		if g := re.FindStringSubmatch(path); g != nil {
			return g[1] + "*"
		}
	}
	return path
}
