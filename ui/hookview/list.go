// Package hookview makes what the pages of hooks show, of what their visitor may see.
package hookview

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/task"
)

// Visit is a request for a page.
type Visit struct {
	Hooks    *hooks.Hooks
	Statuses func(ctx context.Context, ids []string) ([]task.Status, error)
	Allow    func(want scope.Expr) error              // what the visitor lacks
	Words    func(s task.Status) (state, text string) // how pages tell of a task
}

// maxLines is how many hooks a page of the list shows.
const maxLines = 500

// Line is a hook in the list.
type Line struct {
	hooks.Line
	Path  string
	When  []string // the schedule in words
	Fires Result
}

// Result is what became of a fire, as the visitor may see it.
type Result struct {
	Seen  bool // there is one, and the visitor may know
	State string
	Text  string
	Task  string // its page; "" without a task
	Error string
	Time  time.Time
}

// Group is the hooks of a group.
type Group struct {
	Name  string
	Hooks []Line
}

// List is the page of all hooks.
type List struct {
	Groups  []Group
	Q       string
	Failing bool
	Next    string // address of the next page
	None    bool   // there is no hook at all
}

// Path is the address of a hook's page.
func Path(group, id string) string {
	return "/hooks/" + url.PathEscape(group) + "/" + (&url.URL{Path: id}).EscapedPath()
}

// List makes the list for the query q, state and after. It needs hooks:list-hooks:.
func (v *Visit) List(ctx context.Context, query url.Values) (*List, error) {
	if err := v.Allow(scope.String("hooks:list-hooks:")); err != nil {
		return nil, err
	}
	body := &List{Q: strings.TrimSpace(query.Get("q")), Failing: query.Get("state") == "failing"}
	afterGroup, afterID, _ := strings.Cut(query.Get("after"), "/")
	list, err := v.Hooks.Overview(ctx, afterGroup, afterID, maxLines+1)
	if err != nil {
		return nil, err
	}
	body.None = len(list) == 0 && afterGroup == ""
	if len(list) > maxLines {
		list = list[:maxLines]
		last := list[maxLines-1]
		next := url.Values{"after": {last.Group + "/" + last.ID}}
		for _, name := range []string{"q", "state"} {
			if query.Has(name) {
				next.Set(name, query.Get(name))
			}
		}
		body.Next = "/hooks?" + next.Encode()
	}
	var ids []string
	for _, l := range list {
		if l.LastTaskID != "" && l.LastError == "" {
			ids = append(ids, l.LastTaskID)
		}
	}
	states, err := v.statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		body.add(Line{Line: l, Path: Path(l.Group, l.ID), When: inWords(l.Schedule), Fires: v.lastOf(l, states)})
	}
	return body, nil
}

// add adds a hook, if it fits what is asked for.
func (b *List) add(line Line) {
	failing := line.Fires.Error != "" || line.Failures > 0
	text := strings.ToLower(line.Group + "/" + line.ID + " " + line.Name)
	if b.Failing && !failing || !strings.Contains(text, strings.ToLower(b.Q)) {
		return
	}
	if n := len(b.Groups); n == 0 || b.Groups[n-1].Name != line.Group {
		b.Groups = append(b.Groups, Group{Name: line.Group})
	}
	g := &b.Groups[len(b.Groups)-1]
	g.Hooks = append(g.Hooks, line)
}

func (v *Visit) statuses(ctx context.Context, ids []string) (map[string]task.Status, error) {
	states := make(map[string]task.Status, len(ids))
	list, err := v.Statuses(ctx, ids)
	for _, s := range list {
		states[s.TaskID] = s
	}
	return states, err
}

// lastOf is what became of a hook's last fire.
func (v *Visit) lastOf(l hooks.Line, states map[string]task.Status) Result {
	if l.Last == nil || v.Allow(seeFires(l.Group, l.ID)) != nil {
		return Result{}
	}
	return v.resultOf(hooks.LastFire{TaskID: l.LastTaskID, Error: l.LastError, Time: *l.Last}, states)
}

func seeFires(group, id string) scope.Expr {
	return scope.String("hooks:list-last-fires:" + group + "/" + id)
}

func (v *Visit) resultOf(f hooks.LastFire, states map[string]task.Status) Result {
	r := Result{Seen: true, State: "unscheduled", Text: "task made", Error: f.Error, Time: f.Time}
	switch s, there := states[f.TaskID]; {
	case f.Error != "":
		r.State, r.Text = "exception", "no task"
	case !there:
		r.Text = "task expired"
	case v.Allow(scope.String("queue:status:"+f.TaskID)) != nil:
		r.Task = "/tasks/" + f.TaskID
	default:
		r.State, r.Text = v.Words(s)
		r.Task = "/tasks/" + f.TaskID
	}
	return r
}

// inWords says a schedule in words; an expression that cannot be read stands as it is.
func inWords(schedule []string) []string {
	list := make([]string, len(schedule))
	for i, text := range schedule {
		list[i] = text
		if s, err := cron.Parse(text); err == nil {
			list[i] = s.Words()
		}
	}
	return list
}
