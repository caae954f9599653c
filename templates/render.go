// The second page of the newcomer's reading list: .taskcluster.yml and an event become task
// definitions. Before it comes app/intake/push.go; after it comes queue/create.go.

package templates

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// Render returns the tasks that the file asks for when e happens: none, or some in an order in which each comes after
// the ones it depends on. Errors are *Error.
func (f *File) Render(e Event) ([]Task, error) {
	var drafts []*draft
	var err error
	if f.Version == 0 {
		drafts, err = f.renderVersion0(e)
	} else {
		drafts, err = f.renderVersion1(e)
	}
	if err != nil || len(drafts) == 0 {
		return nil, err
	}
	if err := f.giveIDs(drafts, e); err != nil {
		return nil, err
	}
	tasks := make([]Task, len(drafts))
	for i, d := range drafts {
		definition, err := f.define(d, e)
		if err != nil {
			return nil, err
		}
		tasks[i] = Task{ID: d.id, Definition: definition, Line: d.line}
	}
	return f.order(tasks)
}

// draft is a rendered task that still lacks its ids and defaults.
type draft struct {
	data  *jsone.Object
	where string // its path in the file's result: tasks[0]
	line  int
	id    string
}

func (f *File) renderVersion1(e Event) ([]*draft, error) {
	if f.tasks == nil {
		return nil, nil
	}
	result, err := f.tasks.Render(e.context(), jsone.Options{Now: e.Now})
	if err != nil {
		return nil, f.templateError(err)
	}
	whole, _ := result.(*jsone.Object)
	tasks, ok := whole.Get("tasks")
	if !ok {
		return nil, nil // left out, as by {$if: …} without else
	}
	list, ok := tasks.([]any)
	if !ok {
		return nil, f.complain(f.lineOf("tasks"), "tasks", "tasks must render to a list of tasks; put what makes one task into a list: [ … ]")
	}
	if len(list) > MaxTasks {
		return nil, f.complain(f.lineOf("tasks"), "tasks", "the file asks for %d tasks, more than the %d allowed; let a decision task make them", len(list), MaxTasks)
	}
	drafts := make([]*draft, len(list))
	for i, item := range list {
		d := &draft{where: fmt.Sprintf("tasks[%d]", i)}
		if d.data, ok = item.(*jsone.Object); !ok {
			return nil, f.complain(f.lineOf("tasks"), d.where, "%s renders to something that is not a mapping", d.where)
		}
		if d.line = d.data.Line(); d.line == 0 {
			d.line = f.lineOf("tasks")
		}
		drafts[i] = d
	}
	return drafts, nil
}

// context returns the names a template may use.
func (e Event) context() map[string]any {
	c := maps.Clone(e.Context)
	if c == nil {
		c = map[string]any{}
	}
	c["tasks_for"] = e.TasksFor
	c["taskcluster_root_url"] = e.RootURL
	if e.Event != nil {
		c["event"] = e.Event
	}
	c["as_slugid"] = &jsone.Function{Name: "as_slugid", Call: func(args []any) (any, error) {
		if len(args) != 1 {
			return nil, errors.New("as_slugid wants one argument, a label")
		}
		label, ok := args[0].(string)
		if !ok {
			return nil, errors.New("as_slugid wants a string, the label of a task")
		}
		return e.slug("label", label)
	}}
	return c
}

// slug invents an id: the same seed and words give the same one. It starts with a letter of A to f, so that it can be
// given on a command line.
func (e Event) slug(words ...string) (string, error) {
	if e.Seed == "" {
		return "", errors.New("task ids can be invented only for an event with a seed")
	}
	h := sha256.New()
	for _, w := range append([]string{e.Seed}, words...) {
		fmt.Fprintf(h, "%d:", len(w))
		_, _ = io.WriteString(h, w) // a hash takes everything
	}
	var b [16]byte
	copy(b[:], h.Sum(nil))
	b[0] &= 0x7f
	return slug.FromBytes(b), nil
}

// templateError gives a JSON-e error its line.
func (f *File) templateError(err error) error {
	var e *jsone.Error
	if !errors.As(err, &e) {
		return f.complain(0, "", "%v", err)
	}
	line := f.lineOf("tasks")
	if len(e.Path) > 0 {
		line = f.lineAt(e.Path)
	}
	return f.complain(line, e.Where(), "%s: %s", e.Class, e.Message)
}

