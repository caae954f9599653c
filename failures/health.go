package failures

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Limits of a look at a push.
const (
	maxFailed = 20000 // lines of failures
	maxPast   = 20000
	maxRecent = 300 // pushes that a share of failures is counted over
	stripLong = 30  // pushes of a strip
	// MaxExcerpts is how many groups have an excerpt.
	MaxExcerpts = 120
)

// Jobs is how the tasks of one sort of work did, by label.
type Jobs struct {
	Job                  string
	Passed, Failed, Lost int
}

// Health is what is known of a push.
type Health struct {
	Groups  []*Group
	Reading int // failed runs that are not read yet
	Jobs    []Jobs
}

// Classified tells what people said of tasks, by task.
type Classified func(ctx context.Context, taskIDs []string) (map[string]Said, error)

// Health compares the failures of a push with another push of its repository. base.Push is filled in here.
func (f *Failures) Health(ctx context.Context, repository string, push int64, base Base, said Classified) (Health, error) {
	var h Health
	ids, err := f.numbers(ctx, repository, push, base.ID)
	if err != nil || ids[push] == 0 {
		return h, err
	}
	id := ids[push]
	base.Push = ids[base.ID]
	facts := &facts{base: base}
	if err := f.groups(ctx, id, &h); err != nil {
		return h, err
	}
	if err := f.gather(ctx, repository, id, push, h.Groups, facts); err != nil {
		return h, err
	}
	if facts.said, err = said(ctx, tasksOf(h.Groups)); err != nil {
		return h, err
	}
	judge(h.Groups, facts)
	return h, f.excerpts(ctx, id, h.Groups[:min(len(h.Groups), MaxExcerpts)])
}

// numbers are pushes as this room counts them; those that it does not know are left out.
func (f *Failures) numbers(ctx context.Context, repository string, pushes ...int64) (map[int64]int64, error) {
	rows, err := f.Pool.Query(ctx, pushSQL.Text, repository, pushes)
	if err != nil {
		return nil, failed("find pushes", err)
	}
	out := map[int64]int64{}
	var push, id int64
	_, err = pgx.ForEachRow(rows, []any{&push, &id}, func() error { out[push] = id; return nil })
	return out, failed("find pushes", err)
}

// groups reads what failed on a push.
func (f *Failures) groups(ctx context.Context, id int64, h *Health) error {
	of := map[string]*Group{}
	join := func(signature, test, message, job string, lost bool, t Failed) {
		g := of[signature]
		if g == nil {
			g = &Group{Signature: signature, Test: test, Message: message, Job: job, lost: lost}
			of[signature] = g
			h.Groups = append(h.Groups, g)
		}
		g.Tasks = append(g.Tasks, t)
		if !slices.Contains(g.labels, t.label) {
			g.labels = append(g.labels, t.label)
		}
		if t.Platform != "" && !slices.Contains(g.Platforms, t.Platform) {
			g.Platforms = append(g.Platforms, t.Platform)
		}
	}
	var b pgx.Batch
	b.Queue(groupsSQL.Text, id, maxFailed).Query(func(rows pgx.Rows) error {
		var signature, test, message, job string
		var t Failed
		_, err := pgx.ForEachRow(rows, []any{&signature, &test, &message, &job, &t.TaskID, &t.Run, &t.label, &t.Label, &t.Name, &t.Platform, &t.Line, &t.Ended}, func() error {
			join(signature, test, message, job, false, t)
			return nil
		})
		return err
	})
	b.Queue(lostSQL.Text, id, maxFailed).Query(func(rows pgx.Rows) error {
		var reason, job string
		var t Failed
		_, err := pgx.ForEachRow(rows, []any{&reason, &job, &t.TaskID, &t.Run, &t.label, &t.Label, &t.Name, &t.Platform, &t.Ended}, func() error {
			join("lost-"+reason, "", lostWords(reason), job, true, t)
			return nil
		})
		return err
	})
	b.Queue(endedSQL.Text, id).QueryRow(func(row pgx.Row) error { return row.Scan(&h.Reading) })
	b.Queue(jobsSQL.Text, id).Query(func(rows pgx.Rows) (err error) {
		h.Jobs, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Jobs])
		return err
	})
	if err := f.Pool.SendBatch(ctx, &b).Close(); err != nil {
		return failed("read failures", err)
	}
	for _, g := range h.Groups {
		slices.Sort(g.Platforms)
	}
	return nil
}

// lostWords tells what happened to a lost run.
func lostWords(reason string) string {
	switch reason {
	case "claim-expired":
		return "the worker vanished while it ran (claim-expired)"
	case "worker-shutdown":
		return "the worker had to stop while it ran (worker-shutdown)"
	case "deadline-exceeded":
		return "the deadline passed before it had ended (deadline-exceeded)"
	case "internal-error":
		return "the worker broke while it ran (internal-error)"
	case "resource-unavailable":
		return "something that it asks for could not be had (resource-unavailable)"
	}
	return "it ended as " + reason
}

