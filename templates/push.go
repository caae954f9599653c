package templates

import (
	"cmp"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Push is a push to a local git repository, or to a Mercurial one.
type Push struct {
	Repository     string // where it can be cloned from
	Project        string // its short name
	Role           string // repo:<forge path>, what its roles' names start with
	Level          int    // trust, 1 to 3
	Owner          string // the pusher's e-mail
	Branch         string
	Revision       string
	BaseRevision   string // what the branch was before; "" or zeros for a new branch
	PushID         int64
	PushlogID      string    // as the forge counts; PushID when ""
	Comment        string    // of the newest changeset; Mercurial's only
	Time           time.Time // of the push
	Now            time.Time // of the decision, which may come later; zero means Time
	DecisionTaskID string
	RootURL        string
}

// LocalPush is a push as a template sees it: tasks_for git-push with the names that build-decision gives to pushes
// (taskgraph-map 19 and 25), and an `event` that is shaped like GitHub's push, so that files made for either work.
func LocalPush(p Push) Event {
	owner := cmp.Or(p.Owner, "nobody@localhost")
	ref := "refs/heads/" + p.Branch
	base := cmp.Or(p.BaseRevision, "0000000000000000000000000000000000000000")
	push := map[string]any{
		"owner": owner, "revision": p.Revision, "base_revision": base, "branch": p.Branch, "base_branch": p.Branch,
		"pushlog_id": strconv.FormatInt(p.PushID, 10), "pushdate": p.Time.Unix(),
	}
	repository := map[string]any{
		"url": p.Repository, "base_url": p.Repository, "project": p.Project, "level": strconv.Itoa(p.Level), "type": "git", "role": p.Role,
	}
	event := map[string]any{
		"ref": ref, "before": base, "after": p.Revision, "base_ref": nil, "created": p.BaseRevision == "", "deleted": false,
		"repository": map[string]any{"name": p.Project, "full_name": p.Project, "html_url": p.Repository, "clone_url": p.Repository},
		"pusher":     map[string]any{"name": owner, "email": owner},
		"sender":     map[string]any{"login": owner},
	}
	now := p.Now
	if now.IsZero() {
		now = p.Time
	}
	return Event{
		TasksFor: "git-push", Event: event, RootURL: p.RootURL, Now: now, OwnTaskID: p.DecisionTaskID,
		Context: map[string]any{"push": push, "repository": repository, "ownTaskId": p.DecisionTaskID},
		Seed:    fmt.Sprintf("git-push %s %d %s %s", p.Project, p.PushID, p.Revision, p.DecisionTaskID),
	}
}

// With returns the event with more context names.
func (e Event) With(names map[string]any) Event {
	context := maps.Clone(e.Context)
	if context == nil {
		context = map[string]any{}
	}
	maps.Copy(context, names)
	e.Context = context
	return e
}
