package templates

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// MercurialPush is a push to a Mercurial repository as a template sees it: tasks_for hg-push with the names that
// build-decision gives to pushes (taskgraph-map 19, vcs-integration 2.4). An owner without "@" gets the no-reply domain
// of the field. There is no event.
func MercurialPush(p Push) Event {
	owner := cmp.Or(p.Owner, "nobody")
	if !strings.Contains(owner, "@") {
		owner += "@noreply.mozilla.org"
	}
	push := map[string]any{
		"owner": owner, "revision": p.Revision, "base_revision": cmp.Or(p.BaseRevision, "0000000000000000000000000000000000000000"),
		"branch": p.Branch, "comment": p.Comment, "pushlog_id": cmp.Or(p.PushlogID, strconv.FormatInt(p.PushID, 10)), "pushdate": p.Time.Unix(),
	}
	repository := map[string]any{
		"url": p.Repository, "project": p.Project, "level": strconv.Itoa(p.Level), "type": "hg", "role": p.Role,
	}
	now := p.Now
	if now.IsZero() {
		now = p.Time
	}
	return Event{
		TasksFor: "hg-push", Event: map[string]any{}, RootURL: p.RootURL, Now: now, OwnTaskID: p.DecisionTaskID,
		Context: map[string]any{"push": push, "repository": repository, "ownTaskId": p.DecisionTaskID},
		Seed:    fmt.Sprintf("hg-push %s %d %s %s", p.Project, p.PushID, p.Revision, p.DecisionTaskID),
	}
}
