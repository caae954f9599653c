package dbcmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
)

// whoami names who gives a command, for the record.
func whoami() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(name, "unknown") + "@" + host
}

func newBackupReportCommand(o *options) *cobra.Command {
	b := backup.Backup{}
	var kind string
	var failed bool
	cmd := &cobra.Command{
		Use: "backup-report --kind KIND", Short: "Tell that a backup ended, for /status, the doctor and alerts", Args: cobra.NoArgs,
		Long: `Writes down that a backup ended: give it as the last command of the script that makes the backup, and with
--failed where that fails. /status, the metrics and "treeline doctor" tell how old the newest good one is.

Kinds: base (pg_basebackup), dump (pg_dump), objects (contents of artifacts), drill (a restore that was tried out).`,
		Example: `  treeline db backup-report --kind base --size 73014444032 --lsn 3C/2000028 --place s3://backups/2026-05-01
  treeline db backup-report --kind base --failed --note "no space left"
  treeline db backups`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, func(ctx context.Context, pool *pgxpool.Pool) error {
				b.Kind, b.OK, b.By = backup.Kind(kind), !failed, cmp.Or(b.By, whoami())
				done, err := backup.Record(ctx, pool, b)
				if err != nil {
					return err
				}
				if o.json {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "noted: %s, %s\n", done.Kind, done.Finished.UTC().Format(time.RFC3339))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "what was saved: base, dump, objects or drill")
	cmd.Flags().BoolVar(&failed, "failed", false, "it did not work")
	cmd.Flags().Int64Var(&b.Size, "size", 0, "bytes")
	cmd.Flags().StringVar(&b.LSN, "lsn", "", "where the write-ahead log stood at its beginning, such as 3C/2000028")
	cmd.Flags().StringVar(&b.Place, "place", "", "where it is")
	cmd.Flags().StringVar(&b.Note, "note", "", "what else is to be known")
	cmd.Flags().StringVar(&b.By, "by", "", "who made it (default this user and machine)")
	if err := cmd.MarkFlagRequired("kind"); err != nil {
		panic(err) // the flag stands above
	}
	return cmd
}

func newBackupsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "backups", Short: "List what was told of backups", Args: cobra.NoArgs,
		Example: `  treeline db backups
  treeline db backups --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, func(ctx context.Context, pool *pgxpool.Pool) error {
				list, err := backup.List(ctx, pool, 50)
				if err != nil {
					return err
				}
				if o.json {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"backups": list})
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "FINISHED\tKIND\tOK\tBYTES\tBY\tPLACE")
				for _, b := range list {
					ok := "yes"
					if !b.OK {
						ok = "FAILED"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", b.Finished.UTC().Format(time.RFC3339), b.Kind, ok, b.Size, b.By, strings.TrimSpace(b.Place+" "+b.Note))
				}
				return w.Flush()
			})
		},
	}
}

func newRestoredCommand(o *options) *cobra.Command {
	var nothingLost, check bool
	cmd := &cobra.Command{
		Use: "restored", Short: "Ready a database that was put back to an earlier point for servers", Args: cobra.NoArgs,
		Long: `Give it once after a restore, before the first server starts (docs/operations/backup.md). What was done after the
point of the restore is not in the database, but others know of it: workers, browsers, files, GitHub. Numbers that were
given in that time are passed over, so that none is given twice; the feed of events goes on a million later, so that who
follows it reads the state anew; the branches and check runs at GitHub are compared with the record at once.

Workers need nothing: the queue refuses what comes with a claim that the database does not know.

With --nothing-lost, for a move by a clean switch-over or dump and restore while servers were stopped, it is only
written down that the database is another one now. A standby that took over after a crash may lack commits, unless
synchronous_standby_names was set: then give the command without it.`,
		Example: `  treeline db restored --check
  treeline db restored
  treeline db restored --nothing-lost`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, func(ctx context.Context, pool *pgxpool.Pool) error {
				l, err := backup.Look(ctx, pool)
				if err != nil {
					return err
				}
				told := l.Why()
				if !check {
					if _, err = app.Restored(ctx, pool, whoami(), nothingLost); err != nil {
						return err
					}
					if l, err = backup.Look(ctx, pool); err != nil {
						return err
					}
				}
				if o.json {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"lineage": l, "moved": l.Moved()})
				}
				fmt.Fprintln(cmd.OutOrStdout(), "The database: "+told+".")
				if !check {
					fmt.Fprintln(cmd.OutOrStdout(), "It is ready; start the servers.")
				} else if l.Moved() {
					return exit.Code(1)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&nothingLost, "nothing-lost", false, "no commit is missing: the database only moved")
	cmd.Flags().BoolVar(&check, "check", false, "only say whether it was put back and nobody said so (then the exit code is 1)")
	return cmd
}
