// Package actions is the pages of what the tree lets people do with the tasks of a push.
package actions

import (
	"embed"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue   *queue.Queue
	Push    *push.Log
	Actions Actions // nil: nothing is offered
}

// Offers reports whether a visitor may see what is offered.
func (ps *Pages) Offers(v *page.Visit) bool { return ps.Actions != nil && v.Allow(See) == nil }

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /actions/{group}", ps.actionList)
	k.Page("GET /actions/{group}/{name}", ps.actionForm)
	k.Page("POST /actions/{group}/{name}", ps.startAction)
	k.Data("GET /ui/api/actions/{group}", ps.actionsData)
	k.Data("POST /ui/api/actions/{group}/{name}", ps.startData)
	return k.Add(markup)
}
