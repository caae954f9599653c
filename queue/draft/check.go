// Package draft has the rules for tasks that are to be created, as far as they need neither the
// database nor the clock (taskcluster-map 5.1 to 5.3). It is pure.
package draft

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// The grammar of names (taskcluster-map 5.1). The door's schemas say the same; callers in process
// are checked here.
var (
	projectID   = regexp.MustCompile(`^[a-zA-Z0-9._/-]+$`) // and at most maxProject bytes: a counted pattern is long when compiled
	printable   = regexp.MustCompile(`^[ -~]*$`)
	sourceStart = regexp.MustCompile(`^(https?://|ssh://|git@)`)
)

const (
	maxProject     = 500 // bytes
	maxRoute       = 249
	maxTag         = 4096
	maxTags        = 256 << 10 // bytes of all tags, which every event of the task carries
	maxName        = 255
	maxDescription = 32768
	maxSource      = 4096
)

// Task is a task to create.
type Task struct {
	ID         string
	Definition task.Definition
}

// Prepare completes the definition and checks everything about it that needs neither the database
// nor the clock. Create does so itself; a door does it first, to authorize what the task will be.
func (n *Task) Prepare() error {
	if err := n.Definition.Complete(n.ID); err != nil {
		return fault.New(fault.Invalid, "Task %s: %v", n.ID, err)
	}
	if err := n.check(); err != nil {
		return fault.New(fault.Invalid, "Task %s: %v", n.ID, err)
	}
	return nil
}

func (n *Task) check() error {
	d := &n.Definition
	switch {
	case !slug.Valid(n.ID):
		return fmt.Errorf("its id is no v4 slugid")
	case !slug.Valid(d.TaskGroupID):
		return fmt.Errorf("taskGroupId %q is no v4 slugid", d.TaskGroupID)
	case !task.IsQueueID(d.TaskQueueID):
		return fmt.Errorf("taskQueueId %q must be provisionerId/workerType: 1 to 38 of a-zA-Z0-9-_, then 1 to 38 of a-z0-9-", d.TaskQueueID)
	case !task.IsIdentifier(d.SchedulerID):
		return fmt.Errorf("schedulerId %q must be 1 to 38 of a-zA-Z0-9-_", d.SchedulerID)
	case len(d.ProjectID) > maxProject || !projectID.MatchString(d.ProjectID):
		return fmt.Errorf("projectId must be 1 to 500 of a-zA-Z0-9._/-")
	case d.Priority.Rank() == 0:
		return fmt.Errorf("priority %q is none of %v", d.Priority, task.Priorities())
	case d.Requires != task.AllCompleted && d.Requires != task.AllResolved:
		return fmt.Errorf("requires must be %s or %s, not %q", task.AllCompleted, task.AllResolved, d.Requires)
	case d.Retries < 0 || d.Retries > task.MaxRetries:
		return fmt.Errorf("retries must be 0 to %d, not %d", task.MaxRetries, d.Retries)
	}
	for _, check := range []func(*task.Definition) error{checkDependencies, checkRoutes, checkMetadata, checkTags, checkScopes, checkFree, checkIndex} {
		if err := check(d); err != nil {
			return err
		}
	}
	return nil
}

func checkDependencies(d *task.Definition) error {
	if len(d.Dependencies) > task.MaxDependencies {
		return fmt.Errorf("it has %d dependencies, more than %d", len(d.Dependencies), task.MaxDependencies)
	}
	seen := make(map[string]bool, len(d.Dependencies))
	for _, id := range d.Dependencies {
		if !slug.Valid(id) {
			return fmt.Errorf("dependency %q is no v4 slugid", id)
		}
		if seen[id] {
			return fmt.Errorf("dependency %s is named twice", id)
		}
		seen[id] = true
	}
	return nil
}

func checkRoutes(d *task.Definition) error {
	if len(d.Routes) > task.MaxRoutes {
		return fmt.Errorf("it has %d routes, more than %d", len(d.Routes), task.MaxRoutes)
	}
	seen := make(map[string]bool, len(d.Routes))
	for _, r := range d.Routes {
		if n := utf8.RuneCountInString(r); n < 1 || n > maxRoute || !Storable(r) {
			return fmt.Errorf("route %q must have 1 to %d characters, none of them NUL", r, maxRoute)
		}
		if seen[r] {
			return fmt.Errorf("route %q is named twice", r)
		}
		seen[r] = true
	}
	return nil
}

func checkMetadata(d *task.Definition) error {
	m := d.Metadata
	for _, f := range []struct {
		name, value string
		most        int
	}{{"name", m.Name, maxName}, {"description", m.Description, maxDescription}, {"owner", m.Owner, maxName}, {"source", m.Source, maxSource}} {
		if utf8.RuneCountInString(f.value) > f.most {
			return fmt.Errorf("metadata.%s is longer than %d characters", f.name, f.most)
		}
	}
	if !sourceStart.MatchString(m.Source) {
		return fmt.Errorf("metadata.source must start with http://, https://, ssh:// or git@")
	}
	return nil
}

func checkTags(d *task.Definition) error {
	size := 0
	for k, v := range d.Tags {
		size += len(k) + len(v)
		if size > maxTags {
			return fmt.Errorf("its tags have more than %d bytes", maxTags)
		}
		if utf8.RuneCountInString(v) > maxTag {
			return fmt.Errorf("tag %q is longer than %d characters", k, maxTag)
		}
	}
	return nil
}

func checkScopes(d *task.Definition) error {
	for _, s := range d.Scopes {
		if !Printable(s) {
			return fmt.Errorf("scope %q must be printable ASCII", s)
		}
	}
	return d.CheckScopes()
}

// checkFree looks at the parts that are the user's own JSON.
func checkFree(d *task.Definition) error {
	if len(d.Extra) == 0 {
		d.Extra = json.RawMessage("{}")
	}
	for _, f := range []struct {
		name  string
		value json.RawMessage
	}{{"payload", d.Payload}, {"extra", d.Extra}} {
		if !bytes.HasPrefix(bytes.TrimLeft(f.value, " \t\r\n"), []byte("{")) || !json.Valid(f.value) || !utf8.Valid(f.value) {
			return fmt.Errorf("%s must be a JSON object in UTF-8", f.name)
		}
		if depth(f.value) > maxDepth {
			return fmt.Errorf("%s is nested more than %d deep", f.name, maxDepth)
		}
	}
	return nil
}

// maxDepth bounds the nesting of user JSON: every reader after us, and PostgreSQL, recurses on it.
const maxDepth = 500

// depth returns the deepest nesting of valid JSON.
func depth(data []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// Storable reports whether PostgreSQL can keep the text.
func Storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Printable reports whether the text is printable ASCII.
func Printable(s string) bool { return printable.MatchString(s) }