// gather reads what the groups are judged by.
func (f *Failures) gather(ctx context.Context, repository string, id, push int64, groups []*Group, x *facts) error {
	x.here, x.parent, x.window, x.outcomes = map[int64]tally{}, map[int64]tally{}, map[int64]tally{}, map[int64]map[int64]tally{}
	if len(groups) == 0 {
		return nil
	}
	of := map[string]*Group{}
	labels := map[int64]bool{}
	var signatures []string
	var numbers []int64
	for _, g := range groups {
		of[g.Signature] = g
		signatures = append(signatures, g.Signature)
		for _, l := range g.labels {
			if !labels[l] {
				labels[l] = true
				numbers = append(numbers, l)
			}
		}
	}
	var all []int64 // recent pushes of the repository
	var b pgx.Batch
	b.Queue(pastSQL.Text, signatures, repository, id, x.base.Push, Window.Seconds(), maxPast).Query(func(rows pgx.Rows) error {
		var s seen
		_, err := pgx.ForEachRow(rows, []any{&s.signature, &s.push, &s.at.Push, &s.at.Revision, &s.label, &s.runs, &s.mixed, &s.taskID}, func() error {
			of[s.signature].past = append(of[s.signature].past, s)
			return nil
		})
		return err
	})
	b.Queue(recentSQL.Text, repository, Window.Seconds(), maxRecent, push).Query(func(rows pgx.Rows) error {
		var r recent
		var same bool
		_, err := pgx.ForEachRow(rows, []any{&r.id, &r.Push, &r.Revision, &same}, func() error {
			all = append(all, r.id)
			if same && len(x.recent) < stripLong {
				x.recent = append(x.recent, r)
			}
			return nil
		})
		return err
	})
	if err := f.Pool.SendBatch(ctx, &b).Close(); err != nil {
		return failed("read the past of failures", err)
	}
	return f.tallies(ctx, id, all, numbers, x)
}

// tallies counts how the labels did here, on the parent, on the last pushes and in the window.
func (f *Failures) tallies(ctx context.Context, id int64, all, labels []int64, x *facts) error {
	near := []int64{id}
	if x.base.Push != 0 {
		near = append(near, x.base.Push)
	}
	for _, r := range x.recent {
		near = append(near, r.id)
	}
	var b pgx.Batch
	var push, label int64
	var t tally
	b.Queue(stripSQL.Text, near, labels).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&push, &label, &t.passed, &t.failed}, func() error {
			if push == id {
				x.here[label] = t
			}
			if push == x.base.Push {
				x.parent[label] = t
			}
			if x.outcomes[push] == nil {
				x.outcomes[push] = map[int64]tally{}
			}
			x.outcomes[push][label] = t
			return nil
		})
		return err
	})
	b.Queue(tallySQL.Text, labels, all).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&label, &t.passed, &t.failed}, func() error { x.window[label] = t; return nil })
		return err
	})
	return failed("count outcomes", f.Pool.SendBatch(ctx, &b).Close())
}

