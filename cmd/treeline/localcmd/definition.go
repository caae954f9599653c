package localcmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/local"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/reldate"
	"github.com/treeline-ci/treeline/taskgraph/value"
	"github.com/treeline-ci/treeline/workers/engine/container"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// maxDefinition bounds a definition on standard input.
const maxDefinition = 16 << 20

// find gets the task: from the server by its id, from standard input, or from the graph by its label.
func (l *loadTask) find(ctx context.Context, what string, server *client.Client) (local.Task, error) {
	switch {
	case what == "-":
		return l.fromInput(ctx)
	case slug.Valid(what):
		if server == nil {
			return local.Task{}, fmt.Errorf("%s is a task id: set TASKCLUSTER_ROOT_URL to the server that has the task", what)
		}
		definition, err := server.Task(ctx, what)
		if err != nil {
			return local.Task{}, err
		}
		return local.Task{ID: what, Name: definition.Metadata.Name, Definition: definition}, nil
	}
	var t local.Task
	err := l.tree.With(func() error {
		res, err := l.tree.Full(ctx, nil, nil)
		if err != nil {
			return err
		}
		found := res.Full.Task(what)
		if found == nil {
			return noTask(what, res.Full.Keys())
		}
		if t, err = l.resolve(ctx, found, res.Full.Task); err == nil && !l.tree.Asked() && !l.develop {
			err = l.fromHere(&t, res.Parameters)
		}
		return err
	})
	return t, err
}

// fromHere makes a task of the local checkout's own graph take its sources from that checkout: its last commit
// may be nowhere else yet.
func (l *loadTask) fromHere(t *local.Task, p *params.Parameters) error {
	dir, err := filepath.Abs(l.tree.Dir())
	if err != nil {
		return err
	}
	var payload map[string]any
	if err := json.Unmarshal(t.Definition.Payload, &payload); err != nil {
		return err
	}
	env := value.Map(payload, "env")
	for name, v := range env {
		prefix, ok := strings.CutSuffix(name, "_HEAD_REPOSITORY")
		if !ok || v != p.String("head_repository") || p.String("head_rev") == "" {
			continue
		}
		env[name], env[prefix+"_BASE_REPOSITORY"] = dir, dir
		l.options.Binds = append(l.options.Binds, container.Bind{Host: dir, Place: dir, ReadOnly: true})
		l.say("its sources are those of the last commit here, %.12s; --develop takes the files as they are", p.String("head_rev"))
	}
	if t.Definition.Payload, err = json.Marshal(payload); err != nil {
		return err
	}
	return nil
}

func noTask(label string, labels []string) error {
	if near := graph.Nearest(label, labels); near != "" {
		return fmt.Errorf("the graph has no task %q; is %q meant?", label, near)
	}
	return fmt.Errorf("the graph has no task %q; \"treeline taskgraph full\" lists the %d it has", label, len(labels))
}

// fromInput reads a definition, or a task of a graph in JSON.
func (l *loadTask) fromInput(ctx context.Context) (local.Task, error) {
	raw, err := io.ReadAll(io.LimitReader(l.in, maxDefinition))
	if err != nil {
		return local.Task{}, err
	}
	var keys map[string]any
	if err := json.Unmarshal(raw, &keys); err != nil {
		return local.Task{}, fmt.Errorf("standard input is no task in JSON: %w", err)
	}
	if _, ok := keys["task"].(map[string]any); ok && keys["label"] != nil {
		t, err := graph.FromJSON(keys)
		if err != nil {
			return local.Task{}, fmt.Errorf("standard input: %w", err)
		}
		return l.resolve(ctx, t, func(string) *graph.Task { return nil })
	}
	if inner, ok := keys["task"].(map[string]any); ok { // as createTask and claims have it
		keys = inner
	}
	if keys["payload"] == nil {
		return local.Task{}, fmt.Errorf("standard input is no task: it has no payload")
	}
	return l.define(keys, "of standard input")
}

// unresolved marks the place of a task id that is not known.
const unresolved = "unresolved:"

// resolve gives the task's references a meaning: a dependency is the task that was named for it, or the
// finished one in the index that the optimization would put in its place.
func (l *loadTask) resolve(ctx context.Context, t *graph.Task, task func(label string) *graph.Task) (local.Task, error) {
	ids, err := l.dependencies(ctx, t, task)
	if err != nil {
		return local.Task{}, err
	}
	references := optimize.References{
		Self: slug.Nice(), Decision: os.Getenv("TASK_ID"), Dependencies: ids,
		RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"), ProxyURL: os.Getenv("TASKCLUSTER_PROXY_URL"),
	}
	resolved, err := references.Resolve(t.Definition)
	if err != nil {
		return local.Task{}, fmt.Errorf("task %s: %w", t.Label, err)
	}
	definition, err := reldate.Replace(resolved, time.Now())
	if err != nil {
		return local.Task{}, fmt.Errorf("task %s: %w", t.Label, err)
	}
	m, ok := definition.(map[string]any)
	if !ok {
		return local.Task{}, fmt.Errorf("task %s: its definition is no mapping", t.Label)
	}
	m = maps.Clone(m)
	if m["payload"], err = l.known(t, value.Map(m, "payload")); err != nil {
		return local.Task{}, err
	}
	return l.define(m, t.Label)
}

