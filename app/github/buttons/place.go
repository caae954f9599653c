package buttons

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/github/scopegate"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates"
)

// PlaceOf says where a check stands; For is "" for checks without buttons.
func PlaceOf(c checks.Check, tasks []checks.Task) Place {
	p := Place{TaskGroupID: c.TaskGroupID}
	switch c.Kind {
	case checks.Aggregate:
		p.For = templates.ForAggregate
	case checks.OfTask:
		p.TaskID = c.TaskID
	default:
		return p
	}
	if c.TaskGroupID == "" {
		p.For = ""
		return p
	}
	for _, t := range tasks {
		switch t.State {
		case task.Failed, task.Exception:
			p.Bad++
		case task.Completed:
		default:
			p.Going = true
		}
	}
	if c.Kind == checks.OfTask {
		switch {
		case p.Going:
			p.For = templates.ForRunning
		case p.Bad > 0:
			p.For = templates.ForFailed
		default:
			p.For = templates.ForPassed
		}
	}
	return p
}

// Links are the pages of actions that need an input, in Markdown.
func (o Offer) Links() string {
	if len(o.Forms) == 0 {
		return ""
	}
	links := make([]string, len(o.Forms))
	for i, f := range o.Forms {
		links[i] = fmt.Sprintf("[%s](%s)", plain(f.Title), f.URL)
	}
	return "These need to be told more first: " + strings.Join(links, ", ") + "."
}

// plain keeps a title of the tree's from being more than text.
var plain = strings.NewReplacer("[", "(", "]", ")", "<", "&lt;", "\n", " ", "`", "'").Replace

// Role is the end of the name of the role with which actions on what a change made are started.
func Role(c intake.Change) string {
	switch {
	case c.TasksFor == "github-pull-request-untrusted":
		return "pull-request-untrusted"
	case strings.HasPrefix(c.Branch, "pull/") && c.TasksFor != "github-push":
		return "pull-request"
	case c.TasksFor == "github-release":
		return "release"
	case c.HeadTag != "":
		return "tag:" + c.HeadTag
	}
	return "branch:" + c.Branch
}

// Least is the role at GitHub that who starts an action, or presses one of our own buttons, needs, and how one says
// what it may do.
func Least(file *templates.File, action string) (ghclient.Role, string) {
	role := file.Extras.MayStart[action]
	if action == scopegate.Button {
		role = file.Extras.ApproveNewScopes
	}
	switch role {
	case "maintain":
		return ghclient.Maintains, "maintain"
	case "admin":
		return ghclient.Administers, "administer"
	}
	return ghclient.Writes, "write to"
}
