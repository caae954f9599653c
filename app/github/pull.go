package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/templates"
)

// builtActions are the actions on a pull request that every file means. Others are offered to files that name them.
var builtActions = []string{"opened", "reopened", "synchronize", "ready_for_review"}

// onPull builds a pull request as the policy of the base repository allows.
func (g *GitHub) onPull(ctx context.Context, t *told) (string, error) {
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	action, p := t.payload.Action, t.PullRequest
	if p.Number == 0 || p.Head.SHA == "" {
		return "", fmt.Errorf("github: the webhook names no pull request: %w", errNever)
	}
	if !printable.MatchString(p.Base.Ref) || !printable.MatchString(action) {
		return "the name of the base branch is not printable ASCII", nil
	}
	if err := g.sawPull(ctx, t.repo, p); err != nil {
		return "", err
	}
	if err := g.wantGraphDiff(ctx, t); err != nil {
		return "", err
	}
	if skips(p.Title) {
		const text = "the title says to skip it"
		if !slices.Contains(builtActions, action) {
			return text, nil
		}
		x := g.pullTrigger(t, p, "github-pull-request", "pull-request")
		x.eventType = "pull_request." + action
		return text, g.skipped(ctx, &x, text)
	}
	quiet := ""
	if action == "edited" {
		if !baseChanged(t.Changes) {
			return "its title or text changed, and nothing to build", nil
		}
	} else if !slices.Contains(builtActions, action) {
		quiet = action
	}
	file, exists, err := g.defaults(ctx, t.repo)
	if err != nil {
		return "", err
	}
	policy := file.Policy
	if action == "closed" && file.Extras.CancelClosed {
		list, err := g.CancelBuilds(ctx, Filter{Organization: t.repo.Owner, Repository: t.repo.Repo, PullNumber: p.Number})
		if err != nil || len(list) > 0 {
			return fmt.Sprintf("closed; %d builds cancelled", len(list)), err
		}
	}
	trusted, err := g.trusted(ctx, t.repo, p)
	if err != nil {
		return "", err
	}
	tasksFor, role := "github-pull-request", "pull-request"
	if !trusted {
		switch policy.PullRequests {
		case "public":
		case "public_restricted":
			tasksFor, role = "github-pull-request-untrusted", "pull-request-untrusted"
		case "collaborators":
			if err := g.refusePull(ctx, t, p, action, file, exists); err != nil {
				return "", err
			}
			if action == "opened" && exists {
				g.say(ctx, t.repo, p.Number, p.Head.SHA, fmt.Sprintf("No tasks were made for this pull request: %s may not write to %s/%s, and its `policy.pullRequests` "+
					"in `%s` allows tasks for collaborators only. Somebody who may write can push the commits to a branch of the repository.", p.User.login(), t.repo.Owner, t.repo.Repo, configFile))
			}
			return "not built: the author is no collaborator", nil
		default:
			err := g.refusePull(ctx, t, p, action, file, exists)
			return "not built: the author is no collaborator, and the policy is to say nothing", err
		}
	}
	x := g.pullTrigger(t, p, tasksFor, role)
	x.eventType, x.seed, x.quiet = "pull_request."+action, "github "+t.GUID, quiet
	if x.change.FilesChanged, err = g.forge(t.repo).PullFiles(ctx, p.Number); err != nil {
		return "", err
	}
	return g.run(ctx, x)
}

// refusePull shows at a pull request's revision that it is not built. It is no comment: quiet policies have it too.
func (g *GitHub) refusePull(ctx context.Context, t *told, p pullPayload, action string, file *templates.File, exists bool) error {
	if !exists || !slices.Contains(builtActions, action) {
		return nil
	}
	x := g.pullTrigger(t, p, "github-pull-request", "pull-request")
	x.eventType = "pull_request." + action
	return g.refuse(ctx, &x, file)
}

// sawPull writes down at which revision a pull request is, so that a later one that no webhook told of is noticed, and
// for which base branch.
func (g *GitHub) sawPull(ctx context.Context, r repository, p pullPayload) error {
	s, args := sawPullSQL, []any{r.ID, p.Number, p.Head.SHA, p.Base.Ref}
	if p.State == "closed" {
		s, args = closedPullSQL, args[:2]
	}
	if _, err := g.Pool.Exec(ctx, s.Text, args...); err != nil {
		return fmt.Errorf("github: pull request %d of %s/%s: %w", p.Number, r.Owner, r.Repo, pg.Classify(err))
	}
	return nil
}