// tasksOf are the tasks whose classification tells about the groups: all of the push, and a few of other pushes.
func tasksOf(groups []*Group) []string {
	const mostPast = 5
	var out []string
	for _, g := range groups {
		for _, t := range g.Tasks {
			out = append(out, t.TaskID)
		}
		slices.SortFunc(g.past, func(a, b seen) int { return cmp.Compare(b.at.Push, a.at.Push) })
		for _, s := range g.past[:min(len(g.past), mostPast)] {
			out = append(out, s.taskID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// excerpts fills in a few lines of a log, or of a test's output, of each group.
func (f *Failures) excerpts(ctx context.Context, id int64, groups []*Group) error {
	of := map[string]*Group{}
	var signatures []string
	for _, g := range groups {
		of[g.Signature] = g
		signatures = append(signatures, g.Signature)
	}
	rows, err := f.Pool.Query(ctx, excerptsSQL.Text, id, signatures)
	if err != nil {
		return failed("read excerpts", err)
	}
	var signature, text string
	_, err = pgx.ForEachRow(rows, []any{&signature, &text}, func() error { of[signature].Excerpt = text; return nil })
	return failed("read excerpts", err)
}

// OfRun returns what a run says of its failure, in its order. reading says that it is not read yet.
func (f *Failures) OfRun(ctx context.Context, taskID string, run int) (lines []Line, reading bool, err error) {
	var b pgx.Batch
	b.Queue(ofRunSQL.Text, taskID, run).Query(func(rows pgx.Rows) (err error) {
		lines, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Line])
		return err
	})
	b.Queue(readingSQL.Text, taskID, run).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&reading)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return lines, reading, failed("read lines", f.Pool.SendBatch(ctx, &b).Close())
}

// Similar is how a label did on a push.
type Similar struct {
	Push                 int64 // within the repository
	Revision, Branch     string
	Time                 time.Time
	Passed, Failed, Lost int
	Seconds              float64 // of the run that ended last
	TaskID               string
}

// Similar returns how a label did on the last pushes of a repository that ran it, the newest first.
func (f *Failures) Similar(ctx context.Context, repository, label string, limit int) ([]Similar, error) {
	rows, err := f.Pool.Query(ctx, similarSQL.Text, repository, label, limit)
	if err != nil {
		return nil, failed("read similar tasks", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Similar])
	return list, failed("read similar tasks", err)
}

var (
	pushSQL = pg.Statement{Name: "failures.push", Text: `SELECT push_id, id FROM failure_pushes WHERE repository = $1 AND push_id = ANY ($2)`}

	groupsSQL = pg.Statement{Name: "failures.groups", Text: `
		SELECT n.signature, n.test, n.message, l.job, n.task_id, n.run_id, n.label, l.label, r.name, r.platform, n.line, r.ended
		FROM failure_lines n JOIN failure_runs r USING (task_id, run_id) JOIN failure_labels l ON l.id = n.label
		WHERE n.push = $1 ORDER BY n.place, n.task_id, n.run_id LIMIT $2`}

	lostSQL = pg.Statement{Name: "failures.lost", Text: `
		SELECT r.reason, l.job, r.task_id, r.run_id, r.label, l.label, r.name, r.platform, r.ended
		FROM failure_runs r JOIN failure_labels l ON l.id = r.label WHERE r.push = $1 AND r.lost ORDER BY r.task_id, r.run_id LIMIT $2`}

	endedSQL = pg.Statement{Name: "failures.reading", Text: `SELECT count(*) FROM failure_runs WHERE push = $1 AND unread IS NOT NULL`}

	pastSQL = pg.Statement{Name: "failures.past", Text: `
		SELECT n.signature, n.push, p.push_id, p.revision, n.label, count(*), coalesce(bool_or(o.passed > 0), false), max(n.task_id)
		FROM failure_lines n JOIN failure_pushes p ON p.id = n.push LEFT JOIN failure_outcomes o ON o.push = n.push AND o.label = n.label
		WHERE n.signature = ANY ($1) AND p.repository = $2 AND n.push <> $3 AND (p.pushed > now() - make_interval(secs => $5) OR n.push = $4)
		GROUP BY n.signature, n.push, p.push_id, p.revision, n.label LIMIT $6`}

	recentSQL = pg.Statement{Name: "failures.recent", Text: `
		SELECT p.id, p.push_id, p.revision, p.branch = me.branch AND p.push_id <= me.push_id
		FROM failure_pushes me JOIN failure_pushes p USING (repository)
		WHERE me.repository = $1 AND me.push_id = $4 AND (p.pushed > now() - make_interval(secs => $2) OR p.id = me.id)
		ORDER BY p.push_id DESC LIMIT $3`}

	stripSQL = pg.Statement{Name: "failures.strip", Text: `
		SELECT push, label, passed, failed FROM failure_outcomes WHERE push = ANY ($1) AND label = ANY ($2)`}

	tallySQL = pg.Statement{Name: "failures.tally", Text: `
		SELECT label, sum(passed), sum(failed) FROM failure_outcomes WHERE label = ANY ($1) AND push = ANY ($2) GROUP BY label`}

	jobsSQL = pg.Statement{Name: "failures.jobs", Text: `
		SELECT l.job, count(*) FILTER (WHERE o.passed > 0), count(*) FILTER (WHERE o.passed = 0 AND o.failed > 0),
			count(*) FILTER (WHERE o.passed = 0 AND o.failed = 0)
		FROM failure_outcomes o JOIN failure_labels l ON l.id = o.label WHERE o.push = $1 GROUP BY l.job ORDER BY l.job`}

	excerptsSQL = pg.Statement{Name: "failures.excerpts", Text: `
		SELECT DISTINCT ON (signature) signature, excerpt FROM failure_lines
		WHERE push = $1 AND signature = ANY ($2) ORDER BY signature, excerpt = '', task_id`}

	ofRunSQL = pg.Statement{Name: "failures.of-run", Text: `
		SELECT l.signature, l.test, l.message, l.line, l.excerpt, coalesce(r.id, 0), coalesce(r.said_by, '')
		FROM failure_lines l LEFT JOIN failure_reports r ON r.task_id = l.task_id AND r.run_id = l.run_id AND r.signature = l.signature AND r.undone IS NULL
		WHERE l.task_id = $1 AND l.run_id = $2 ORDER BY l.place`}

	readingSQL = pg.Statement{Name: "failures.reading-run", Text: `
		SELECT unread IS NOT NULL FROM failure_runs WHERE task_id = $1 AND run_id = $2`}

	similarSQL = pg.Statement{Name: "failures.similar", Text: `
		SELECT p.push_id, p.revision, p.branch, p.pushed, o.passed, o.failed, o.lost, o.seconds, o.task_id
		FROM failure_labels l JOIN failure_outcomes o ON o.label = l.id JOIN failure_pushes p ON p.id = o.push
		WHERE l.repository = $1 AND l.label = $2 ORDER BY o.push DESC LIMIT $3`}
)
