package actioncmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
	"github.com/treeline-ci/treeline/taskgraph/config"
)

// callbackCommand is one use of treeline taskgraph action-callback.
type callbackCommand struct {
	*graphcmd.Session
	artifacts string
}

func newCallbackCommand() *cobra.Command {
	c := &callbackCommand{Session: graphcmd.NewSession(true)}
	cmd := &cobra.Command{
		Use:   "action-callback",
		Short: "Do in an action task what somebody asked for",
		Long: `Runs in an action task, in the checkout of the revision of the push: it does what the action does, and
writes the artifacts of an action into ./artifacts. The task may be killed and run again: nothing is done twice.

  TASK_ID               the action task
  ACTION_CALLBACK       the callback name of the action (cb_name of actions.json)
  ACTION_TASK_GROUP_ID  the task group it is for, whose parameters.yml it takes
  ACTION_TASK_ID        the task it is for, as JSON: a string, or null for the group
  ACTION_INPUT          what was given to it, as JSON

The action task must hold the scope assume:<repository>:action:<permission> itself. The server is
TASKCLUSTER_ROOT_URL, with the credentials of TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN or
through TASKCLUSTER_PROXY_URL.`,
		Example: "  treeline taskgraph action-callback",
		Args:    cobra.NoArgs,
		RunE:    c.Does(func(ctx context.Context, _ []string) error { return c.run(ctx) }),
	}
	c.RootFlag(cmd)
	cmd.Flags().StringVar(&c.artifacts, "artifacts", artifactsDir, "directory to write the artifacts into")
	return cmd
}

// asked is what somebody asked for.
type asked struct {
	callback, groupID, taskID string
	input                     any
}

// fromEnv reads what the environment of an action task says.
func fromEnv() (asked, error) {
	a := asked{callback: os.Getenv("ACTION_CALLBACK"), groupID: os.Getenv("ACTION_TASK_GROUP_ID")}
	if a.callback == "" {
		return a, errors.New("ACTION_CALLBACK is not set: it names the action (this command runs in an action task; test-action-callback elsewhere)")
	}
	if !slug.Valid(a.groupID) {
		return a, fmt.Errorf("ACTION_TASK_GROUP_ID is %q, not the id of a task group", a.groupID)
	}
	if text := os.Getenv("ACTION_TASK_ID"); text != "" {
		var id *string
		if err := json.Unmarshal([]byte(text), &id); err != nil {
			return a, fmt.Errorf("ACTION_TASK_ID is %q, not a JSON string and not null", text)
		}
		if id != nil && !slug.Valid(*id) {
			return a, fmt.Errorf("ACTION_TASK_ID is %q, not the id of a task", *id)
		} else if id != nil {
			a.taskID = *id
		}
	}
	var err error
	a.input, err = perform.PlainJSON("ACTION_INPUT", []byte(os.Getenv("ACTION_INPUT")))
	return a, err
}

func (c *callbackCommand) run(ctx context.Context) error {
	want, err := fromEnv()
	if err != nil {
		return err
	}
	own := os.Getenv("TASK_ID")
	if !slug.Valid(own) {
		return fmt.Errorf("TASK_ID is %q: an action needs the id of the action task it runs in", own)
	}
	server, err := client.FromEnv(nil)
	if err != nil {
		return err
	}
	self, err := server.Task(ctx, own)
	if err != nil {
		return fmt.Errorf("read the action task TASK_ID=%s: %w", own, err)
	}
	cfg, err := config.Load(c.Tree(), c.Root())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.artifacts, 0o755); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	r := newPerformer(c.Session, &remote{client: server, dir: c.artifacts, ancestors: c.Ancestors}, cfg)
	r.Own, r.Since = own, self.Created.Time
	p, err := r.Parameters(ctx, want.groupID)
	if err != nil {
		return err
	}
	registry, err := newRegistry(ctx, c.Session, cfg, p)
	if err != nil {
		return err
	}
	if err := registry.CheckScope(want.callback, p, os.Getenv("TASKCLUSTER_ROOT_URL"), self.Scopes); err != nil {
		return err
	}
	call := action.Call{
		ActionTaskID: own, TaskGroupID: want.groupID, TaskID: want.taskID, Input: want.input, Config: cfg,
		Push: action.Push{Parameters: p}, Now: self.Created.Time, Star: starFiles(c.Session), RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"),
	}
	if call.Index, err = c.Index(); err != nil {
		return err
	}
	if err := r.Complete(ctx, registry, want.callback, &call); err != nil {
		return err
	}
	effects, err := registry.Run(ctx, want.callback, call)
	if err != nil {
		return err
	}
	if err := r.Apply(ctx, effects); err != nil || effects.Decide == nil {
		return err
	}
	return c.Decide(ctx, effects.Decide, own, self.Created.Time, c.artifacts)
}

// newPerformer does actions of the session's tree on a server; remarks are lines of the session's.
func newPerformer(s *graphcmd.Session, server perform.Server, cfg *config.GraphConfig) *perform.Performer {
	return &perform.Performer{Server: server, Config: cfg, Say: func(format string, args ...any) { fmt.Fprintf(s.Err(), format+"\n", args...) }}
}
