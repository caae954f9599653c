// Package localcmd is the part of the command treeline taskgraph that does a task's work on this machine:
// load-task, build-image, load-image; and init, which writes a configuration to begin with.
package localcmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
)

// Attach adds the commands to treeline taskgraph and to what its help lists, and returns it.
func Attach(taskgraph *cobra.Command) *cobra.Command {
	taskgraph.Long += `
  init        write a configuration to begin with
  load-task   run a task on this machine
  build-image, load-image   make the images of the tree, or get those that tasks made`
	taskgraph.AddCommand(newLoadTaskCommand(), newBuildImageCommand(), newLoadImageCommand(), newInitCommand())
	return taskgraph
}

// command is what all of them share: the tree, and where they write.
type command struct {
	tree graphcmd.Tree
}

// say writes a line about what is being done.
func (c *command) say(format string, args ...any) {
	if !c.tree.Quiet() {
		c.tree.Screen().Line(screen.Faint, "local", fmt.Sprintf(format, args...))
	}
}

// server is the server that the environment names, nil for none.
func (c *command) server() (*client.Client, error) {
	if os.Getenv("TASKCLUSTER_ROOT_URL") == "" && os.Getenv("TASKCLUSTER_PROXY_URL") == "" {
		return nil, nil
	}
	return client.FromEnv(nil)
}

// stateDir is where tasks' directories and caches of this person are.
func stateDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for caches: %w (set XDG_CACHE_HOME)", err)
	}
	dir := filepath.Join(base, "treeline", "local")
	return dir, os.MkdirAll(dir, 0o755)
}
