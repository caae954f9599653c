package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/once"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/templates"
)

const configFile = ".taskcluster.yml"

// trigger is a cause of tasks: a push, a pull request, a release.
type trigger struct {
	*told
	tasksFor  string
	role      string // behind the repository's: branch:main
	sha       string // where .taskcluster.yml is read
	branch    string
	eventType string // as builds have it: push, tag, pull_request.opened, release, issue_comment
	seed      string // what the ids of tasks follow from
	pull      int
	push      push.Push // what was recorded; ID 0 without
	quiet     string    // a word without which the file does not mean this event; "" for events that every file means
	change    intake.Change
	extra     map[string]any // further members of event
	reporting checks.Reporting
}

// run makes the tasks that the file at the trigger's revision asks for. What is wrong with the file is said in a
// comment; an error is ours, and the delivery is taken again.
func (g *GitHub) run(ctx context.Context, t trigger) (string, error) {
	outcome, err := g.build(ctx, &t)
	wrong := intake.MistakeOf(err)
	if wrong == nil {
		return outcome, err
	}
	if t.push.ID != 0 {
		if err := g.Push.SetOutcome(ctx, t.push.Repository, t.push.ID, push.Outcome{State: push.Failed, Error: wrong}); err != nil {
			return "", err
		}
	}
	if err := g.wrong(ctx, &t, *wrong); err != nil {
		return "", err
	}
	g.complain(ctx, t, *wrong)
	return "not built: " + wrong.Message, nil
}

func (g *GitHub) build(ctx context.Context, t *trigger) (string, error) {
	source, err := g.forge(t.repo).File(ctx, configFile, t.sha)
	if err != nil {
		return "", err
	}
	nothing := func(code, text string) (string, error) {
		if source != nil {
			if err := g.nothing(ctx, t, text); err != nil {
				return "", err
			}
		}
		if t.push.ID == 0 {
			return text, nil
		}
		why := push.Error{Code: code, File: configFile, Message: text}
		return text, g.Push.SetOutcome(ctx, t.push.Repository, t.push.ID, push.Outcome{State: push.Ignored, Error: &why})
	}
	if source == nil {
		return nothing("no-config", "the revision has no "+configFile)
	}
	if t.quiet != "" && !bytes.Contains(source, []byte(t.quiet)) {
		return nothing("no-tasks", configFile+" does not speak of "+t.quiet)
	}
	t.reporting = reportingOf(templates.ReportingOf(source), t)
	file, err := templates.Parse(source, configFile)
	if err != nil {
		return "", intake.AsMistake(err)
	}
	t.reporting = reportingOf(file, t)
	event := maps.Clone(t.whole)
	maps.Copy(event, t.extra)
	own := derivedID(t.seed, "decision")
	tasks, err := file.Render(templates.Event{
		TasksFor: t.tasksFor, Event: event, RootURL: g.RootURL, Now: t.Received, Seed: t.seed, OwnTaskID: own, Context: map[string]any{"ownTaskId": own},
	})
	if err != nil {
		return "", intake.AsMistake(err)
	}
	if len(tasks) == 0 && len(file.Hooks) == 0 {
		return nothing("no-tasks", configFile+" asks for no task on "+t.tasksFor)
	}
	fired, err := g.fireHooks(ctx, *t, file, event)
	if err != nil {
		return "", err
	}
	if len(tasks) == 0 && fired == 0 {
		return nothing("no-tasks", "the hooks that "+configFile+" asks for made none")
	}
	if len(tasks) == 0 {
		return fmt.Sprintf("%d hooks", fired), nil
	}
	if err := g.create(ctx, *t, tasks); err != nil {
		return "", err
	}
	superseded, err := g.cancelOlder(ctx, *t, file, tasks[0].Definition.TaskGroupID)
	if superseded {
		return "a newer build of the same came first", err
	}
	return fmt.Sprintf("%d tasks in group %s", len(tasks), tasks[0].Definition.TaskGroupID), err
}

// create makes the tasks with the scopes of the trigger's role and no others. The build is written first: the
// decision may begin before we are back.
func (g *GitHub) create(ctx context.Context, t trigger, tasks []templates.Task) error {
	state := push.Decided
	group := tasks[0].Definition.TaskGroupID
	err := g.Create(ctx, t.repo.role()+":"+t.role, tasks, func(string) error {
		if slices.ContainsFunc(tasks, func(x templates.Task) bool { return x.ID == group }) {
			state = push.Deciding
		}
		if t.push.ID != 0 {
			if err := g.Push.SetOutcome(ctx, t.push.Repository, t.push.ID, push.Outcome{State: push.Deciding, TaskGroupID: group}); err != nil {
				return err
			}
		}
		return g.insertBuild(ctx, t, group)
	}, "queue:route:checks", "queue:route:statuses", "queue:scheduler-id:taskcluster-github")
	if intake.MistakeOf(err) != nil {
		_, dropped := g.Pool.Exec(ctx, dropBuildSQL.Text, group)
		return errors.Join(err, dropped)
	}
	if err == nil && t.push.ID != 0 {
		err = g.Push.SetOutcome(ctx, t.push.Repository, t.push.ID, push.Outcome{State: state})
	}
	return err
}