func (g *GitHub) pullTrigger(t *told, p pullPayload, tasksFor, role string) trigger {
	head := t.repo.URL // a fork that was deleted leaves refs/pull/N/head here
	ref := fmt.Sprintf("refs/pull/%d/head", p.Number)
	if p.Head.Repo != nil {
		head, ref = p.Head.Repo.CloneURL, "refs/heads/"+p.Head.Ref
	}
	return trigger{
		told: t, tasksFor: tasksFor, role: role, sha: p.Head.SHA, branch: p.Head.Ref, pull: p.Number,
		change: intake.Change{
			TasksFor: tasksFor, Repository: t.repo.Name, Project: t.repo.Repo, Branch: fmt.Sprintf("pull/%d", p.Number), Revision: p.Head.SHA, Level: pullLevel,
			BaseRepository: t.repo.URL, BaseRef: "refs/heads/" + p.Base.Ref, BaseRev: p.Base.SHA, HeadRepository: head, HeadRef: ref,
			Owner: p.User.email(), Message: p.Title, Time: t.Received,
		},
	}
}

func baseChanged(changes json.RawMessage) bool {
	var c struct{ Base json.RawMessage }
	return json.Unmarshal(changes, &c) == nil && len(c.Base) > 0
}

// defaults returns the file on the repository's default branch, whose policy counts: nothing that a pull request could
// bring does. Where there is none, or it cannot be read, nothing is allowed.
func (g *GitHub) defaults(ctx context.Context, r repository) (f *templates.File, exists bool, err error) {
	quiet := &templates.File{Policy: templates.Policy{PullRequests: "collaborators_quiet"}}
	source, err := g.forge(r).File(ctx, configFile, r.DefaultBranch)
	if err != nil || source == nil {
		return quiet, false, err
	}
	file, err := templates.Parse(source, configFile)
	if err != nil {
		quiet.Extras.ApproveNewScopes = "maintain" // perhaps it says so
		return quiet, true, nil                    //nolint:nilerr // pushes to the default branch tell what is wrong with it
	}
	return file, true, nil
}

// trusted reports whether both who opened a pull request and whose repository it comes from may write to the
// repository. It is not asked who did the last thing: a collaborator who labels a stranger's pull request does not
// start it (vcs-integration 1.9).
func (g *GitHub) trusted(ctx context.Context, r repository, p pullPayload) (bool, error) {
	if p.Head.User == nil {
		return false, nil
	}
	opener, err := g.mayWrite(ctx, r, p.User.login())
	if err != nil || !opener {
		return false, err
	}
	if p.Base.User != nil && strings.EqualFold(p.Head.User.login(), p.Base.User.login()) {
		return true, nil
	}
	return g.mayWrite(ctx, r, p.Head.User.login())
}

// mayWrite reports whether somebody may write to a repository. Who may only read or triage does not count, although
// GitHub calls them collaborators too.
func (g *GitHub) mayWrite(ctx context.Context, r repository, login string) (bool, error) {
	role, err := g.roleOf(ctx, r, login)
	return role >= ghclient.Writes, err
}

// pullRequest reads a pull request: the parts we look at, and all of it for files that are rendered.
func (g *GitHub) pullRequest(ctx context.Context, r repository, number int) (pullPayload, map[string]any, error) {
	var p pullPayload
	var whole json.RawMessage
	c := g.client.Installation(r.Installation)
	req, err := c.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/pulls/%d", r.Owner, r.Repo, number), nil)
	if err == nil {
		_, err = c.Do(ctx, req, &whole)
	}
	if err == nil {
		err = json.Unmarshal(whole, &p)
	}
	all := map[string]any{}
	if err == nil {
		err = json.Unmarshal(whole, &all)
	}
	if err != nil {
		return p, nil, fmt.Errorf("github: pull request %d of %s/%s: %w", number, r.Owner, r.Repo, err)
	}
	return p, all, nil
}

var (
	sawPullSQL = pg.Statement{Name: "github.saw-pull", Text: `
		INSERT INTO github_pulls (repository_id, number, head, base) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository_id, number) DO UPDATE SET head = EXCLUDED.head, base = EXCLUDED.base`}

	closedPullSQL = pg.Statement{Name: "github.closed-pull", Text: `DELETE FROM github_pulls WHERE repository_id = $1 AND number = $2`}

	pullsSQL = pg.Statement{Name: "github.pulls", Text: `SELECT number, head FROM github_pulls WHERE repository_id = $1`}

	builtSQL = pg.Statement{Name: "github.built", Text: `
		SELECT EXISTS (SELECT FROM github_builds WHERE repository_id = $1 AND pull_number = $2 AND sha = $3)`}
)
