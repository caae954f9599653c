package templates

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// required are the keys a task must have, each with how to get it.
var required = []struct{ key, remedy string }{
	{"deadline", "add `deadline: {$fromNow: 1 day}`"},
	{"payload", "add `payload:` with what the worker is to do"},
	{"metadata", "add `metadata:` with name, description, owner and source"},
}

// checkShape finds what is missing or of the wrong type before the definition is decoded.
func (f *File) checkShape(d *draft, o *jsone.Object) error {
	for _, r := range required {
		if _, ok := o.Get(r.key); !ok {
			return f.complain(d.line, d.where, "%s has no %s; %s", d.where, r.key, r.remedy)
		}
	}
	for _, key := range []string{"payload", "metadata", "tags", "extra"} {
		if v, ok := o.Get(key); ok {
			if _, ok := v.(*jsone.Object); !ok {
				return f.complain(f.keyLine(d.line, key), d.where+"."+key, "%s must be a mapping", key)
			}
		}
	}
	v, _ := o.Get("metadata")
	metadata, _ := v.(*jsone.Object)
	want := []string{"name", "description", "owner", "source"}
	for _, key := range want {
		v, ok := metadata.Get(key)
		if _, isText := v.(string); !ok || !isText {
			return f.complain(f.keyLine(orElse(metadata.Line(), d.line), key), d.where+".metadata", "metadata.%s must be a string", key)
		}
	}
	for key := range metadata.All() {
		if !slices.Contains(want, key) {
			return f.complain(f.keyLine(orElse(metadata.Line(), d.line), key), d.where+".metadata",
				"metadata has no key %q; known are %s", key, strings.Join(want, ", "))
		}
	}
	return nil
}

func orElse(line, other int) int {
	if line == 0 {
		return other
	}
	return line
}

// definitionError says which key did not decode.
func (f *File) definitionError(d *draft, err error) error {
	var wrong *jsonv1.UnmarshalTypeError // task.Definition is read with it
	if !errors.As(err, &wrong) {
		return f.complain(d.line, d.where, "%s is no task definition: %v", d.where, err)
	}
	path := strings.Split(wrong.Field, ".")
	want := "a " + wrong.Type.String()
	switch wrong.Type.Kind().String() {
	case "int":
		want = "a whole number"
	case "slice":
		want = "a list of strings"
	case "map":
		want = "a mapping of strings"
	}
	return f.complain(f.keyLine(d.line, path[0]), d.where+"."+wrong.Field, "%s must be %s, not a %s", wrong.Field, want, wrong.Value)
}

// checkDefinition finds what the types cannot say and the file's author should hear with a line. The queue checks all of
// it again, with the clock.
func (f *File) checkDefinition(d *draft, t *task.Definition) error {
	complain := func(key, format string, args ...any) error {
		return f.complain(f.keyLine(d.line, key), d.where+"."+key, format, args...)
	}
	copied := *t
	if err := copied.Complete(d.id); err != nil {
		key := "taskQueueId"
		if t.TaskQueueID == "" {
			key = "provisionerId"
		}
		return complain(key, "%s: %v", d.where, err)
	}
	if err := t.CheckScopes(); err != nil {
		return complain("scopes", "%v", err)
	}
	switch {
	case !slices.Contains(task.Priorities(), t.Priority):
		return complain("priority", "priority %q is unknown; known are %v", t.Priority, task.Priorities())
	case t.Requires != task.AllCompleted && t.Requires != task.AllResolved:
		return complain("requires", "requires must be %s or %s", task.AllCompleted, task.AllResolved)
	case t.Retries < 0 || t.Retries > task.MaxRetries:
		return complain("retries", "retries must be 0 to %d", task.MaxRetries)
	case len(t.Routes) > task.MaxRoutes:
		return complain("routes", "a task may have %d routes at most", task.MaxRoutes)
	case t.Deadline.Before(t.Created.Time):
		return complain("deadline", "deadline %s lies before created %s", t.Deadline, t.Created)
	case t.Deadline.After(t.Created.Add(task.MaxDeadline)):
		return complain("deadline", "deadline lies more than %d days after created", int(task.MaxDeadline.Hours()/24))
	case !t.Expires.IsZero() && t.Expires.Before(t.Deadline.Time):
		return complain("expires", "expires %s lies before deadline %s", t.Expires, t.Deadline)
	}
	return nil
}

// order sorts tasks so that each comes after those of the file it depends on, keeping the file's order otherwise.
func (f *File) order(tasks []Task) ([]Task, error) {
	byID := make(map[string]int, len(tasks))
	for i, t := range tasks {
		byID[t.ID] = i
	}
	var out []Task
	state := make([]int, len(tasks)) // 0 not seen, 1 being visited, 2 done
	var trail []string
	var visit func(i int) error
	visit = func(i int) error {
		if state[i] == 2 {
			return nil
		}
		trail = append(trail, tasks[i].Definition.Metadata.Name)
		if state[i] == 1 {
			return f.complain(f.keyLine(tasks[i].Line, "dependencies"), fmt.Sprintf("tasks[%d].dependencies", i),
				"the tasks depend on each other in a circle: %s; remove one dependency", strings.Join(trail, " → "))
		}
		state[i] = 1
		for _, id := range tasks[i].Definition.Dependencies {
			if j, ok := byID[id]; ok {
				if err := visit(j); err != nil {
					return err
				}
			}
		}
		trail = trail[:len(trail)-1]
		state[i] = 2
		out = append(out, tasks[i])
		return nil
	}
	for i := range tasks {
		trail = trail[:0]
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}
