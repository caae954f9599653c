package github

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates"
)

// offer says which buttons a completed check has, and in Markdown where the forms of actions are that need an input.
func (g *GitHub) offer(ctx context.Context, c checks.Check, tasks []checks.Task) ([]checks.Action, string, error) {
	place := placeOf(c, tasks)
	if place.For == "" {
		return nil, "", nil
	}
	owner, repo, _ := strings.Cut(c.Repository, "/")
	r, err := g.named(ctx, owner, repo)
	if err != nil {
		return nil, "", ignoreGone(err)
	}
	file, err := g.files.get(r.ID, func() (*templates.File, error) {
		file, _, err := g.defaults(ctx, r)
		return file, err
	})
	if err != nil {
		return nil, "", err
	}
	there, _, err := g.startable(ctx, r, place)
	if err != nil {
		return nil, "", err
	}
	o := buttons.Choose(buttons.Wished(file, place, there), place, there, g.RootURL)
	out := make([]checks.Action, len(o.Buttons))
	for i, b := range o.Buttons {
		out[i] = checks.Action{Label: b.Label, Description: b.Description, Identifier: b.Identifier}
	}
	return out, forms(o.Forms), nil
}

// placeOf says where a check stands; For is "" for checks without buttons.
func placeOf(c checks.Check, tasks []checks.Task) buttons.Place {
	p := buttons.Place{TaskGroupID: c.TaskGroupID}
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

// forms are the links to the pages of actions.
func forms(list []buttons.Form) string {
	if len(list) == 0 {
		return ""
	}
	links := make([]string, len(list))
	for i, f := range list {
		links[i] = fmt.Sprintf("[%s](%s)", escape(f.Title), f.URL)
	}
	return "These need to be told more first: " + strings.Join(links, ", ") + "."
}

// startable are the actions on a task or a group, each with whether the repository's role may start it, and who starts
// them. A group without a list of actions has none.
func (g *GitHub) startable(ctx context.Context, r repository, p buttons.Place) ([]actions.Offer, auth.Caller, error) {
	caller, err := g.starter(ctx, r, p.TaskGroupID)
	if err != nil || g.Offered == nil {
		return nil, caller, ignoreGone(err)
	}
	there, err := g.Offered(ctx, caller, p.TaskGroupID, p.TaskID)
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.TooLarge:
		return nil, caller, nil
	}
	return there, caller, err
}

// starter is in whose name actions are started for people at GitHub: a role of the repository by what the build is
// for. Neither the scopes of who presses nor those of the change count.
func (g *GitHub) starter(ctx context.Context, r repository, group string) (auth.Caller, error) {
	c, err := g.ByTaskGroup(ctx, group)
	if err != nil {
		return auth.Caller{}, err
	}
	role := r.role() + ":buttons:" + buttonRole(c)
	held, err := g.Expand(ctx, []string{"assume:" + role})
	return auth.Caller{ClientID: role, Scopes: held}, err
}

// buttonRole is the end of the name of that role.
func buttonRole(c intake.Change) string {
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

func ignoreGone(err error) error {
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// roleOf returns what somebody may do with a repository.
func (g *GitHub) roleOf(ctx context.Context, r repository, login string) (ghclient.Role, error) {
	switch {
	case login == "":
		return ghclient.NoRole, nil
	case strings.EqualFold(login, r.Owner):
		return ghclient.Administers, nil
	}
	return g.forge(r).RoleOf(ctx, login)
}

// least is the role that an action needs.
func least(file *templates.File, action string) (ghclient.Role, string) {
	switch file.Extras.MayStart[action] {
	case "maintain":
		return ghclient.Maintains, "maintain"
	case "admin":
		return ghclient.Administers, "administer"
	}
	return ghclient.Writes, "write to"
}

// keepFile is how long the file of a default branch is kept to say which buttons there are. What it says of rights is
// read anew each time.
const keepFile = time.Minute

// fileCache keeps files of default branches. The zero value is ready.
type fileCache struct {
	mu   sync.Mutex
	kept map[int64]keptFile
}

type keptFile struct {
	file *templates.File
	read time.Time
}

func (c *fileCache) get(repository int64, read func() (*templates.File, error)) (*templates.File, error) {
	c.mu.Lock()
	k, ok := c.kept[repository]
	c.mu.Unlock()
	if ok && time.Since(k.read) < keepFile {
		return k.file, nil
	}
	now := time.Now()
	file, err := read()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) > 1000 {
		c.kept = map[int64]keptFile{}
	}
	c.kept[repository] = keptFile{file, now}
	return file, nil
}

// drop forgets the file of a repository, whose default branch has moved.
func (c *fileCache) drop(repository int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, repository)
}