func (g *GitHub) insertBuild(ctx context.Context, t trigger, group string) error {
	change, err := json.Marshal(t.change)
	if err != nil {
		return fmt.Errorf("github: build %s: %w", group, err)
	}
	reporting, err := json.Marshal(t.reporting)
	if err != nil {
		return fmt.Errorf("github: build %s: %w", group, err)
	}
	err = pg.Tx(ctx, g.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, insertBuildSQL.Text, group, t.repo.ID, t.repo.Owner, t.repo.Repo, t.sha, clean(t.branch), t.eventType, t.GUID, t.pull,
			t.repo.Installation, t.Seq, strings.ReplaceAll(clean(string(change)), `\u0000`, "\uFFFD"),
			strings.ReplaceAll(clean(string(reporting)), `\u0000`, "\uFFFD"))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if err := g.Checks.Mark(ctx, tx, t.repo.ID, t.sha); err != nil {
			return err
		}
		return announceBuild(ctx, tx, t.repo, group)
	})
	if err != nil {
		return fmt.Errorf("github: build %s: %w", group, err)
	}
	g.changed()
	return nil
}

// cancelOlder cancels what the new build replaces: pending builds of the same pull request from older deliveries of
// the same class, where a new revision counts as opening (taskcluster-map 13.6); and those of older pushes to the same
// branch, where the file asks for that. Deliveries come in any order: a build of a pull request that is itself the
// older one is cancelled instead.
func (g *GitHub) cancelOlder(ctx context.Context, t trigger, file *templates.File, group string) (superseded bool, err error) {
	class, branch := []string{t.eventType}, ""
	switch {
	case t.eventType == "push" && slices.ContainsFunc(file.Extras.CancelBranches, func(p string) bool { return matches(p, t.branch) }):
		branch = t.branch
	case t.pull > 0 && strings.HasPrefix(t.eventType, "pull_request.") && file.AutoCancel:
		if same := []string{"pull_request.opened", "pull_request.synchronize", "pull_request.reopened", "pull_request.ready_for_review"}; slices.Contains(same, t.eventType) {
			class = same
		}
	default:
		return false, nil
	}
	others, err := g.builds(ctx, olderSQL, t.repo.ID, t.pull, class, branch)
	if err != nil {
		return false, err
	}
	for _, b := range others {
		if b.TaskGroupID == group {
			continue
		}
		if b.Delivery > t.Seq && branch == "" && !superseded {
			superseded = true
			err = errors.Join(err, g.cancelBuild(ctx, group))
		} else if b.Delivery < t.Seq {
			err = errors.Join(err, g.cancelBuild(ctx, b.TaskGroupID))
		}
	}
	return superseded, err
}

// matches reports whether a branch fits a pattern, in which * stands for anything.
func matches(pattern, branch string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(branch, parts[0])
	if len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		rest, ok = after, ok && found
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}

// cancelBuild seals and cancels a build's task group. One that the queue does not know any more is cancelled too.
func (g *GitHub) cancelBuild(ctx context.Context, group string) error {
	_, err := g.Queue.SealGroup(ctx, group)
	if err == nil {
		_, err = g.Queue.CancelGroup(ctx, group)
	}
	if err != nil && !errors.Is(err, fault.NotFound) {
		return err
	}
	return g.setBuild(ctx, group, "cancelled")
}

func (g *GitHub) setBuild(ctx context.Context, group, state string) error {
	if _, err := g.Pool.Exec(ctx, setBuildSQL.Text, group, state); err != nil {
		return fmt.Errorf("github: build %s: %w", group, pg.Classify(err))
	}
	g.changed()
	return nil
}

// changed wakes who looks what GitHub is to show of builds.
func (g *GitHub) changed() { g.Checks.Wake() }

