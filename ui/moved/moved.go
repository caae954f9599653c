// Package moved leads from addresses that Taskcluster and Treeherder have, as they stand in mails and bookmarks, to the
// pages that show the same here. Addresses of which the page itself takes care are not here.
package moved

import (
	"net/url"

	"github.com/treeline-ci/treeline/ui/page"
)

// Pages are the addresses. They are safe for concurrent use.
type Pages struct{}

// Register adds the addresses to a kit.
func (Pages) Register(k *page.Kit) error {
	for pattern, to := range map[string]func(v *page.Visit) string{
		"GET /tasks/groups/{group}/tasks/{task}":           task,
		"GET /tasks/groups/{group}/tasks/{task}/{rest...}": func(v *page.Visit) string { return task(v) + "/" + v.R.PathValue("rest") },
		"GET /docs/reference/{where}/{service}/{what}":     func(v *page.Visit) string { return "/docs/" + url.PathEscape(v.R.PathValue("service")) },
		"GET /userguide": func(*page.Visit) string { return "/docs" },
	} {
		k.Page(pattern, func(v *page.Visit) error { return v.Redirect(to(v)) })
	}
	return nil
}

func task(v *page.Visit) string { return "/tasks/" + url.PathEscape(v.R.PathValue("task")) }
