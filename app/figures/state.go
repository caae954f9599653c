package figures

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/app/github/standing"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/replica"
	"github.com/treeline-ci/treeline/ui/small"
)

// What is too old, or waits too long, so that somebody should see to it.
const (
	oldBackup  = 26 * time.Hour
	oldBacklog = 5 * time.Minute
)

// refusalFor is how long it is told that the database refused to write. What runs by itself tries again within seconds.
const refusalFor = time.Minute

// State is how the deployment is, for operators. What cannot be read is one of the problems.
func (in *Rooms) State(ctx context.Context) *small.State {
	s := &small.State{Queues: []small.Backlog{}, Backups: []small.Backup{}, Jobs: []small.Job{}, Settings: []small.Setting{}, Problems: []string{}, Servers: []small.Server{}}
	if in.Refused(refusalFor) {
		s.Problems = append(s.Problems, "The database refused to write within the last minute: its disk is full, or it is read-only. What only reads goes on.")
	}
	for _, part := range []struct {
		what string
		read func(context.Context, *small.State) error
	}{
		{"the schema's version", in.stateOfSchema}, {"the servers", in.stateOfReplicas}, {"what waits", in.stateOfBacklogs}, {"backups", in.stateOfBackups},
		{"what removes old rows", in.stateOfRetention}, {"the database's settings", in.stateOfSettings},
	} {
		if err := part.read(ctx, s); err != nil {
			in.Log.WarnContext(ctx, "a part of the status cannot be read", "what", part.what, "err", err)
			s.Problems = append(s.Problems, fmt.Sprintf("How it is with %s cannot be read: %s", part.what, fault.Message(err)))
		}
	}
	return s
}

func (in *Rooms) stateOfSchema(ctx context.Context, s *small.State) error {
	var err error
	if s.Schema.Database, s.Schema.Program, err = in.schemaVersions(ctx); err == nil && s.Schema.Database != s.Schema.Program {
		s.Problems = append(s.Problems, fmt.Sprintf("The database's schema is of version %d, this program is made for %d: an upgrade is under way, or was not finished.", s.Schema.Database, s.Schema.Program))
	}
	return err
}

// stateOfReplicas says which servers run. Those of programs that do not write down that they run are not among them.
func (in *Rooms) stateOfReplicas(ctx context.Context, s *small.State) error {
	list, err := replica.List(ctx, in.Pool)
	for _, r := range list {
		s.Servers = append(s.Servers, small.Server{Host: r.Host, Version: r.Version, Commit: r.Commit, Schema: r.Schema, Started: r.Started})
	}
	if mixed := replica.Mixed(list); mixed != "" {
		s.Problems = append(s.Problems, "Servers of different programs run: "+mixed+". An upgrade is under way, or was not finished.")
	}
	return err
}

// schemaVersions returns the newest version that the database has, and that which this program knows.
func (in *Rooms) schemaVersions(ctx context.Context) (has, knows int, err error) {
	list, err := pg.Versions(ctx, in.Pool)
	for _, v := range list {
		if v.Applied != nil {
			has = max(has, v.Number)
		}
		if v.Known {
			knows = max(knows, v.Number)
		}
	}
	return has, knows, err
}

func (in *Rooms) stateOfBacklogs(ctx context.Context, s *small.State) error {
	add := func(name string, n int, oldest time.Duration) {
		s.Queues = append(s.Queues, small.Backlog{Name: name, Waiting: n, Oldest: oldest.Seconds()})
		if n > 0 && oldest > oldBacklog {
			s.Problems = append(s.Problems, fmt.Sprintf("%d wait to be done of: %s, the oldest for %s.", n, name, oldest.Round(time.Second)))
		}
	}
	p, err := in.Push.Figures(ctx)
	if err != nil {
		return err
	}
	add("pushes without a decision", p.Undecided, p.Oldest)
	if in.GitHub != nil {
		g, err := standing.Of(ctx, in.Pool)
		if err != nil {
			return err
		}
		add("webhooks of GitHub", g.Waiting, g.Oldest)
		c, err := in.GitHub.Checks.Figures(ctx)
		if err != nil {
			return err
		}
		add("check runs to tell GitHub of", c.Due+c.Later, c.Oldest)
	}
	list, err := in.Notify.Figures(ctx)
	if err != nil {
		return err
	}
	for _, f := range list {
		add("notifications by "+f.Channel, f.Waiting, f.Oldest)
	}
	if in.Mercurial == nil {
		return nil
	}
	repositories, err := in.Mercurial.List(ctx)
	for _, r := range repositories {
		if r.URL != "" && r.Failures > 0 {
			s.Problems = append(s.Problems, fmt.Sprintf("The Mercurial repository %s cannot be read: %s", r.Name, r.Error))
		}
	}
	return err
}

func (in *Rooms) stateOfBackups(ctx context.Context, s *small.State) error {
	list, err := backup.Last(ctx, in.Pool)
	if err != nil {
		return err
	}
	var newest time.Time
	for _, b := range list {
		s.Backups = append(s.Backups, small.Backup{Kind: string(b.Kind), OK: b.OK, At: b.Finished, Size: b.Size, Note: b.Note})
		if b.OK && (b.Kind == backup.Base || b.Kind == backup.Dump) && b.Finished.After(newest) {
			newest = b.Finished
		}
	}
	switch {
	case newest.IsZero():
		s.Problems = append(s.Problems, "No backup was ever reported: docs/operations/backup.md says how to make and report them.")
	case time.Since(newest) > oldBackup:
		s.Problems = append(s.Problems, fmt.Sprintf("The newest good backup of the database is %d hours old.", int(time.Since(newest).Hours())))
	}
	return nil
}

func (in *Rooms) stateOfRetention(ctx context.Context, s *small.State) error {
	runs, err := in.Retention.Runs(ctx)
	for _, r := range runs {
		s.Jobs = append(s.Jobs, small.Job{Name: r.Job, Ended: r.Finished, Removed: r.Removed, Error: r.Error, Failures: r.Failures})
		if r.Failures > 0 {
			s.Problems = append(s.Problems, fmt.Sprintf("Old rows cannot be removed by the job %s: %s", r.Job, r.Error))
		}
	}
	return err
}

func (in *Rooms) stateOfSettings(ctx context.Context, s *small.State) error {
	list, err := doctor.Settings(ctx, in.Pool)
	var wrong []string
	for _, x := range list {
		s.Settings = append(s.Settings, small.Setting{Name: x.Name, Is: x.Is, Want: x.Want, OK: x.OK, Why: x.Why})
		if !x.OK {
			wrong = append(wrong, x.Name)
		}
	}
	if slices.Sort(wrong); len(wrong) > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("Settings of the database are not as the promises need them: %q; treeline doctor says why.", wrong))
	}
	return err
}
