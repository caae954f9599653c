package github

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
)

// message is what listeners of the exchanges get (taskcluster-map 13.2).
type message struct {
	Version      int             `json:"version"`
	Organization string          `json:"organization"`
	Repository   string          `json:"repository"`
	Action       string          `json:"action,omitempty"`
	Installation int64           `json:"installationId"`
	EventID      string          `json:"eventId"`
	Body         json.RawMessage `json:"body"`
	TasksFor     string          `json:"tasks_for"`
	Branch       *string         `json:"branch,omitempty"`
	CheckRun     int64           `json:"checkRunId,omitempty"`
	CheckSuite   int64           `json:"checkSuiteId,omitempty"`
}

// maxAnnounced is how many bytes of a webhook listeners are sent: the feed takes no larger ones.
const maxAnnounced = 900 << 10

// announce puts a webhook into the feed, once, for those who listen to the exchanges and for hooks that are bound to
// them. What no webhook told of has no delivery id, and listeners do not hear of it.
func (g *GitHub) announce(ctx context.Context, t *told) error {
	if t.Source != "webhook" || len(t.Body) > maxAnnounced || !guid.MatchString(t.GUID) {
		return nil
	}
	m := message{
		Version: 1, Organization: keyWord(t.repo.Owner), Repository: keyWord(t.repo.Repo), Installation: t.repo.Installation, EventID: t.GUID, Body: t.Body,
	}
	var kind string
	switch {
	case t.Event == "push":
		name, _ := tagOrBranch(t.Ref)
		kind, m.TasksFor, m.Branch = "push", "github-push", &name
	case t.Event == "pull_request":
		kind, m.TasksFor, m.Action, m.Branch = "pull-request", "github-pull-request", t.payload.Action, &t.PullRequest.Head.Ref
	case t.Event == "release":
		kind, m.TasksFor, m.Branch = "release", "github-release", &t.Release.TargetCommitish
	case t.Event == "check_run" && t.payload.Action == "rerequested" && t.payload.Sender.Type != "Bot":
		kind, m.TasksFor, m.CheckRun, m.CheckSuite = "rerun", "github-rerun", t.CheckRun.ID, t.CheckRun.CheckSuite.ID
	default:
		return nil
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("github: announce %s: %w", t.GUID, err)
	}
	err = pg.Tx(ctx, g.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, announceSQL.Text, t.Seq)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return event.Append(ctx, tx, event.Event{Kind: kind, Topic: t.repo.Name, Payload: []byte(strings.ReplaceAll(clean(string(payload)), `\u0000`, `\ufffd`))})
	})
	if err != nil {
		return fmt.Errorf("github: announce %s: %w", t.GUID, err)
	}
	g.Feed.Wake()
	return nil
}

// announceBuild tells listeners of a task group.
func announceBuild(ctx context.Context, tx pgx.Tx, r repository, group string) error {
	payload, err := json.Marshal(map[string]any{"version": 1, "organization": keyWord(r.Owner), "repository": keyWord(r.Repo), "taskGroupId": group})
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: "task-group-creation-requested", Topic: r.Name, Payload: payload})
}

var (
	guid    = regexp.MustCompile(`^[a-zA-Z0-9]{8}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{4}-[a-zA-Z0-9]{12}$`)
	notWord = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)
)

// keyWord is a name as routing keys have it (taskcluster-map 13.1).
func keyWord(name string) string {
	return strings.ReplaceAll(notWord.ReplaceAllString(name, ""), ".", "%")
}

var announceSQL = pg.Statement{Name: "github.announce", Text: `UPDATE github_deliveries SET announced = true WHERE seq = $1 AND NOT announced`}
