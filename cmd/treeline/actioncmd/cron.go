package actioncmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates"
)

// cronCommand is one use of treeline taskgraph cron.
type cronCommand struct {
	*graphcmd.Session
	at, project, branch string
	forceRun            string
	inputFile           string
	level               string
	json                bool
}

func newCronCommand() *cobra.Command {
	c := &cronCommand{Session: graphcmd.NewSession(false)}
	cmd := &cobra.Command{
		Use:   "cron",
		Short: "List the jobs of .cron.yml, and which of them are due",
		Long: `Lists the jobs of .cron.yml with the times when they were and will be due, and says of each why it is due
or not at the time given. With --force-run it prints the task that the job would create now, rendered from
.taskcluster.yml; nothing is created.`,
		Example: `  treeline taskgraph cron
  treeline taskgraph cron --at 2026-03-02T10:00:00Z --project mine --json
  treeline taskgraph cron --force-run nightly`,
		Args: cobra.NoArgs,
		RunE: c.Does(func(ctx context.Context, _ []string) error { return c.run(ctx) }),
	}
	c.RootFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&c.at, "at", "", "the time to ask about, such as 2026-03-02T10:00:00Z (default now)")
	f.StringVar(&c.project, "project", "", "the project to ask about (default that of the checkout)")
	f.StringVar(&c.branch, "branch", "", "the branch to ask about (default that of the checkout)")
	f.StringVar(&c.forceRun, "force-run", "", "print what this job would create")
	f.StringVar(&c.inputFile, "input", "", "with --force-run: file with the input of the hook, YAML or JSON")
	f.StringVar(&c.level, "level", "3", "with --force-run: trust level of the repository")
	f.BoolVar(&c.json, "json", false, "print JSON, for programs")
	return cmd
}

func (c *cronCommand) run(ctx context.Context) error {
	file, err := cron.Load(c.Tree())
	if err != nil {
		return err
	}
	now := time.Now()
	if c.at != "" {
		if now, err = time.Parse(time.RFC3339, c.at); err != nil {
			return fmt.Errorf("--at %q: expected a time like 2026-03-02T10:00:00Z", c.at)
		}
	}
	facts := c.Facts(ctx)
	if c.project == "" {
		c.project, _ = params.Defaults(facts)["project"].(string)
	}
	if c.branch == "" {
		c.branch = facts.HeadRef
	}
	if c.forceRun != "" {
		return c.force(file, facts, now)
	}
	if len(file.Jobs) == 0 {
		fmt.Fprintf(c.Err(), "the tree has no jobs: %s is missing or empty\n", cron.Name)
	}
	list, wrong := c.list(file, now)
	if c.json {
		err = printIndented(c.Out(), map[string]any{"at": now.UTC(), "slot": cron.Slot(now), "project": c.project, "branch": c.branch, "jobs": list})
	} else {
		err = c.table(list)
	}
	return errors.Join(append(wrong, err)...)
}

// listed is a job as it is shown.
type listed struct {
	cron.Verdict
	Type     string     `json:"type"`
	Line     int        `json:"line"`
	Previous *time.Time `json:"previous"`
	Next     *time.Time `json:"next"`
}

func (c *cronCommand) list(file *cron.File, now time.Time) ([]listed, []error) {
	where := cron.Branch{Project: c.project, Branch: c.branch}
	verdicts, wrong := file.Due(now, where)
	out := make([]listed, len(verdicts))
	for i, v := range verdicts {
		l := listed{Verdict: v, Type: v.Job.Type, Line: v.Job.Line}
		// What is wrong is told with the verdict.
		if t, ok, err := v.Job.Previous(now, where); err == nil && ok {
			l.Previous = &t
		}
		if t, ok, err := v.Job.Next(now, where); err == nil && ok {
			l.Next = &t
		}
		out[i] = l
	}
	return out, wrong
}

func (c *cronCommand) table(list []listed) error {
	w := tabwriter.NewWriter(c.Out(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tTYPE\tDUE\tPREVIOUS\tNEXT\tWHY")
	for _, l := range list {
		due := "no"
		if l.Due {
			due = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Type, due, shown(l.Previous), shown(l.Next), l.Reason)
	}
	return w.Flush()
}

func shown(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format("2006-01-02 15:04")
}

// force prints what a job would create.
func (c *cronCommand) force(file *cron.File, facts params.Facts, now time.Time) error {
	job, err := file.Job(c.forceRun)
	if err != nil {
		return err
	}
	start := cron.Start{TaskID: os.Getenv("TASK_ID")}
	if c.inputFile != "" {
		src, err := os.ReadFile(c.inputFile)
		if err != nil {
			return fmt.Errorf("--input: %w", err)
		}
		if start.Input, err = params.Decode(c.inputFile, src); err != nil {
			return err
		}
	}
	if job.Type == cron.TriggerAction {
		return printIndented(c.Out(), map[string]any{"action": job.ActionName, "input": job.ActionInput(start)})
	}
	task, err := c.render(job, facts, start, now)
	if err != nil {
		return err
	}
	return printIndented(c.Out(), task)
}

// render makes the decision task of a job; exactly one must result.
func (c *cronCommand) render(job *cron.Job, facts params.Facts, start cron.Start, now time.Time) (any, error) {
	yml, err := templates.Parse(c.TaskclusterYML(), ".taskcluster.yml")
	if err != nil {
		return nil, err
	}
	root := os.Getenv("TASKCLUSTER_ROOT_URL")
	kind := facts.RepositoryType
	if kind == "" {
		kind = "git"
	}
	role := action.RolePrefix(facts.RepositoryURL, root)
	if facts.RepositoryURL == "" { // as a server names the role of a repository on its machine
		name := c.project
		if wd, err := os.Getwd(); err == nil && name == "" {
			name = filepath.Base(wd)
		}
		role = "repo:local/" + name
	}
	names := job.Context(
		cron.Repository{URL: facts.RepositoryURL, Project: c.project, Level: c.level, Type: kind, Role: role},
		cron.Push{Revision: facts.HeadRev, Branch: c.branch}, start,
	)
	if err := inputAsData(names); err != nil {
		return nil, err
	}
	seed := strings.Join([]string{"cron", facts.RepositoryURL, c.branch, job.Name, cron.Slot(now).Format(time.RFC3339)}, "\x00")
	names["ownTaskId"] = taskgraph.TaskID(seed, "")
	tasks, err := yml.Render(templates.Event{TasksFor: cron.TasksFor, Context: names, RootURL: root, Now: now, Seed: seed, OwnTaskID: taskgraph.TaskID(seed, "")})
	if err != nil {
		return nil, err
	}
	if len(tasks) != 1 {
		return nil, fmt.Errorf(".taskcluster.yml gives %d tasks for tasks_for cron; a job needs exactly one", len(tasks))
	}
	return map[string]any{"taskId": tasks[0].ID, "task": tasks[0].Definition}, nil
}

// inputAsData gives the input of the hook the numbers that templates know.
func inputAsData(names map[string]any) error {
	job, _ := names["cron"].(map[string]any)
	b, err := json.Marshal(job["input"])
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	job["input"] = v
	return nil
}
