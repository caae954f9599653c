package cron

import (
	"context"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
	crontab "github.com/treeline-ci/treeline/taskgraph/cron"
)

// Filter chooses runs; what is empty chooses all.
type Filter struct {
	Repository, Branch, Job string
	From, Until             time.Time // slots from the one to before the other
	Before                  *Run      // only what comes after this one in the order of Runs
	Limit                   int       // at most so many; 0 is 1000
}

// Runs returns runs, the newest slots first.
func (c *Calendar) Runs(ctx context.Context, f Filter) ([]Run, error) {
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	var slot *time.Time
	var id int64
	if f.Before != nil {
		slot, id = &f.Before.Slot, f.Before.ID
	}
	return c.runs(ctx, "runs", runsSQL, f.Repository, f.Branch, f.Job, moment(f.From), moment(f.Until), slot, id, f.Limit)
}

// OfPushes returns the runs that have a task group at one of the pushes of a repository.
func (c *Calendar) OfPushes(ctx context.Context, repository string, pushes []int64) ([]Run, error) {
	list, err := c.runs(ctx, "runs of pushes", ofPushesSQL, repository, pushes)
	slices.SortFunc(list, compareRuns)
	return list, err
}

// Job is a job of a branch as it was read last.
type Job struct {
	Repository, Branch string
	*crontab.Job
	Next *time.Time // nil: it never starts by itself
	Last *Run       // nil: it never did; a missed slot counts
	Why  string     // why it has no next time, or when it is due
}

// Listing is what is followed.
type Listing struct {
	Now      time.Time
	Branches []Branch
	Jobs     []Job // by repository, branch, and the order of the file
}

// Listing tells of the branches that are followed, of one repository or, with "", of all, and of their jobs.
func (c *Calendar) Listing(ctx context.Context, repository string) (Listing, error) {
	var out Listing
	var err error
	if out.Now, err = c.Clock(ctx); err != nil {
		return out, err
	}
	if out.Branches, err = c.Branches(ctx, repository); err != nil {
		return out, err
	}
	var repositories, branches, names []string
	for _, b := range out.Branches {
		file, err := b.File()
		if err != nil {
			continue // the branch has the error
		}
		verdicts, _ := file.Due(out.Now, b.Place()) // the branch has the error
		for i, j := range file.Jobs {
			job := Job{Repository: b.Repository, Branch: b.Branch, Job: j, Why: verdicts[i].Reason}
			if next, ok, err := j.Next(out.Now, b.Place()); err == nil && ok {
				job.Next = &next
			}
			out.Jobs = append(out.Jobs, job)
			repositories, branches, names = append(repositories, b.Repository), append(branches, b.Branch), append(names, j.Name)
		}
	}
	latest, err := c.runs(ctx, "last runs", latestSQL, repositories, branches, names)
	if err != nil {
		return out, err
	}
	last := map[[3]string]*Run{}
	for i, r := range latest {
		last[[3]string{r.Repository, r.Branch, r.Job}] = &latest[i]
	}
	for i, j := range out.Jobs {
		out.Jobs[i].Last = last[[3]string{j.Repository, j.Branch, j.Name}]
	}
	return out, nil
}

// Of is the part of a listing that is about one repository; with "" it is all.
func (l Listing) Of(repository string) Listing {
	if repository == "" {
		return l
	}
	out := Listing{Now: l.Now}
	for _, b := range l.Branches {
		if b.Repository == repository {
			out.Branches = append(out.Branches, b)
		}
	}
	for _, j := range l.Jobs {
		if j.Repository == repository {
			out.Jobs = append(out.Jobs, j)
		}
	}
	return out
}

// Coming is a slot that a job will start in.
type Coming struct {
	Repository, Branch, Job string
	Slot                    time.Time
}

// maxComing bounds how many slots of a job Coming tells.
const maxComing = 96 * 7

// Coming are the slots from one time to before another in which jobs are due and that are not settled
// yet, by the files as they were read last, the earliest first.
func (l Listing) Coming(from, until time.Time) (out []Coming) {
	settled := map[[2]string]time.Time{}
	for _, b := range l.Branches {
		settled[[2]string{b.Repository, b.Branch}] = b.DoneUntil
	}
	for _, j := range l.Jobs {
		after := from.Add(-time.Nanosecond)
		if done := settled[[2]string{j.Repository, j.Branch}]; done.After(after) {
			after = done
		}
		slots, _ := j.Between(after, until.Add(-time.Nanosecond), crontab.Branch{Project: j.Repository, Branch: j.Branch}, maxComing) // the branch has the error
		for _, slot := range slots {
			if !slot.Before(from) {
				out = append(out, Coming{j.Repository, j.Branch, j.Name, slot})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Coming) int { return a.Slot.Compare(b.Slot) })
	return out
}

var (
	runsSQL = pg.Statement{Name: "cron.runs", Text: `
		SELECT ` + runColumns + ` FROM cron_runs
		WHERE ($1::text = '' OR repository = $1) AND ($2::text = '' OR branch = $2) AND ($3::text = '' OR job = $3)
			AND ($4::timestamptz IS NULL OR slot >= $4) AND ($5::timestamptz IS NULL OR slot < $5)
			AND ($6::timestamptz IS NULL OR (slot, id) < ($6, $7::bigint))
		ORDER BY slot DESC, id DESC LIMIT $8`}

	ofPushesSQL = pg.Statement{Name: "cron.of-pushes", Text: `
		SELECT ` + runColumns + ` FROM cron_runs WHERE repository = $1 AND push_id = ANY ($2) AND push_id > 0 AND task_group_id <> ''`}

	latestSQL = pg.Statement{Name: "cron.latest", Text: `
		SELECT last.* FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (r, b, j)
		CROSS JOIN LATERAL (SELECT ` + runColumns + ` FROM cron_runs WHERE repository = r AND branch = b AND job = j ORDER BY slot DESC, id DESC LIMIT 1) AS last`}
)
