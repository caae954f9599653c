package treeherder

import (
	"regexp"
	"strconv"
	"strings"
)

// Destination begins the routes of tasks that Treeherder shows.
const Destination = "tc-treeherder"

// origin is where a task belongs in Treeherder: what its route says.
type origin struct {
	Kind        string `json:"kind"` // "hg.mozilla.org", or "github.com" for owner/project
	Owner       string `json:"owner,omitempty"`
	Project     string `json:"project"`
	Revision    string `json:"revision"`
	PushLogID   int64  `json:"pushLogID,omitempty"`
	PullRequest int64  `json:"pullRequestID,omitempty"`
}

var (
	word     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)
	revision = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// originOf reads the one route tc-treeherder.v2.<project>.<revision>[.<id>] of a task (vcs-integration
// 3.2). Treeherder takes no task with two, and none whose project or revision it cannot hold.
func originOf(routes []string) (origin, bool) {
	var found []string
	for _, r := range routes {
		if strings.HasPrefix(r, Destination+".") {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return origin{}, false
	}
	parts := strings.Split(found[0], ".")
	if len(parts) != 4 && len(parts) != 5 || parts[1] != "v2" {
		return origin{}, false
	}
	o := origin{Kind: "hg.mozilla.org", Project: parts[2], Revision: parts[3]}
	var id int64
	if len(parts) == 5 {
		var err error
		if id, err = strconv.ParseInt(parts[4], 10, 64); err != nil || id < 0 {
			return origin{}, false
		}
	}
	if owner, project, both := strings.Cut(o.Project, "/"); both {
		o.Kind, o.Owner, o.Project, o.PullRequest = "github.com", owner, project, id
	} else {
		o.PushLogID = id
	}
	ok := word.MatchString(o.Project) && revision.MatchString(o.Revision) && (o.Owner == "" || word.MatchString(o.Owner))
	return o, ok
}
