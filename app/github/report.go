package github

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/complaint"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/templates"
)

// reportingOf is how a file wants what came of a trigger told. What a branch may require has the same name for pull
// requests and for the merge queue; of everything else it is told what happened, since a push and a pull request may
// both build one revision, and the one must not pass for the other (taskcluster-map 13.7).
func reportingOf(file *templates.File, t *trigger) checks.Reporting {
	name := cmp.Or(file.Extras.Reporting.Name, checks.DefaultName)
	kind, _, _ := strings.Cut(t.eventType, ".")
	r := checks.Reporting{
		Checks: file.Checks(), NoStatuses: !file.Statuses(), Name: name, Context: fmt.Sprintf("%s (%s)", name, kind), Tasks: file.Extras.Reporting.Tasks,
	}
	switch {
	case kind == "pull_request", kind == "merge_group", kind == "issue_comment", kind == "push" && strings.HasPrefix(t.branch, mergeQueue):
	default:
		r.Name = r.Context
	}
	return r
}

// judge says at GitHub what is to be said of a trigger that becomes no build.
func (g *GitHub) judge(ctx context.Context, t *trigger, kind string, s checks.State) error {
	if !t.reporting.Checks && t.reporting.NoStatuses {
		return nil
	}
	s.DetailsURL = cmp.Or(s.DetailsURL, g.RootURL)
	return g.Checks.Judge(ctx, checks.Verdict{
		RepositoryID: t.repo.ID, SHA: t.sha, Source: checks.Source(t.eventType, t.pull), Delivery: t.Seq, Reporting: t.reporting, Kind: kind, State: s,
	})
}

// nothing says that there is nothing to do, so that nobody waits for it. Of events that only some files mean it is not
// said: the revision has a build of another.
func (g *GitHub) nothing(ctx context.Context, t *trigger, why string) error {
	if t.quiet != "" {
		return nil
	}
	return g.judge(ctx, t, checks.Nothing, checks.State{Title: "Nothing to do", Summary: "No task was made: " + why + "."})
}

// skipped is nothing of a trigger whose file was not read for its tasks, as its author asked to skip it.
func (g *GitHub) skipped(ctx context.Context, t *trigger, why string) error {
	source, err := g.forge(t.repo).File(ctx, configFile, t.sha)
	if err != nil || source == nil {
		return err
	}
	t.reporting = reportingOf(templates.ReportingOf(source), t)
	return g.nothing(ctx, t, why)
}

// wrong says what is wrong with the file, and where.
func (g *GitHub) wrong(ctx context.Context, t *trigger, what push.Error) error {
	var s checks.State
	checks.Explain(&s, what)
	return g.judge(ctx, t, checks.Wrong, s)
}

// refuse says what the policy wants somebody to do before a pull request gets tasks. The policy is the base
// repository's, and so is how it is told.
func (g *GitHub) refuse(ctx context.Context, t *trigger, file *templates.File) error {
	t.reporting = reportingOf(file, t)
	if !t.reporting.Checks {
		return nil
	}
	text := fmt.Sprintf("%s may not write to %s/%s, and `policy.pullRequests` in its `%s` allows tasks for collaborators only.\n\nSomebody who may write can push the commits to a branch of the repository",
		complaint.Escape(t.PullRequest.User.login()), t.repo.Owner, t.repo.Repo, configFile)
	if file.Policy.AllowComments != "" {
		text += ", or ask for tasks with a comment such as `/taskcluster test` that the file answers"
	}
	return g.judge(ctx, t, checks.Refused, checks.State{Title: "Somebody who may write must act", Summary: text + "."})
}

// Refused writes down what is wrong with the tree of a build's decision, for its checks to show.
func (g *GitHub) Refused(ctx context.Context, group string, what push.Error) error {
	text, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("github: build %s: %w", group, err)
	}
	if _, err := g.Pool.Exec(ctx, troubleSQL.Text, group, strings.ReplaceAll(clean(string(text)), `\u0000`, "\uFFFD")); err != nil {
		return fmt.Errorf("github: build %s: %w", group, pg.Classify(err))
	}
	return g.setBuild(ctx, group, "failure")
}

// why tells in a sentence or two why a task is there; "" when its decision recorded nothing of it.
func (g *GitHub) why(ctx context.Context, group, label string) (string, error) {
	if g.Story == nil {
		return "", nil
	}
	s, err := g.Story(ctx, group, label)
	if err != nil || s.Outcome != explain.Created {
		return "", err
	}
	var b strings.Builder
	b.WriteString("**Why it runs:** ")
	if p := s.Provenance; p.File != "" {
		fmt.Fprintf(&b, "made from `%s", p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString("`")
	} else {
		b.WriteString("made by the decision")
	}
	for _, x := range s.Selections {
		if x.Kept {
			fmt.Fprintf(&b, "; selected by `%s` (%s)", strings.ReplaceAll(x.Filter, "`", "'"), complaint.Escape(x.Rule))
		}
	}
	if n := len(s.Because); n > 1 {
		fmt.Fprintf(&b, "; `%s` needs it", strings.ReplaceAll(s.Because[1], "`", "'"))
	}
	for _, x := range s.Optimizations {
		fmt.Fprintf(&b, "; %s: %s", complaint.Escape(x.Outcome), complaint.Escape(x.Reason))
	}
	return b.String() + ".", nil
}

var troubleSQL = pg.Statement{Name: "github.trouble", Text: `UPDATE github_builds SET trouble = $2::jsonb WHERE task_group_id = $1`}