// giveIDs reads taskId and taskGroupId and invents those that are missing (taskcluster-map 13.4).
func (f *File) giveIDs(drafts []*draft, e Event) error {
	groups := make([]string, len(drafts))
	for i, d := range drafts {
		var err error
		if d.id, err = f.takeID(d, "taskId"); err != nil {
			return err
		}
		if groups[i], err = f.takeID(d, "taskGroupId"); err != nil {
			return err
		}
	}
	if len(drafts) == 1 {
		switch d := drafts[0]; {
		case d.id == "" && groups[0] == "" && e.OwnTaskID != "":
			d.id, groups[0] = e.OwnTaskID, e.OwnTaskID
		case d.id == "":
			d.id = groups[0]
		case groups[0] == "":
			groups[0] = d.id
		}
	}
	seen := map[string]*draft{}
	for i, d := range drafts {
		if err := f.invent(&d.id, d, e, "task", d.where); err != nil {
			return err
		}
		if len(drafts) == 1 && groups[i] == "" {
			groups[i] = d.id
		}
		if err := f.invent(&groups[i], d, e, "group"); err != nil {
			return err
		}
		if other := seen[d.id]; other != nil {
			return f.complain(f.keyLine(d.line, "taskId"), d.where, "%s and %s have the same taskId %s", other.where, d.where, d.id)
		}
		seen[d.id] = d
		d.data.Set("taskGroupId", groups[i])
	}
	return nil
}

func (f *File) invent(id *string, d *draft, e Event, words ...string) error {
	if *id != "" {
		return nil
	}
	made, err := e.slug(words...)
	if err != nil {
		return f.complain(d.line, d.where, "%v", err)
	}
	*id = made
	return nil
}

// takeID reads an id, which may be missing or null.
func (f *File) takeID(d *draft, key string) (string, error) {
	v, _ := d.data.Get(key)
	if v == nil {
		return "", nil
	}
	id, _ := v.(string)
	if !slug.Valid(id) {
		return "", f.complain(f.keyLine(d.line, key), d.where+"."+key, "%s must be a slugid; make one with as_slugid(label), or leave it out", key)
	}
	return id, nil
}

// define turns a draft into a definition, with a complaint about the first thing that does not fit one.
func (f *File) define(d *draft, e Event) (task.Definition, error) {
	var out task.Definition
	clean := &jsone.Object{}
	known := definitionKeys()
	for key, value := range d.data.All() {
		if key == "taskId" || value == nil {
			continue
		}
		if !slices.Contains(known, key) {
			return out, f.complain(f.keyLine(d.line, key), d.where, "a task has no key %q; known are taskId, %s", key, strings.Join(known, ", "))
		}
		clean.Set(key, value)
	}
	setDefault(clean, "created", formatTime(e.Now))
	if scheduler := e.schedulerID(); scheduler != "" {
		setDefault(clean, "schedulerId", scheduler)
	}
	if err := f.checkShape(d, clean); err != nil {
		return out, err
	}
	if err := json.Unmarshal(jsone.AppendJSON(nil, clean), &out); err != nil {
		return out, f.definitionError(d, err)
	}
	if e.reports() {
		if route := f.route(); !slices.Contains(out.Routes, route) {
			out.Routes = append(out.Routes, route)
		}
	}
	return out, f.checkDefinition(d, &out)
}

func setDefault(o *jsone.Object, key string, value any) {
	if _, ok := o.Get(key); !ok {
		o.Set(key, value)
	}
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// reports says whether the forge hears of tasks by a route.
func (e Event) reports() bool { return strings.HasPrefix(e.TasksFor, "github-") }

func (e Event) schedulerID() string {
	if e.reports() {
		return "taskcluster-github"
	}
	return ""
}

func (f *File) route() string {
	if f.Reporting == "checks-v1" {
		return "checks"
	}
	return "statuses"
}

// definitionKeys are the keys of a task definition, in their order.
func definitionKeys() []string {
	t := reflect.TypeFor[task.Definition]()
	out := make([]string, t.NumField())
	for i := range out {
		out[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return out
}
