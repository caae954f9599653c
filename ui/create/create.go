// Package create is the pages where people make tasks by hand, and the first configuration of a repository: an editor
// for a task's definition, checked while it is written, and the quickstart.
//
// Nothing is believed because the page's script has checked it: a definition goes through the same schema, the same
// rules and the same scopes as at the door for programs.
package create

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/editor"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/workers/payload"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue *queue.Queue
	// Schemas holds the queue's requests: schemas/create-task-request.json and what it refers to.
	Schemas fs.FS
	RootURL string
	// Starter looks at a repository; nil: there is no quickstart.
	Starter func(ctx context.Context, repository string) (Starter, error)
	// Proposals make pull requests of what Starter writes; nil: there are none.
	Proposals Proposals
	// Repositories are those that the quickstart offers.
	Repositories func(ctx context.Context) ([]string, error)

	schema   *editor.Schema
	payloads [2]*editor.Schema // of the dialects, for help
	parser   *payload.Parser
}

// Starter is a configuration to begin with.
type Starter struct {
	Repository, Branch, Revision string
	There                        []string // of its files, those that the repository has already
	Found                        []Finding
	Files                        []File
	NewFileURL                   string // where the forge has a form for a new file, to which the branch is added; "" where that cannot be said
}

// Finding is a kind of project, and what is done with it.
type Finding struct {
	Template, Because string
	Jobs              []Job
}

// Job is a task that the configuration asks for.
type Job struct{ Name, Command string }

// File is one file of the configuration.
type File struct{ Name, Why, Content string }

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	files, err := fs.Sub(ps.Schemas, "schemas")
	if err != nil {
		return err
	}
	if ps.schema, err = editor.Compile(files, "create-task-request.json"); err != nil {
		return err
	}
	generic, docker := payload.Schemas()
	if ps.payloads[0], err = editor.Of(generic); err != nil {
		return err
	}
	if ps.payloads[1], err = editor.Of(docker); err != nil {
		return err
	}
	if ps.parser, err = payload.NewParser(); err != nil {
		return err
	}
	k.Page("GET /tasks/create", ps.page)
	k.Page("POST /tasks/create", ps.send)
	k.Data("POST /ui/api/create", ps.createData)
	k.Data("POST /ui/api/create/check", ps.checkData)
	k.Data("POST /ui/api/create/change", ps.changeData)
	k.Page("GET /quickstart", ps.quickstart)
	k.Page("POST /quickstart", ps.propose)
	return k.Add(markup)
}

// blank is what the editor begins with.
func blank(now time.Time) string {
	return `taskQueueId: local/linux
schedulerId: '-'
created: ` + stampOf(now) + `
deadline: ` + stampOf(now.Add(3*time.Hour)) + `
payload:
  command:
    - [sh, -c, echo hello]
  maxRunTime: 600
metadata:
  name: A task by hand
  description: Says hello.
  owner: nobody@example.com
  source: https://example.com
`
}

func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
