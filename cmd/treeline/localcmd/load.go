package localcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/local"
	"github.com/treeline-ci/treeline/workers/engine/container"
)

// loadTask is the command's options.
type loadTask struct {
	command
	options local.Options
	develop bool
	volumes []string
	edges   map[string]string
	in      io.Reader
	out     io.Writer
}

func newLoadTaskCommand() *cobra.Command {
	l := &loadTask{}
	cmd := &cobra.Command{
		Use:   "load-task TASK|LABEL|-",
		Short: "Run a task's command on this machine",
		Long: `Runs one task here, with its environment, its fetches and its caches, and ends with the exit status of
its command. The task is that of a server (a task id), one of the tree's graph (a label; it is generated as
"taskgraph full" does), or a definition in JSON on standard input (-), such as "taskgraph full -J" and "treeline
api queue task ID" print.

A task that names an image runs in a container of Docker or Podman (DOCKER_HOST, or the usual sockets); others,
and all with --engine process, run as processes in a directory of their own. An image of the tree that no
finished task has built is built first; artifacts of other tasks come from the server, for which --dependency
EDGE=TASK can name a task, and --no-fetches leaves them out.

What only a claimed run has it does without, and says so: credentials (--proxy signs the task's calls with your
own, limited to the task's scopes), secrets, uploads of artifacts, a result in the queue. Caches are kept for
later runs on this machine, apart from every worker's.`,
		Example: `  treeline taskgraph load-task test-unit-1                    # a task of the tree, as it would be here and now
  treeline taskgraph load-task test-unit-1 --develop          # with the files of this checkout, changed as they are
  treeline taskgraph load-task fN1SbArXTPSVFNUvaOlinQ -i      # a shell in the environment of a server's task
  treeline taskgraph full -J | jq '."build-linux"' | treeline taskgraph load-task -`,
		Args: cobra.ExactArgs(1),
	}
	run := l.tree.Does(func(ctx context.Context, args []string) error { return l.run(ctx, args[0]) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l.in, l.out = cmd.InOrStdin(), cmd.OutOrStdout()
		return run(cmd, args)
	}
	f := cmd.Flags()
	f.StringVar(&l.options.Engine, "engine", "", "process or container (default: container for a task that names an image)")
	f.BoolVarP(&l.options.Interactive, "interactive", "i", false, "a shell in the place of the task's command; exec-task runs that")
	f.BoolVar(&l.develop, "develop", false, "use the checkout in the current directory, as it is, in the place of the task's")
	f.BoolVar(&l.options.Keep, "keep", false, "keep the container, or the task's directory")
	f.StringVar(&l.options.User, "user", "", "whom the command runs as (default: as the task says)")
	f.StringVar(&l.options.Image, "image", "", "another image: NAME:TAG, task-id=ID, index=PATH, in-tree=NAME")
	f.StringArrayVarP(&l.volumes, "volume", "v", nil, "HOST:PLACE[:ro], a directory that the container sees (repeatable)")
	f.StringToStringVar(&l.edges, "dependency", nil, "EDGE=TASK, the task that a dependency stands for")
	f.BoolVar(&l.options.NoFetches, "no-fetches", false, "leave out what the task fetches of other tasks")
	f.BoolVar(&l.options.Proxy, "proxy", false, "give the task its proxy, with your own credentials limited to the task's scopes")
	l.tree.Flags(cmd)
	return cmd
}

func (l *loadTask) run(ctx context.Context, what string) error {
	if err := l.complete(); err != nil {
		return err
	}
	server, err := l.server()
	if err != nil {
		return err
	}
	t, err := l.find(ctx, what, server)
	if err != nil {
		return err
	}
	dir, err := stateDir()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, which tasks use: %w", err)
	}
	l.say("task %s", t.Name)
	code, err := local.Run(ctx, local.Host{
		Client: server, Dir: dir, Program: program, In: l.in, Out: l.out, Say: l.say,
		BuildImage: func(ctx context.Context, e *container.Engine, name string) (string, error) {
			var built string
			err := l.tree.With(func() (err error) {
				built, err = l.command.buildImage(ctx, e, name, imageTag(name), false)
				return err
			})
			return built, err
		},
	}, t, l.options)
	if err != nil {
		return err
	}
	if code != 0 {
		l.say("the task failed: exit status %d", code)
		return exit.Code(code)
	}
	l.say("the task succeeded")
	return nil
}

// complete turns the options into those of the run.
func (l *loadTask) complete() error {
	if len(l.volumes) > 0 && l.options.Engine == local.Process {
		return errors.New("--volume needs a container: processes see this machine as it is")
	}
	for _, v := range l.volumes {
		bind, err := parseVolume(v)
		if err != nil {
			return err
		}
		l.options.Binds = append(l.options.Binds, bind)
	}
	if l.develop {
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		l.options.Develop = here
		if err := l.tree.With(func() error { l.options.Develop, err = filepath.Abs(l.tree.Dir()); return err }); err != nil {
			l.options.Develop = here // a checkout that has no taskcluster/, for a task of elsewhere
		}
	}
	return nil
}

func parseVolume(text string) (container.Bind, error) {
	host, place, ok := strings.Cut(text, ":")
	place, mode, hasMode := strings.Cut(place, ":")
	if !ok || host == "" || !strings.HasPrefix(place, "/") || hasMode && mode != "ro" && mode != "rw" {
		return container.Bind{}, fmt.Errorf("--volume %q is not of the form HOST:PLACE or HOST:PLACE:ro, with an absolute PLACE", text)
	}
	abs, err := filepath.Abs(host)
	if err == nil {
		_, err = os.Stat(abs)
	}
	if err != nil {
		return container.Bind{}, errors.Join(fmt.Errorf("--volume %s", text), err)
	}
	return container.Bind{Host: abs, Place: place, ReadOnly: mode == "ro"}, nil
}