// Build is a task group that a webhook asked for.
type Build struct {
	TaskGroupID  string    `db:"task_group_id"`
	Organization string    `db:"organization"`
	Repository   string    `db:"repository"`
	SHA          string    `db:"sha"`
	Branch       string    `db:"branch"`
	State        string    `db:"state"` // pending, success, error, failure, cancelled
	EventType    string    `db:"event_type"`
	EventID      string    `db:"event_id"`
	PullNumber   int       `db:"pull_number"` // 0 without
	Installation int64     `db:"installation_id"`
	Delivery     int64     `db:"delivery"`
	Created      time.Time `db:"created"`
	Updated      time.Time `db:"updated"`
}

func (g *GitHub) builds(ctx context.Context, s pg.Statement, args ...any) ([]Build, error) {
	rows, err := g.Pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("github: builds: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Build])
	if err != nil {
		return nil, fmt.Errorf("github: builds: %w", pg.Classify(err))
	}
	return list, nil
}

// Filter says which builds are meant; empty members mean all.
type Filter struct {
	Organization, Repository, SHA string
	PullNumber                    int
	After                         string // group of the last build of the page before
	Limit                         int
}

// Builds lists builds, oldest first.
func (g *GitHub) Builds(ctx context.Context, f Filter) ([]Build, error) {
	return g.builds(ctx, buildsSQL, f.Organization, f.Repository, f.SHA, f.PullNumber, f.After, f.Limit)
}

// CancelBuilds cancels the pending builds of a revision or a pull request, and returns them.
func (g *GitHub) CancelBuilds(ctx context.Context, f Filter) ([]Build, error) {
	f.Limit = 1000
	list, err := g.Builds(ctx, f)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(b Build) bool { return b.State != "pending" })
	for i := range list {
		if err := g.cancelBuild(ctx, list[i].TaskGroupID); err != nil {
			return nil, err
		}
		list[i].State = "cancelled"
	}
	return list, nil
}

// ByTaskGroup finds the change that a task group was made for, or a fault.NotFound.
func (g *GitHub) ByTaskGroup(ctx context.Context, group string) (intake.Change, error) {
	var c intake.Change
	var text []byte
	if err := g.Pool.QueryRow(ctx, buildSQL.Text, group).Scan(&text); err != nil {
		return c, fmt.Errorf("github: build %s: %w", group, pg.Classify(err))
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("github: build %s: %w", group, err)
	}
	return c, nil
}

// derivedID makes a task id that follows from words.
func derivedID(words ...string) string {
	b := once.Digest(words...)
	b[0] &= 0x7f // so that a command line does not take it for an option
	return slug.FromBytes([16]byte(b[:16]))
}

const buildColumns = `task_group_id, organization, repository, sha, branch, state, event_type, event_id, pull_number, installation_id, delivery, created, updated`

var (
	insertBuildSQL = pg.Statement{Name: "github.insert-build", Text: `
		INSERT INTO github_builds (task_group_id, repository_id, organization, repository, sha, branch, state, event_type, event_id, pull_number, installation_id, delivery, change, reporting)
		VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $11, $12::jsonb, $13::jsonb) ON CONFLICT (task_group_id) DO NOTHING`}

	dropBuildSQL = pg.Statement{Name: "github.drop-build", Text: `DELETE FROM github_builds WHERE task_group_id = $1 AND state = 'pending'`}

	buildSQL = pg.Statement{Name: "github.build", Text: `SELECT change FROM github_builds WHERE task_group_id = $1`}

	olderSQL = pg.Statement{Name: "github.builds-of-pull", Text: `
		SELECT ` + buildColumns + ` FROM github_builds WHERE repository_id = $1 AND pull_number = $2 AND state = 'pending' AND event_type = ANY ($3)
			AND ($4::text = '' OR branch = $4) ORDER BY delivery`}

	buildsSQL = pg.Statement{Name: "github.builds", Text: `
		SELECT ` + buildColumns + ` FROM github_builds b
		WHERE ($1::text = '' OR lower(organization) = lower($1)) AND ($2::text = '' OR lower(repository) = lower($2)) AND ($3::text = '' OR sha = $3)
			AND ($4::integer = 0 OR pull_number = $4)
			AND ($5::text = '' OR (created, task_group_id) > (SELECT a.created, a.task_group_id FROM github_builds a WHERE a.task_group_id = $5))
		ORDER BY created, task_group_id LIMIT $6`}

	// A cancelled build stays so (taskcluster-map 13.7).
	setBuildSQL = pg.Statement{Name: "github.set-build", Text: `
		WITH changed AS (
			UPDATE github_builds SET state = $2, updated = clock_timestamp() WHERE task_group_id = $1 AND state NOT IN ('cancelled', $2)
			RETURNING repository_id, sha)
		INSERT INTO github_check_marks (repository_id, sha) SELECT repository_id, sha FROM changed`}
)