// dependencies finds the task of each edge; those without get a mark.
func (l *loadTask) dependencies(ctx context.Context, t *graph.Task, task func(label string) *graph.Task) (map[string]string, error) {
	ids := map[string]string{}
	paths := map[string][]string{} // edge → index paths
	var all []string
	for _, edge := range slices.Sorted(maps.Keys(t.Dependencies)) {
		to := t.Dependencies[edge]
		switch given := l.edges[edge]; {
		case given != "":
			ids[edge] = given
		case slug.Valid(to):
			ids[edge] = to
		default:
			ids[edge] = unresolved + edge
			if dep := task(to); dep != nil {
				paths[edge], _ = value.Strings(dep.Optimization["index-search"])
				all = append(all, paths[edge]...)
			}
		}
	}
	for edge := range l.edges {
		if _, ok := t.Dependencies[edge]; !ok {
			return nil, fmt.Errorf("--dependency %s: task %s has no such dependency; it has %s", edge, t.Label, strings.Join(slices.Sorted(maps.Keys(t.Dependencies)), ", "))
		}
	}
	if len(all) == 0 {
		return ids, nil
	}
	ask, err := l.tree.Index()
	if err != nil {
		return nil, err
	}
	found, err := ask(ctx, all)
	if err != nil {
		return nil, err
	}
	for edge, list := range paths {
		for _, path := range list {
			if f, ok := found[path]; ok && f.State == "completed" {
				ids[edge] = f.TaskID
				break
			}
		}
	}
	return ids, nil
}

// known makes sure that nothing in the payload needs a task that is not known: an image of the tree is built
// instead; for the rest the person has to say more.
func (l *loadTask) known(t *graph.Task, payload map[string]any) (map[string]any, error) {
	payload = maps.Clone(payload)
	if image, ok := payload["image"].(map[string]any); ok {
		edge, missing := strings.CutPrefix(value.String(image, "taskId"), unresolved)
		if name, ok := strings.CutPrefix(t.Dependencies[edge], imageKind+"-"); missing && ok {
			payload["image"] = name
			l.options.Image = cmp.Or(l.options.Image, local.InTree+"="+name)
		}
	}
	if err := ownScripts(payload); err != nil {
		return nil, err
	}
	if env := maps.Clone(value.Map(payload, "env")); env != nil && l.options.NoFetches {
		delete(env, "MOZ_FETCHES")
		payload["env"] = env
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	text := string(raw)
	for _, edge := range slices.Sorted(maps.Keys(t.Dependencies)) {
		if strings.HasPrefix(t.Dependencies[edge], imageKind+"-") { // its id names caches, too
			text = strings.ReplaceAll(text, unresolved+edge, "here")
		} else if strings.Contains(text, unresolved+edge) {
			return nil, fmt.Errorf("task %s needs what %s made, and the index has no finished task of that: name one with --dependency %s=TASK, or leave fetches out with --no-fetches",
				t.Label, t.Dependencies[edge], edge)
		}
	}
	var known map[string]any
	err = json.Unmarshal([]byte(text), &known)
	return known, err
}

// ownScripts puts our scripts in the place of those of a decision task that never was.
func ownScripts(payload map[string]any) error {
	list := slices.Clone(value.List(payload, "mounts"))
	for i, e := range list {
		mount, _ := e.(map[string]any)
		address := value.String(value.Map(mount, "content"), "url")
		name := address[strings.LastIndexByte(address, '/')+1:]
		if !strings.Contains(address, "<") || name != "run-task" && name != "fetch-content" {
			continue
		}
		scripts, err := runtask.Scripts()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(scripts, name)
		if err != nil {
			return err
		}
		mount = maps.Clone(mount)
		mount["content"] = map[string]any{"raw": string(content)}
		list[i] = mount
	}
	if list != nil {
		payload["mounts"] = list
	}
	return nil
}

// define reads a definition whose references are resolved.
func (l *loadTask) define(m map[string]any, name string) (local.Task, error) {
	m = maps.Clone(m)
	delete(m, "dependencies") // they may be marks; only what the payload names is of use
	text, err := json.Marshal(m)
	if err != nil {
		return local.Task{}, err
	}
	t := local.Task{Name: name}
	if err := json.Unmarshal(text, &t.Definition); err != nil {
		return local.Task{}, fmt.Errorf("task %s: %w", name, err)
	}
	return t, nil
}
