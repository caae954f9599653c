package create

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/editor"
	"github.com/treeline-ci/treeline/workers/payload"
)

// Need is a scope that creating a task asks for.
type Need struct {
	Scope string `json:"scope"`
	Why   string `json:"why"`
	Held  bool   `json:"held"`
}

// Fact is a line of what would be created.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Report is what there is to say of a text.
type Report struct {
	Problems []editor.Problem `json:"problems"`
	Lines    []string         `json:"lines"` // the path of what stands at each line
	Needs    []Need           `json:"needs"`
	Facts    []Fact           `json:"facts"`
	JSON     string           `json:"json"` // the definition; "" when it cannot be read
	Docker   bool             `json:"docker"`
	Ready    bool             `json:"ready"` // it can be created by who looks at it

	definition task.Definition
}

const maxLines = 5000

// check says what is wrong with a definition, what it needs, and what would become of it.
func (ps *Pages) check(text, taskID string, have scope.Set, now time.Time) *Report {
	r := &Report{Problems: []editor.Problem{}, Lines: []string{}, Needs: []Need{}, Facts: []Fact{}}
	doc, problems := editor.Parse(text)
	if r.Problems = append(r.Problems, problems...); doc == nil {
		return r
	}
	r.Lines = doc.Lines(min(strings.Count(text, "\n")+1, maxLines))
	if body, err := doc.JSONText(); err == nil {
		r.JSON = body
	}
	r.Problems = append(r.Problems, ps.schema.Check(doc)...)
	r.Docker = docker(doc)
	r.Problems = append(r.Problems, ps.payload(doc)...)
	if len(r.Problems) > 0 && r.faulty() {
		return r
	}
	if p, ok := r.define(doc, taskID, now); !ok {
		r.Problems = append(r.Problems, p)
		return r
	}
	d := r.definition
	r.Needs = needs(d, have)
	r.Ready = have.Satisfies(scopes.Create(d))
	r.Facts = []Fact{
		{"Task queue", d.TaskQueueID}, {"Priority", string(d.Priority)}, {"Task group", groupText(d, taskID)},
		{"Given up after", d.Deadline.Sub(now).Round(time.Minute).String()}, {"Forgotten at", d.Expires.Format(time.DateOnly)},
		{"Waits for", countText(len(d.Dependencies), "task")},
	}
	return r
}

func (r *Report) faulty() bool {
	return slices.ContainsFunc(r.Problems, func(p editor.Problem) bool { return p.Severity == editor.Error })
}

// define reads the definition as the queue does; the problem says what it would refuse.
func (r *Report) define(doc *editor.Doc, taskID string, now time.Time) (editor.Problem, bool) {
	body, err := doc.JSON()
	if err != nil {
		return editor.Problem{Line: 1, Message: err.Error(), Severity: editor.Error}, false
	}
	if err := json.Unmarshal(body, &r.definition); err != nil {
		return doc.Problem(nil, "%v", err), false
	}
	t := queue.NewTask{ID: taskID, Definition: r.definition}
	if err := t.Prepare(); err != nil {
		text := fault.Message(err)
		return doc.Problem(about(text), "%s", text), false
	}
	r.definition = t.Definition
	if err := r.definition.CheckTimes(now); err != nil {
		return doc.Problem(about(err.Error()), "%s. “Update timestamps” sets them to now.", err), false
	}
	return editor.Problem{}, true
}

var keyIn = regexp.MustCompile(`\b(taskQueueId|provisionerId|workerType|schedulerId|projectId|taskGroupId|dependencies|dependency|requires|routes?|priority|retries|created|deadline|expires|scopes?|payload|metadata|tags|extra)\b`)

// about finds the key that a rule's complaint is about: its first.
func about(message string) []string {
	key := keyIn.FindString(message)
	switch key {
	case "":
		return nil
	case "dependency":
		key = "dependencies"
	case "route", "scope":
		key += "s"
	}
	return []string{key}
}

func docker(doc *editor.Doc) bool {
	m, _ := doc.Value().(map[string]any)
	p, _ := m["payload"].(map[string]any)
	for _, key := range []string{"image", "cache", "log", "capabilities"} {
		if _, ok := p[key]; ok {
			return true
		}
	}
	_, asMap := p["artifacts"].(map[string]any)
	return asMap
}

// payload warns of what Treeline's own workers would refuse; other workers may know other payloads.
func (ps *Pages) payload(doc *editor.Doc) []editor.Problem {
	m, _ := doc.Value().(map[string]any)
	p, ok := m["payload"].(map[string]any)
	if queueID, _ := m["taskQueueId"].(string); !ok || strings.HasPrefix(queueID, "built-in/") {
		return nil
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	_, err = ps.parser.Parse(raw, payload.Options{AcceptImages: true, Containers: true})
	wrong, ok := errors.AsType[*payload.Error](err)
	if !ok {
		return nil
	}
	var list []editor.Problem
	for _, text := range wrong.Problems {
		at, message, _ := strings.Cut(text, ": ")
		path := []string{"payload"}
		if strings.HasPrefix(at, "/") {
			path = append(path, strings.Split(at[1:], "/")...)
		}
		if name := unknownKey(message); name != "" {
			path = append(path, name)
		}
		problem := doc.Problem(path, "A worker would refuse this: %s %s", strings.Join(path, "."), message)
		problem.Severity = editor.Warning
		list = append(list, problem)
	}
	return list
}

var additional = regexp.MustCompile(`additional properties '([^']+)' not allowed`)

func unknownKey(message string) string {
	if m := additional.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// needs lists what scopes.Create asks for, with what each is for.
func needs(d task.Definition, have scope.Set) []Need {
	list := []Need{
		{Scope: "queue:create-task:" + string(d.Priority) + ":" + d.TaskQueueID, Why: "its task queue, at this priority or a higher one"},
		{Scope: "queue:scheduler-id:" + d.SchedulerID, Why: "its schedulerId"},
		{Scope: "queue:create-task:project:" + d.ProjectID, Why: "its projectId"},
	}
	for i := range list {
		list[i].Held = have.Has(list[i].Scope)
	}
	for _, p := range scopes.AtOrAbove(d.Priority) {
		list[0].Held = list[0].Held || have.Has("queue:create-task:"+string(p)+":"+d.TaskQueueID)
	}
	for _, r := range d.Routes {
		list = append(list, Need{"queue:route:" + r, "a route", have.Has("queue:route:" + r)})
	}
	for _, s := range d.Scopes {
		list = append(list, Need{s, "the task has it", have.Has(s)})
	}
	return list
}

func groupText(d task.Definition, taskID string) string {
	if d.TaskGroupID == taskID {
		return "its own"
	}
	return d.TaskGroupID
}

func countText(n int, what string) string {
	switch n {
	case 0:
		return "nothing"
	case 1:
		return "1 " + what
	}
	return strings.TrimSpace(strings.Join([]string{itoa(n), what + "s"}, " "))
}

// keyOf is the id of the task that a form makes: the same form makes one task, however often it is sent.
func keyOf(given string) string {
	if slug.Valid(given) {
		return given
	}
	return slug.Nice()
}
