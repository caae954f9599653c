package ui

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/task"
)

// maxHookLines is how many hooks a page of the list shows.
const maxHookLines = 500

// hookLine is a hook in the list.
type hookLine struct {
	hooks.Line
	Path  string
	When  []string // the schedule in words
	Fires hookResult
}

// hookResult is what became of a fire, as the visitor may see it.
type hookResult struct {
	Seen  bool // there is one, and the visitor may know
	State string
	Text  string
	Task  string // its page; "" without a task
	Error string
	Time  time.Time
}

// hookGroup is the hooks of a group.
type hookGroup struct {
	Name  string
	Hooks []hookLine
}

type hooksView struct {
	Groups  []hookGroup
	Q       string
	Failing bool
	Next    string // address of the next page
	None    bool   // there is no hook at all
}

func hookPath(group, id string) string {
	return "/hooks/" + url.PathEscape(group) + "/" + (&url.URL{Path: id}).EscapedPath()
}

// hookList lists the hooks by group.
func (u *UI) hookList(v *visit) error {
	if err := v.allow(scope.String("hooks:list-hooks:")); err != nil {
		return err
	}
	body := hooksView{Q: strings.TrimSpace(v.r.FormValue("q")), Failing: v.r.FormValue("state") == "failing"}
	afterGroup, afterID, _ := strings.Cut(v.r.FormValue("after"), "/")
	list, err := u.deps.Hooks.Overview(v.r.Context(), afterGroup, afterID, maxHookLines+1)
	if err != nil {
		return err
	}
	body.None = len(list) == 0 && afterGroup == ""
	if len(list) > maxHookLines {
		list = list[:maxHookLines]
		last := list[maxHookLines-1]
		query := url.Values{"after": {last.Group + "/" + last.ID}}
		for name, value := range map[string]string{"q": body.Q, "state": v.r.FormValue("state")} {
			if value != "" {
				query.Set(name, value)
			}
		}
		body.Next = "/hooks?" + query.Encode()
	}
	states, err := u.hookStates(v, list)
	if err != nil {
		return err
	}
	for _, l := range list {
		line := hookLine{Line: l, Path: hookPath(l.Group, l.ID), When: inWords(l.Schedule), Fires: v.lastOf(l, states)}
		failing := line.Fires.Error != "" || l.Failures > 0
		text := strings.ToLower(l.Group + "/" + l.ID + " " + l.Name)
		if body.Failing && !failing || !strings.Contains(text, strings.ToLower(body.Q)) {
			continue
		}
		if n := len(body.Groups); n == 0 || body.Groups[n-1].Name != l.Group {
			body.Groups = append(body.Groups, hookGroup{Name: l.Group})
		}
		g := &body.Groups[len(body.Groups)-1]
		g.Hooks = append(g.Hooks, line)
	}
	return v.show(http.StatusOK, view{Title: "Hooks", Name: "hooks", Body: body}, nil)
}

// hookStates reads how the tasks stand that hooks made last.
func (u *UI) hookStates(v *visit, list []hooks.Line) (map[string]task.Status, error) {
	ids := make([]string, 0, len(list))
	for _, l := range list {
		if l.LastTaskID != "" && l.LastError == "" {
			ids = append(ids, l.LastTaskID)
		}
	}
	return u.statusesOf(v, ids)
}

func (u *UI) statusesOf(v *visit, ids []string) (map[string]task.Status, error) {
	states := make(map[string]task.Status, len(ids))
	list, err := u.deps.Queue.Statuses(v.r.Context(), ids)
	for _, s := range list {
		states[s.TaskID] = s
	}
	return states, err
}

// lastOf is what became of a hook's last fire.
func (v *visit) lastOf(l hooks.Line, states map[string]task.Status) hookResult {
	if l.Last == nil || v.allow(seeFires(l.Group, l.ID)) != nil {
		return hookResult{}
	}
	return v.resultOf(hooks.LastFire{TaskID: l.LastTaskID, Error: l.LastError, Time: *l.Last}, states)
}

func seeFires(group, id string) scope.Expr {
	return scope.String("hooks:list-last-fires:" + group + "/" + id)
}

func (v *visit) resultOf(f hooks.LastFire, states map[string]task.Status) hookResult {
	r := hookResult{Seen: true, Text: "task made", Error: f.Error, Time: f.Time}
	switch s, there := states[f.TaskID]; {
	case f.Error != "":
		r.State, r.Text = "exception", "no task"
	case !there:
		r.State, r.Text = "unscheduled", "task expired"
	case v.allow(scope.String("queue:status:"+f.TaskID)) == nil:
		r.State = stateOf(s.State, reasonOf(s))
		r.Text, r.Task = words[r.State], "/tasks/"+f.TaskID
	default:
		r.State, r.Task = "unscheduled", "/tasks/"+f.TaskID
	}
	return r
}

func reasonOf(s task.Status) task.ReasonResolved {
	if r := s.LastRun(); r != nil {
		return r.ReasonResolved
	}
	return ""
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
