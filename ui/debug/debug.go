// Package debug is the page where people try configurations: an event and an edited .taskcluster.yml, or edited files
// of a tree's task graph, and at once the tasks that would come of it, how that differs from the default branch, and
// why each task is there or is not. Nothing is ever created from this page.
//
// What is tried is written by anybody. The work is done by a Lab, within a time and an amount of memory.
package debug

import (
	"context"
	"embed"
	"encoding/json"
	"time"

	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// ConfigFile is the file that says what is done when something happens.
const ConfigFile = ".taskcluster.yml"

// Lab tries configurations. It answers with kinds of internal/fault, and never creates anything.
type Lab interface {
	// Bench is what there is to begin with for a repository, at a branch or revision; "" is the default branch.
	Bench(ctx context.Context, repository, ref string) (Bench, error)
	// File reads a file of the configuration.
	File(ctx context.Context, repository, ref, path string) (string, error)
	// Event is an occasion, written out.
	Event(ctx context.Context, repository, ref, occasion string) (Event, error)
	// Try says what would come of it.
	Try(ctx context.Context, r Request) (Outcome, error)
}

// Bench is what a repository has to be tried.
type Bench struct {
	Repository, Ref, Revision string
	Default                   string     // the default branch
	Occasions                 []Occasion // the newest first, then made-up ones
	Files                     []string   // of the configuration
	Starter                   map[string]string
}

// Occasion is something that happened, or could.
type Occasion struct {
	ID   string `json:"id"` // such as push/12, delivery/GUID, new/github-push
	Text string `json:"text"`
	Real bool   `json:"real"`
}

// Event is what a template is given.
type Event struct {
	Occasion string          `json:"occasion"`
	TasksFor string          `json:"tasksFor"`
	Event    json.RawMessage `json:"event,omitempty"`   // the webhook's body
	Context  json.RawMessage `json:"context,omitempty"` // further names
	Role     string          `json:"role"`              // whose scopes the tasks would be created with
	Level    int             `json:"level"`
	Now      time.Time       `json:"now"`
	Seed     string          `json:"seed"`
	Own      string          `json:"ownTaskId"`
}

// Request is a try.
type Request struct {
	Repository string            `json:"repository"`
	Ref        string            `json:"ref"`
	Occasion   string            `json:"occasion"`
	Event      string            `json:"event"`      // JSON instead of the occasion's; "" leaves it
	TasksFor   string            `json:"tasksFor"`   // instead of the occasion's; "" leaves it
	Files      map[string]string `json:"files"`      // edited ones by path
	Parameters string            `json:"parameters"` // YAML: those that are to be otherwise
	Why        string            `json:"why"`        // a label to be explained in full; "" for none
}

// Mistake is what is wrong with what was tried.
type Mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Label   string `json:"label"`
	Message string `json:"message"`
}

// Outcome is what would come of it. Lists are never null.
type Outcome struct {
	TasksFor string    `json:"tasksFor"`
	Role     string    `json:"role"`
	Scopes   []string  `json:"scopes"` // that the role gives
	Mistakes []Mistake `json:"mistakes"`
	Warnings []string  `json:"warnings"`
	Tasks    []Task    `json:"tasks"` // of .taskcluster.yml
	Graph    *Graph    `json:"graph"` // null: the tree has none, or it was not asked for
	Changes  []Change  `json:"changes"`
	Millis   int64     `json:"millis"`
	Beyond   string    `json:"beyond"` // the limit that was met, "" when none was
	// Parameters are those with which the graph was made, in YAML.
	Parameters string `json:"parameters"`
}

// Task is one that .taskcluster.yml asks for.
type Task struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Queue      string   `json:"queue"`
	Line       int      `json:"line"`
	Definition string   `json:"definition"` // YAML
	Lacking    []string `json:"lacking"`    // scopes that the role does not give
}

// Graph is what a decision would make.
type Graph struct {
	Summary string  `json:"summary"`
	Kinds   []Kind  `json:"kinds"`
	Labels  []Label `json:"labels"`
	More    int     `json:"more"` // labels that are not listed
	Why     string  `json:"why"`  // the whole story of one label
	WhyOf   string  `json:"whyOf"`
}

// Kind is one kind of the graph.
type Kind struct {
	Name  string   `json:"name"`
	All   int      `json:"all"`  // tasks of it in the full graph
	Runs  int      `json:"runs"` // of these, those that would be created
	Needs []string `json:"needs"`
}

// Label is a task of the graph, and what becomes of it.
type Label struct {
	Label   string `json:"label"`
	Kind    string `json:"kind"`
	Runs    bool   `json:"runs"`
	Because string `json:"because"` // one sentence
	Place   string `json:"place"`   // file and line of the rule
}

// Change is a difference from the default branch's version.
type Change struct {
	What   string `json:"what"` // .taskcluster.yml, graph
	Kind   string `json:"kind"` // added, removed, changed, scope gained, scope lost
	Labels string `json:"labels"`
	Key    string `json:"key"`
	Old    string `json:"old"`
	New    string `json:"new"`
}

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Lab          Lab // nil: there is none
	Repositories func(ctx context.Context) ([]string, error)
	// Starter gives the files of the quickstart by path; nil: there is none.
	Starter func(ctx context.Context, repository string) (map[string]string, error)
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /config-debug", ps.page)
	k.Page("POST /config-debug", ps.page)
	k.Page("GET /tcyaml-debug", func(v *page.Visit) error {
		to := "/config-debug"
		if v.R.URL.RawQuery != "" {
			to += "?" + v.R.URL.RawQuery
		}
		return v.Redirect(to)
	})
	k.Data("POST /ui/api/config-debug/try", ps.tryData)
	k.Data("GET /ui/api/config-debug/event", ps.eventData)
	k.Data("GET /ui/api/config-debug/file", ps.fileData)
	return k.Add(markup)
}
