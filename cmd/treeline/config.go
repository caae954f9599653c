package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/templates/jsone"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check .taskcluster.yml and show the tasks it asks for",
	}
	cmd.AddCommand(newConfigRenderCommand(), newConfigCheckCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:          "check [FILE]",
		Short:        "Check the frame of a .taskcluster.yml (of this folder when no file is named)",
		Args:         cobra.MaximumNArgs(1),
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := parseConfig(args)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is in order: version %d, pull requests: %s, %d hooks\n",
				file.Name, file.Version, file.Policy.PullRequests, len(file.Hooks))
			return nil
		},
	}
}

// configRender holds the flags of config render.
type configRender struct {
	tasksFor, eventFile, rootURL, seed, now string
	json                                    bool
}

func newConfigRenderCommand() *cobra.Command {
	var c configRender
	cmd := &cobra.Command{
		Use:   "render --tasks-for X [--event FILE] [FILE]",
		Short: "Print the tasks that a .taskcluster.yml asks for when something happens",
		Long: "Print the tasks that a .taskcluster.yml (of this folder when no file is named) asks for. For a --tasks-for\n" +
			"that starts with github- the event file is the webhook's body; otherwise its keys are the names that the\n" +
			"template may use besides tasks_for: push, repository, ownTaskId, cron, action, event and so on.",
		Args:         cobra.MaximumNArgs(1),
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.tasksFor, "tasks-for", "", "what happened: github-push, github-pull-request, git-push, cron, action, …")
	flags.StringVar(&c.eventFile, "event", "", "file with the event, JSON or YAML; - is standard input")
	flags.StringVar(&c.rootURL, "root-url", "https://tc.example.com", "taskcluster_root_url for the template")
	flags.StringVar(&c.seed, "seed", "config render", "what invented task ids are derived from")
	flags.StringVar(&c.now, "now", "", "what the template takes for the current time (RFC 3339)")
	flags.BoolVar(&c.json, "json", false, "print JSON instead of YAML")
	_ = cmd.MarkFlagRequired("tasks-for") // fails for a flag that does not exist only
	return cmd
}

func (c *configRender) run(cmd *cobra.Command, args []string) error {
	file, err := parseConfig(args)
	if err != nil {
		return err
	}
	event := templates.Event{TasksFor: c.tasksFor, RootURL: c.rootURL, Seed: c.seed, Now: time.Now()}
	if c.now != "" {
		if event.Now, err = time.Parse(time.RFC3339, c.now); err != nil {
			return fmt.Errorf("--now: %w", err)
		}
	}
	if c.eventFile != "" {
		body, err := readData(cmd.InOrStdin(), c.eventFile)
		if err != nil {
			return err
		}
		o, ok := body.(*jsone.Object)
		if !ok {
			return fmt.Errorf("%s: the event must be an object", c.eventFile)
		}
		if strings.HasPrefix(c.tasksFor, "github-") {
			event.Event = o.Map()
		} else {
			event.Context = o.Map()
		}
	}
	tasks, err := file.Render(event)
	if err != nil {
		return err
	}
	return printTasks(cmd.OutOrStdout(), tasks, c.json)
}

func parseConfig(args []string) (*templates.File, error) {
	name := ".taskcluster.yml"
	if len(args) > 0 {
		name = args[0]
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return templates.Parse(src, name)
}

// renderedTask is how a rendered task is printed.
type renderedTask struct {
	TaskID string          `json:"taskId"`
	Task   task.Definition `json:"task"`
}

func printTasks(out io.Writer, tasks []templates.Task, asJSON bool) error {
	list := make([]renderedTask, len(tasks))
	for i, t := range tasks {
		if err := t.Definition.Complete(t.ID); err != nil {
			return err
		}
		list[i] = renderedTask{t.ID, t.Definition}
	}
	text, err := json.Marshal(map[string]any{"tasks": list})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, text)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err
	}
	block(&node)
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return err
	}
	return e.Close()
}

// block drops the flow style and the quotes that JSON brought.
func block(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		block(c)
	}
}
