package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/taskgraph/replay"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// replayCommand is one use of the command.
type replayCommand struct {
	generator
	artifacts string
	treeDir   string
	json      bool
}

func newReplayCommand() *cobra.Command {
	c := &replayCommand{}
	cmd := &cobra.Command{
		Use:   "replay TASKID",
		Short: "Make a decision again from its artifacts and compare, byte by byte",
		Long: `Reads the artifacts of a decision task (or of the decision of a task) from the server, or from a
directory; generates the graph again from its parameters, what the index answered then, and the tree of
its revision; and compares all artifacts. They have to be the same: what differs is shown with its first
line and the likely cause, and the command exits with 1.

The tree is read from the objects of the git repository in the current directory, which has to have the
revision (git fetch); the work tree is not looked at. --tree names a directory that holds it instead.
The server is TASKCLUSTER_ROOT_URL.`,
		Example: `  treeline taskgraph replay fN1SbArXTPSVFNUvaOlinQ
  treeline taskgraph replay --artifacts ./artifacts --tree .`,
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) == 1) == (c.artifacts != "") || len(args) > 1 {
				return errors.New("name the TASKID of a decision, or a directory with --artifacts")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c.streams(cmd.OutOrStdout(), cmd.ErrOrStderr())
			return c.tell(c.replay(cmd.Context(), strings.Join(args, "")))
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.artifacts, "artifacts", "", "directory with the artifacts, in the place of a server")
	f.StringVar(&c.treeDir, "tree", "", "directory with the tree of the revision, in the place of git's objects")
	f.BoolVar(&c.json, "json", false, "print JSON, for programs")
	return cmd
}

func (c *replayCommand) replay(ctx context.Context, id string) error {
	scripts, err := runtask.Scripts()
	if err != nil {
		return err
	}
	s := replay.Source{Scripts: scripts, Program: replay.Program(), Tree: c.gitTree, Read: c.fromDirectory}
	if c.treeDir != "" {
		s.Tree = c.directory
	}
	if id != "" {
		if s.Read, err = fromServer(ctx, id); err != nil {
			return err
		}
	}
	out, err := replay.Run(ctx, s)
	if err != nil {
		return err
	}
	if c.json {
		err = printJSON(c.out, out)
	} else {
		err = out.WriteText(c.out)
	}
	if err == nil && !out.Equal {
		return exit.Told
	}
	return err
}

// fromDirectory reads an artifact from files; contexts of images stand beside the directory, where the
// decision put them.
func (c *replayCommand) fromDirectory(_ context.Context, name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("artifact %q: not the name of a file", name)
	}
	content, err := os.ReadFile(filepath.Join(c.artifacts, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(name, "docker-contexts/") {
		return os.ReadFile(filepath.Join(filepath.Dir(filepath.Clean(c.artifacts)), filepath.FromSlash(name)))
	}
	return content, err
}

// fromServer reads artifacts of the decision that the task is, or that made it.
func fromServer(ctx context.Context, id string) (func(context.Context, string) ([]byte, error), error) {
	server, err := client.FromEnv(nil)
	if err != nil {
		return nil, err
	}
	def, err := server.Task(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", id, err)
	}
	return func(ctx context.Context, name string) ([]byte, error) {
		content, err := artifact(ctx, server, def.TaskGroupID, "public/"+name)
		if errors.Is(err, fault.NotFound) {
			return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		return content, err
	}, nil
}

// gitTree is the tree of a revision of the repository in the current directory.
func (c *replayCommand) gitTree(ctx context.Context, _, revision string) (fs.FS, string, error) {
	here, err := checkout.Find(".")
	if err != nil {
		return nil, "", err
	}
	if here.Kind != "git" {
		return nil, "", errors.New("the current directory is in no git repository: run this in one that has the revision, or name a directory with --tree")
	}
	repo, err := localgit.Open(ctx, here.Dir)
	if err != nil {
		return nil, "", err
	}
	if id, err := resolve(ctx, here, revision); err != nil || !repo.Has(ctx, id) {
		return nil, "", fmt.Errorf("the repository %s has no commit %s: fetch it first (git fetch), or name a directory with --tree", here.Dir, revision)
	}
	tree, err := repo.Tree(ctx, revision)
	if err != nil {
		return nil, "", err
	}
	return tree, "", tree.Prefetch("taskcluster", "ci")
}

// directory is the tree that --tree names: nobody knows of which revision it is.
func (c *replayCommand) directory(ctx context.Context, _, revision string) (fs.FS, string, error) {
	info, err := os.Stat(c.treeDir)
	if err != nil {
		return nil, "", err
	}
	if !info.IsDir() {
		return nil, "", fmt.Errorf("--tree %s: not a directory", c.treeDir)
	}
	doubt := ""
	if here, err := checkout.Find(c.treeDir); err == nil && here.Kind == "git" {
		if head := here.Ask(ctx, "rev-parse", "HEAD"); head != revision {
			doubt = fmt.Sprintf("another revision: the tree in %s is at %s, not at %s", c.treeDir, head, revision)
		}
	}
	return os.DirFS(c.treeDir), doubt, nil
}
