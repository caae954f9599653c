package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/engine/process"
	"github.com/treeline-ci/treeline/workers/payload"
)

func newWorkerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run tasks on this machine",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newWorkerRunCommand(), newWorkerSchemaCommand())
	return cmd
}

func newWorkerRunCommand() *cobra.Command {
	var c workers.Config
	var passed []string
	var jsonLog, verbose, single bool
	var register string
	var told notices
	var confine confinement
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Claim tasks from a queue and run them",
		Long: `Claims tasks from one task queue and runs their commands on this machine or in containers, each
task in a fresh directory that is wiped afterwards. Logs stream to the server while commands run; artifacts are
verified by sha256 on both sides.

SIGTERM or SIGINT ends the worker politely: it claims nothing more, lets its tasks go on for
--grace, then gives back those that have not ended, and another worker takes them. SIGUSR1, for
machines that are about to be taken away, gives them back at once; in a cloud the worker learns that by
itself (--notices). SIGHUP upgrades in place: the
worker claims nothing more, lets its tasks end by themselves, and becomes the program that then
stands where this one stood, with the same arguments.

The server and the worker's credentials are taken from TASKCLUSTER_ROOT_URL,
TASKCLUSTER_CLIENT_ID, TASKCLUSTER_ACCESS_TOKEN and TASKCLUSTER_CERTIFICATE. The client needs the
scopes queue:claim-work:<queue> and queue:worker-id:<group>/<id>.

With --register the worker shows worker-manager what its provider or operator gave it, gets credentials
for a time, and renews them. One that was launched by a provider asks, when it has had no work for a minute
(or idleTimeoutSecs of its workerConfig), whether it is needed, and ends when it is not.

Started as root, give --task-users, or --run-as a user without rights: tasks run whatever their
authors write. With --task-users each task has a user of its own, and what that user leaves
anywhere on the machine is removed with the task. --single-use ends the worker after one task and
drops its caches: for pools whose tasks nobody trusts.

Exit codes: 0 ended politely; 1 could not begin or the server refused the first claim.`,
		Example: `  treeline worker run --task-queue local/work --dir /var/lib/treeline-worker
  treeline worker run --task-queue local/work --dir /srv/w --capacity 4 --task-users 61000 --memory 4G --pids 2000
  treeline worker run --register worker.json --dir /var/lib/treeline-worker
  treeline worker run --register aws --dir /var/lib/treeline-worker
  treeline worker run --task-queue local/containers --dir /srv/w --engine container --single-use`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options := &slog.HandlerOptions{Level: logLevel(verbose)}
			c.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
			if jsonLog {
				c.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
			}
			var err error
			leave, err := admit(cmd.Context(), register, told.metadata(), &c)
			if err != nil {
				return err
			}
			defer leave()
			if c.WorkerID == "" {
				c.WorkerID = hostName()
			}
			for _, name := range passed {
				if value, ok := os.LookupEnv(name); ok {
					c.Env = append(c.Env, name+"="+value)
				}
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program, which tasks may call: %w", err)
			}
			c.Program = program
			if single {
				c.Capacity, c.MaxTasks, c.Forget = 1, 1, true
			}
			// The credentials stand in this process's environment and memory.
			if err := process.Seal(); err != nil {
				return err
			}
			closeEngine, err := confine.apply(cmd.Context(), &c)
			if err != nil {
				return err
			}
			taken, err := told.listen(cmd.Context(), register, c.Log)
			if err != nil {
				return errors.Join(err, closeEngine())
			}
			return runWorker(cmd.Context(), c, taken, closeEngine)
		},
	}
	f := cmd.Flags()
	f.StringVar(&register, "register", "", "file to register with worker-manager by, or aws, google or azure on a machine that a pool launched there (default "+registerSetting+")")
	f.StringVar(&c.TaskQueueID, "task-queue", "", "task queue to claim from, provisionerId/workerType; needed without --register")
	f.StringVar(&c.WorkerGroup, "worker-group", "local", "group this worker belongs to")
	f.StringVar(&c.WorkerID, "worker-id", "", "this worker's name within its group (default the host's name)")
	f.StringVar(&c.Dir, "dir", "", "directory for tasks and caches; one worker at a time uses it")
	f.IntVar(&c.Capacity, "capacity", 1, "tasks at once")
	f.StringVar(&c.RunAs, "run-as", "", "user that commands run as, a name or uid:gid (default the worker's own)")
	f.BoolVar(&c.AcceptImages, "accept-images", false, "also run payloads that name an image, on the machine itself")
	f.StringArrayVar(&c.Env, "env", nil, "NAME=value for the environment of every task (repeatable)")
	f.StringArrayVar(&passed, "pass-env", nil, "name of a variable to pass on to every task (repeatable)")
	f.DurationVar(&c.Grace, "grace", workers.DefaultGrace, "how long tasks may go on when the worker is asked to end")
	f.DurationVar(&c.KillGrace, "kill-grace", workers.DefaultKillGrace, "time between asking a command to end and killing it")
	f.DurationVar(&c.MaxRun, "max-run-time", workers.DefaultMaxRun, "largest maxRunTime accepted")
	f.Int64Var(&c.MaxLog, "max-log-bytes", workers.DefaultMaxLog, "output kept of one run")
	f.IntVar(&c.MaxTasks, "max-tasks", 0, "end after so many tasks (0: never)")
	f.DurationVar(&c.MaxIdle, "max-idle", 0, "end after so long without work (0: never)")
	f.BoolVar(&single, "single-use", false, "end after one task, and keep nothing of it")
	f.BoolVarP(&verbose, "verbose", "v", false, "log details too")
	f.BoolVar(&jsonLog, "log-json", false, "write the worker's own log as JSON")
	told.flags(cmd)
	confine.flags(cmd, &c)
	for _, name := range []string{"dir"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			cmd.PrintErrln(err) // the flag is defined above
		}
	}
	return cmd
}

// hostName is this machine's name as far as a worker id may have it.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return fmt.Sprintf("worker-%d", time.Now().Unix())
	}
	clean := strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '-'
	}, name)
	return clean[:min(len(clean), 38)]
}

func newWorkerSchemaCommand() *cobra.Command {
	var docker bool
	cmd := &cobra.Command{
		Use:   "payload-schema",
		Short: "Print the JSON schema of the payloads that the worker runs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, dockerSchema := payload.Schemas()
			if docker {
				schema = dockerSchema
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(schema)
		},
	}
	cmd.Flags().BoolVar(&docker, "docker", false, "the dialect of container tasks")
	return cmd
}
