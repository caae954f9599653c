// Package dbcmd is the command "treeline db": the schema of the database, its encryption keys, its backups.
package dbcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// options are the flags that all commands on the database share.
type options struct {
	url, data string
	json      bool
}

// New makes the command.
func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Upgrade, downgrade or look at the database's schema; its encryption key; its backups",
		Long: `Works on the schema of Treeline's database: numbered versions, each of which can be applied and
taken back. A version is applied whole or not at all; a command that was interrupted is simply
given again, and several at once do no harm. "treeline dev" upgrades its own database by itself.

The database is the one of --database or the environment variable DATABASE_URL, or, with --data,
the one in the data directory of a "treeline dev" that does not run.`,
		Example: `  treeline db status
  treeline db upgrade
  treeline db downgrade --to 5
  treeline db status --data ~/.treeline --json`,
	}
	cmd.PersistentFlags().StringVar(&o.url, "database", "", "URL of the database, postgres://… (default $DATABASE_URL)")
	cmd.PersistentFlags().StringVar(&o.data, "data", "", "data directory of a treeline dev that does not run")
	cmd.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.AddCommand(newStatusCommand(&o), newUpgradeCommand(&o), newDowngradeCommand(&o), newKeyCommand(&o), newReencryptCommand(&o),
		newBackupReportCommand(&o), newBackupsCommand(&o), newRestoredCommand(&o))
	return cmd
}

func newStatusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say which versions the database has", Args: cobra.NoArgs,
		Example: `  treeline db status
  treeline db status --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, func(ctx context.Context, pool *pgxpool.Pool) error {
				versions, err := pg.Versions(ctx, pool)
				if err != nil {
					return err
				}
				return o.print(cmd, versions)
			})
		},
	}
}

func newUpgradeCommand(o *options) *cobra.Command {
	var to int
	var w manner
	cmd := &cobra.Command{
		Use: "upgrade", Short: "Apply the versions that the database does not have yet", Args: cobra.NoArgs,
		Long: `Applies the versions that the database does not have yet. What some of them do to each row of a large
table is done online, piece by piece, while servers and workers go on; interrupted, also by force, it goes
on where it was when the command is given again. A server that starts does so by itself, beside its work.`,
		Example: `  treeline db upgrade
  treeline db upgrade --progress --busy 80
  treeline db upgrade --to 5`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.change(cmd, func(ctx context.Context, pool *pgxpool.Pool) error { return pg.Upgrade(ctx, pool, to, w.how(cmd)...) })
		},
	}
	w.add(cmd)
	cmd.Flags().IntVar(&to, "to", 0, "number of the last version to apply (default the newest)")
	return cmd
}

func newDowngradeCommand(o *options) *cobra.Command {
	var to int
	var w manner
	cmd := &cobra.Command{
		Use: "downgrade", Short: "Take versions back, with the data that only they can hold", Args: cobra.NoArgs,
		Long: `Takes back the versions above --to, newest first. What was stored in tables and columns that these
versions added is lost: make a backup first.`,
		Example: `  treeline db downgrade --to 5`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to < 0 {
				return fault.New(fault.Invalid, "--to %d: the number of a version, or 0 for an empty database", to)
			}
			return o.change(cmd, func(ctx context.Context, pool *pgxpool.Pool) error { return pg.Downgrade(ctx, pool, to, w.how(cmd)...) })
		},
	}
	w.add(cmd)
	cmd.Flags().IntVar(&to, "to", 0, "number of the version to go back to; 0 takes back all")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag stands in the line above
	}
	return cmd
}

// with opens the database that the flags name.
func (o *options) with(cmd *cobra.Command, fn func(ctx context.Context, pool *pgxpool.Pool) error) error {
	ctx := cmd.Context()
	url := o.url
	if o.data != "" {
		if url != "" {
			return fault.New(fault.Invalid, "--database and --data name two databases; give one")
		}
		dir := filepath.Join(o.data, "pg") // where app/dev keeps it
		if _, err := os.Stat(filepath.Join(dir, "data")); err != nil {
			return fault.Wrap(fault.NotFound, err, "%s is not the data directory of a treeline dev", o.data)
		}
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		cluster, err := pg.StartCluster(ctx, dir, log)
		if err != nil {
			return err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			if err := cluster.Stop(ctx); err != nil {
				log.Error("PostgreSQL was not stopped", "err", err)
			}
		}()
		url = cluster.URL(pg.DatabaseName)
	}
	if url == "" {
		var err error
		if url, err = app.Setting("DATABASE_URL"); err != nil {
			return err
		}
	}
	if url == "" {
		return fault.New(fault.Invalid, "which database? Set DATABASE_URL, or give --database URL or --data DIR")
	}
	pool, err := pg.Open(ctx, url, pg.MaxConns(2), pg.Application(backup.Application))
	if err != nil {
		return err
	}
	defer pool.Close()
	return fn(ctx, pool)
}

// change runs an upgrade or downgrade and prints what it did, which is of interest even when it ended
// half-way.
func (o *options) change(cmd *cobra.Command, fn func(ctx context.Context, pool *pgxpool.Pool) error) error {
	return o.with(cmd, func(ctx context.Context, pool *pgxpool.Pool) error {
		before, err := pg.Versions(ctx, pool)
		if err != nil {
			return err
		}
		failed := fn(ctx, pool)
		after, err := pg.Versions(ctx, pool)
		if err != nil {
			if failed != nil {
				return failed // says more than that the database cannot be asked any more
			}
			return err
		}
		if o.json && failed == nil {
			return o.print(cmd, after)
		}
		had := map[int]bool{}
		for _, v := range before {
			had[v.Number] = v.Applied != nil
		}
		changed := 0
		for _, v := range after {
			has := v.Applied != nil
			if has == had[v.Number] {
				continue
			}
			changed++
			verb := "applied"
			if !has {
				verb = "took back"
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s %04d %s\n", verb, v.Number, v.Name)
		}
		if changed == 0 && failed == nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing to do")
		}
		return failed
	})
}

func (o *options) print(cmd *cobra.Command, versions []pg.Version) error {
	out := cmd.OutOrStdout()
	if o.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string][]pg.Version{"versions": versions})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tNAME\tAPPLIED\tREMARK")
	for _, v := range versions {
		applied, remark := "-", ""
		if v.Applied != nil {
			applied = v.Applied.UTC().Format(time.RFC3339)
		}
		switch {
		case v.Online != nil && v.Online.Finished == nil && v.Known:
			remark = onlineRemark(*v.Online)
		case !v.Known:
			remark = "not known to this program: made by a newer one"
		case v.Changed:
			remark = "changed since it was applied"
		case v.Applied == nil:
			remark = "treeline db upgrade applies it"
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%04d\t%s\t%s\t%s", v.Number, v.Name, applied, remark), "\t"))
	}
	return w.Flush()
}
