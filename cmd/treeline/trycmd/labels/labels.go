// Package labels is the list of tasks that a person may pick from: what the generator makes of the tree,
// with what is worth knowing of each task. As making it takes seconds in large trees, the list is kept,
// under a digest of everything that it was made from.
package labels

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/target"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Task is a task to pick, or several chunks of one as "name-*".
type Task struct {
	Label       string            `json:"label"`
	Chunks      int               `json:"chunks,omitempty"` // how many it stands for; 0 for a task by itself
	Kind        string            `json:"kind"`
	Platform    string            `json:"platform,omitempty"`
	Description string            `json:"description,omitempty"`
	Pool        string            `json:"pool,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Needs       []string          `json:"needs,omitempty"` // labels
	AllNeeds    int               `json:"allNeeds"`        // with what those need
	MaxRunTime  int64             `json:"maxRunTime,omitempty"`
	Target      bool              `json:"target"` // whether the event selects it
	Why         string            `json:"why,omitempty"`
	Uncommon    bool              `json:"uncommon,omitempty"`
}

// List are tasks by label.
type List []Task

// chunk are the attributes that say that a task is one of several chunks.
var chunk = []string{"test_chunk", "chunk", "this_chunk"}

// From lists the tasks of a graph that was made up to the target set.
func From(res *taskgraph.Result) (List, error) {
	uncommon, err := uncommonTasks(res)
	if err != nil {
		return nil, err
	}
	why := map[string]string{}
	for _, s := range res.Explain.Selections {
		if why[s.Label] = s.Rule; s.Input != "" {
			why[s.Label] += ": " + s.Input
		}
	}
	selected := map[string]bool{}
	for _, label := range res.TargetSet {
		selected[label] = true
	}
	needs := allNeeds(res.Full)
	out := make(List, 0, res.Full.Len())
	for label, t := range res.Full.All() {
		task := describe(t)
		task.Needs, task.AllNeeds, task.Target, task.Why = res.Full.Needs(label), needs[label], selected[label], why[label]
		task.Uncommon = slices.ContainsFunc(uncommon, func(re *regexp.Regexp) bool { return re.MatchString(label) })
		out = append(out, task)
	}
	slices.SortFunc(out, func(a, b Task) int { return cmp.Compare(a.Label, b.Label) })
	return out, nil
}

func describe(t *graph.Task) Task {
	task := Task{
		Label: t.Label, Kind: t.Kind, Description: t.Description, Attributes: map[string]string{},
		Pool: strings.Trim(value.String(t.Definition, "provisionerId")+"/"+value.String(t.Definition, "workerType"), "/"),
	}
	if task.Description == "" {
		task.Description = value.String(value.Map(t.Definition, "metadata"), "description")
	}
	for name, v := range t.Attributes {
		switch v := v.(type) {
		case string, bool, int64, float64:
			task.Attributes[name] = fmt.Sprint(v)
		case []any:
			if list, ok := value.Strings(v); ok {
				task.Attributes[name] = strings.Join(list, ",")
			}
		}
	}
	task.Platform = cmp.Or(task.Attributes["test_platform"], task.Attributes["build_platform"],
		value.String(value.Map(value.Map(value.Map(t.Definition, "extra"), "treeherder"), "machine"), "platform"))
	payload := value.Map(t.Definition, "payload")
	for _, key := range []string{"maxRunTime", "max-run-time"} {
		if n, ok := payload[key].(int64); ok {
			task.MaxRunTime = n
		}
	}
	return task
}

func uncommonTasks(res *taskgraph.Result) ([]*regexp.Regexp, error) {
	said, _ := value.Strings(value.Map(res.Config.Values, "try")["uncommon-tasks"])
	var out []*regexp.Regexp
	for _, text := range said {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("config.yml: try.uncommon-tasks: %w", err)
		}
		out = append(out, re)
	}
	return out, nil
}

// allNeeds counts for each task what it needs, and what that needs.
func allNeeds(g *graph.Graph) map[string]int {
	out := make(map[string]int, g.Len())
	seen := make([]int, g.Len())
	for i, label := range g.Keys() {
		stack, n := []int32{int32(i)}, -1
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[at] == i+1 {
				continue
			}
			seen[at] = i + 1
			n++
			stack = append(stack, g.NeedsAt(int(at))...)
		}
		out[label] = n
	}
	return out
}

// Folded puts the chunks of each task together, as "name-*".
func (l List) Folded() List {
	chunks := map[string]int{}
	base := func(t Task) (string, bool) {
		if !slices.ContainsFunc(chunk, func(name string) bool { return t.Attributes[name] != "" }) {
			return "", false
		}
		return target.ChunkBase(t.Label)
	}
	for _, t := range l {
		if name, ok := base(t); ok {
			chunks[name]++
		}
	}
	var out List
	place := map[string]int{}
	for _, t := range l {
		name, ok := base(t)
		if !ok {
			out = append(out, t)
			continue
		}
		at, began := place[name]
		if !began {
			place[name] = len(out)
			t.Label, t.Chunks = name+"-*", chunks[name]
			out = append(out, t)
			continue
		}
		out[at].MaxRunTime += t.MaxRunTime
		out[at].Target = out[at].Target || t.Target
	}
	return out
}

// Labels are the labels of the list.
func (l List) Labels() []string {
	out := make([]string, len(l))
	for i, t := range l {
		out[i] = t.Label
	}
	return out
}

// ByLabel finds tasks.
func (l List) ByLabel() map[string]Task {
	out := make(map[string]Task, len(l))
	for _, t := range l {
		out[t.Label] = t
	}
	return out
}

// About says what is known of a task, a line each.
func (t Task) About() []string {
	lines := append([]string{t.Label}, strings.Split(strings.TrimSpace(t.Description), "\n")...)
	what := "kind: " + t.Kind
	if t.Platform != "" {
		what += ", platform: " + t.Platform
	}
	if t.Chunks > 0 {
		what += fmt.Sprintf(", %d chunks", t.Chunks)
	}
	lines = append(lines, what)
	runs := "runs on: " + t.Pool
	if t.MaxRunTime > 0 {
		runs += ", takes at most " + (time.Duration(t.MaxRunTime) * time.Second).String()
	}
	needs := "needs: nothing"
	if n := len(t.Needs); n > 0 {
		needs = fmt.Sprintf("needs: %d (%d with what those need): %s", n, t.AllNeeds, strings.Join(t.Needs, ", "))
	}
	chosen := "a push would not run it"
	if t.Target {
		chosen = "a push would run it"
	}
	if t.Why != "" {
		chosen += " (" + t.Why + ")"
	}
	return append(lines, runs, needs, chosen)
}

// Cache keeps lists in a folder. The zero value keeps nothing.
type Cache struct{ Dir string }

// entry is a list that is kept.
type entry struct {
	Seen  map[string]string `json:"seen"`
	Tasks List              `json:"tasks"`
}

// keptLists is how many lists are kept; the one that was made first goes.
const keptLists = 20

// Get gives the list for a key, if what it was made from is in the tree as it was.
func (c Cache) Get(key string, tree fs.FS) (List, bool) {
	if c.Dir == "" {
		return nil, false
	}
	content, err := os.ReadFile(c.file(key))
	if err != nil {
		return nil, false
	}
	var e entry
	if json.Unmarshal(content, &e) != nil || len(e.Seen) == 0 || !same(tree, e.Seen) {
		return nil, false
	}
	return e.Tasks, true
}

// Put keeps a list with what was asked of the tree to make it.
func (c Cache) Put(key string, asked *Recorder, list List) error {
	if c.Dir == "" {
		return nil
	}
	asked.mu.Lock()
	content, err := json.Marshal(entry{asked.seen, list})
	asked.mu.Unlock()
	if err == nil {
		err = os.MkdirAll(c.Dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("list of tasks: %w", err)
	}
	f, err := os.CreateTemp(c.Dir, ".new-*")
	if err != nil {
		return fmt.Errorf("list of tasks: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.file(key))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("list of tasks: %w", err), os.Remove(f.Name()))
	}
	return c.drop()
}

// drop removes the oldest lists beyond the number kept.
func (c Cache) drop() error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return fmt.Errorf("list of tasks: %w", err)
	}
	type aged struct {
		name string
		made time.Time
	}
	var all []aged
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			all = append(all, aged{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b aged) int { return b.made.Compare(a.made) })
	for _, old := range all[min(len(all), keptLists):] {
		err = errors.Join(err, os.Remove(filepath.Join(c.Dir, old.name)))
	}
	return err
}

func (c Cache) file(key string) string { return filepath.Join(c.Dir, key+".json") }

// moments are parameters that say when, and so differ each time; no label depends on them.
var moments = []string{"build_date", "moz_build_date", "pushdate"}

// Key names a list by what it is made from besides the tree: the parameters, and words such as the version
// of the program and the place of the tree.
func Key(p *params.Parameters, words ...string) (string, error) {
	values := p.Map()
	for _, name := range moments {
		delete(values, name)
	}
	content, err := json.Marshal(values) // with sorted keys
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(content, "%q", words))
	return hex.EncodeToString(sum[:16]), nil
}
