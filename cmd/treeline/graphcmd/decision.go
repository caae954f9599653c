package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/replay"
	"github.com/treeline-ci/treeline/taskgraph/value"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// taskID is the task this program runs in, "" for none.
func taskID() string { return os.Getenv("TASK_ID") }

// taskclusterYML is the tree's .taskcluster.yml, empty without one.
func (g *generator) taskclusterYML() []byte {
	b, err := fs.ReadFile(g.tree, ".taskcluster.yml")
	if err != nil {
		return nil
	}
	return b
}

// decisionCommand is one use of the command.
type decisionCommand struct {
	generator
	facts         params.Decision
	artifacts     string
	dryRun        bool
	mayOverride   bool
	try           bool
	notes         []*graph.Error // of a push to try, for who pushed
	overrideFile  string
	optimize      bool // selected tasks
	noVerify      bool
	ignoredString string
}

func newDecisionCommand() *cobra.Command {
	c := &decisionCommand{generator: generator{mustAsk: true}}
	cmd := &cobra.Command{
		Use:   "decision",
		Short: "Decide in a decision task: generate the graph and create its tasks",
		Long: `Runs in a decision task, in the checkout of the revision to decide about. It makes the parameters
of the options and of the commits, generates the graph, writes the artifacts of a decision into
./artifacts (and docker contexts into ./docker-contexts), and creates all tasks at once. When it fails,
./artifacts/decision-errors.json says why, with file and line, for the page of the push.

TASK_ID names the decision task. The server is TASKCLUSTER_ROOT_URL, with the credentials of
TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN or through TASKCLUSTER_PROXY_URL.`,
		Example: `  treeline taskgraph decision --project mine --level 3 --owner me@example.org --pushlog-id 0 --pushdate 0 \
      --repository-type git --base-repository https://example.org/r --head-repository https://example.org/r \
      --base-rev 8c4f1a… --head-ref refs/heads/main --head-rev 51b9e0… --tasks-for git-push

  treeline taskgraph decision … --dry-run      # everything but creating the tasks`,
		Args: cobra.NoArgs,
		RunE: c.does(func(ctx context.Context, _ []string) error {
			err := c.decide(ctx)
			if err != nil {
				err = errors.Join(err, c.write(decision.MistakesName, func() ([]byte, error) { return decision.WriteMistakes(err) }))
			}
			return err
		}),
	}
	c.decisionFlags(cmd)
	return cmd
}

func (c *decisionCommand) decisionFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	required := []struct {
		to         *string
		name, help string
	}{
		{&c.facts.Project, "project", "name of the project"},
		{&c.facts.PushlogID, "pushlog-id", "number of the push"},
		{&c.facts.Owner, "owner", "e-mail address of who pushed"},
		{&c.facts.Level, "level", "trust level: 1, 2 or 3"},
		{&c.facts.RepositoryType, "repository-type", "git or hg"},
		{&c.facts.BaseRepository, "base-repository", "URL of the repository the change is for"},
		{&c.facts.HeadRepository, "head-repository", "URL of the repository the change is in"},
		{&c.facts.HeadRef, "head-ref", "branch of the change"},
		{&c.facts.HeadRev, "head-rev", "revision to decide about"},
		{&c.facts.TasksFor, "tasks-for", "the event, such as git-push or github-pull-request"},
	}
	for _, r := range required {
		f.StringVar(r.to, r.name, "", r.help+" (required)")
	}
	f.Int64Var(&c.facts.Pushdate, "pushdate", 0, "time of the push in seconds since 1970 (required; 0 when unknown)")
	_ = cmd.MarkFlagRequired("pushdate") // fails only for flags that are not defined
	for _, r := range required {
		_ = cmd.MarkFlagRequired(r.name)
	}
	f.StringVarP(&c.root, "root", "r", "", rootHelp)
	f.StringVar(&c.facts.BaseRef, "base-ref", "", "branch the change is for")
	f.StringVar(&c.facts.BaseRev, "base-rev", "", "revision before the change")
	f.StringVar(&c.facts.HeadTag, "head-tag", "", "tag of the change")
	f.StringVar(&c.facts.TargetTasksMethod, "target-tasks-method", "", "how tasks are selected (default: default)")
	f.BoolVar(&c.mayOverride, "allow-parameter-override", false, "take parameters from try_task_config.json or from a git note on the revision")
	f.StringVar(&c.overrideFile, "try-task-config-file", "try_task_config.json", "file with parameters that win over those of the event, or with what a push to try asks for")
	f.BoolVar(&c.try, "try", false, "this is a push to try, also where neither its project nor taskcluster/config.yml says so")
	f.StringVar(&c.artifacts, "artifacts", "artifacts", "directory to write the artifacts into")
	f.StringVar(&c.index, "index", "", "JSON file with what the index knows, in the place of the server's")
	f.StringVar(&c.history, "history", askServer, historyHelp)
	f.BoolVar(&c.strict, "strict", false, "warnings are errors")
	f.BoolVar(&c.dryRun, "dry-run", false, "create no tasks")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "say what is being done")
	f.StringVar(&c.ignoredString, "message", "", "not used: the message comes from the revision")
	f.BoolVar(&c.optimize, "optimize-target-tasks", true, "whether selected tasks may be optimized away")
	f.BoolVar(&c.noVerify, "no-verify", false, "leave out the verifications of the graph")
}

func (c *decisionCommand) decide(ctx context.Context) error {
	id := taskID()
	if !slug.Valid(id) {
		return fmt.Errorf("TASK_ID is %q: a decision needs the id of the decision task it runs in", id)
	}
	now, err := c.moment(ctx, id)
	if err != nil {
		return err
	}
	p, err := c.parameters(ctx, now)
	if err != nil {
		return err
	}
	return c.create(ctx, p, id, now)
}

// create makes the decision with p as task id: it writes the artifacts and creates the tasks.
func (c *decisionCommand) create(ctx context.Context, p *params.Parameters, id string, now time.Time) error {
	fmt.Fprintf(c.err, "parameters: %d files changed, %s\n", len(p.Strings("files_changed")), p.ID())
	if err := c.write("parameters.yml", p.YAML); err != nil {
		return err
	}
	scripts, err := runtask.Scripts()
	if err != nil {
		return err
	}
	d := replay.Decision{Published: map[string][]byte{}}
	var mu sync.Mutex // guards d.Published
	d.In = taskgraph.Input{
		Tree: c.tree, Root: c.root, Parameters: p, Now: now, DecisionTaskID: id, RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"),
		Scripts: scripts, Strict: c.strict, NoVerify: c.noVerify, Trace: true, Work: c.collector.work,
		Publish: func(name string, content func() ([]byte, error)) error {
			b, err := content()
			mu.Lock()
			defer mu.Unlock()
			d.Published[name] = b
			return err
		},
	}
	if d.Result, err = c.run(ctx, d.In, taskgraph.Morphed); err != nil {
		return err
	}
	fmt.Fprintln(c.err, d.Result.Summary())
	if err := c.publishNotes(d.Result.Warnings); err != nil {
		return err
	}
	if err := c.publish(ctx, d); err != nil {
		return err
	}
	submissions, err := d.Result.Submissions(now, id)
	if err != nil {
		return err
	}
	if c.dryRun {
		fmt.Fprintf(c.err, "%d tasks would be created\n", len(submissions))
		return nil
	}
	return c.submit(ctx, submissions)
}

// moment is the time that dates count from: when the decision task was created. A second run of the
// same decision, after its worker was lost, so makes the same definitions, and finds the tasks that
// the first run created.
func (c *decisionCommand) moment(ctx context.Context, id string) (time.Time, error) {
	if c.dryRun {
		return time.Now(), nil
	}
	server, err := client.FromEnv(nil)
	if err != nil {
		return time.Time{}, err
	}
	own, err := server.Task(ctx, id)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the decision task TASK_ID=%s: %w", id, err)
	}
	return own.Created.Time, nil
}

// parameters makes the strict parameters of the decision.
func (c *decisionCommand) parameters(ctx context.Context, now time.Time) (*params.Parameters, error) {
	d := c.facts
	d.Now = now
	d.Version = c.checkout.Version()
	var err error
	if d.FilesChanged, err = c.checkout.Changed(ctx, d.BaseRev, d.HeadRev); err != nil {
		return nil, fmt.Errorf("files changed: %w", err)
	}
	if d.CommitMessage, err = c.checkout.Message(ctx, d.HeadRev); err != nil {
		return nil, err
	}
	d.KeepTargets = !c.optimize
	hooks, err := taskgraph.ReadHooks(ctx, c.tree, c.root, c.printed)
	if err != nil {
		return nil, err
	}
	isTry, err := c.asksTry(hooks, &d)
	if err != nil {
		return nil, err
	}
	var over map[string]any
	if c.mayOverride && !isTry {
		var from string
		if over, from, err = c.override(ctx); err != nil {
			return nil, err
		}
		if over != nil {
			fmt.Fprintf(c.err, "parameters overridden by %s: %s\n", from, strings.Join(slices.Sorted(maps.Keys(over)), ", "))
		}
	}
	p, err := hooks.Decide(ctx, d, over)
	if err != nil {
		return nil, err
	}
	return tryStrategies(p)
}

// notesRef is where git keeps parameters that somebody added to a commit.
const notesRef = "refs/notes/decision-parameters"

// override reads parameters that win over those of the event (taskgraph-map 12.4): a file in the
// checkout, else a git note on the revision. It is nil without either.
func (c *decisionCommand) override(ctx context.Context) (values map[string]any, from string, err error) {
	src, err := os.ReadFile(c.overrideFile)
	switch {
	case err == nil:
		values, err := tryConfig(c.overrideFile, src)
		return values, c.overrideFile, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	case c.checkout.Kind != "git":
		return nil, "", nil
	}
	note, err := c.note(ctx)
	if err != nil || note == "" {
		return nil, "", err
	}
	from = "the git note " + notesRef
	values, err = params.Decode(from, []byte(note))
	return values, from, err
}

// note is the note on the revision, "" without one. That the notes cannot be fetched is an error
// only where the repository has some.
func (c *decisionCommand) note(ctx context.Context) (string, error) {
	_, err := c.checkout.Run(ctx, "fetch", "--quiet", "--", c.facts.HeadRepository, "+"+notesRef+":"+notesRef)
	if err != nil {
		there, lsErr := c.checkout.Run(ctx, "ls-remote", "--", c.facts.HeadRepository, notesRef)
		if lsErr != nil || strings.TrimSpace(there) != "" {
			return "", fmt.Errorf("parameters of %s: %w", notesRef, err)
		}
		return "", nil
	}
	return c.checkout.Ask(ctx, "notes", "--ref", notesRef, "show", c.facts.HeadRev), nil
}

// tryConfig reads try_task_config.json, of which version 2 is known: {"version": 2, "parameters": {…}}.
func tryConfig(name string, src []byte) (map[string]any, error) {
	all, err := params.Decode(name, src)
	if err != nil {
		return nil, err
	}
	if all["version"] != int64(2) {
		return nil, &graph.Error{File: name, Message: fmt.Sprintf("version %v is not known; version 2 is: {\"version\": 2, \"parameters\": {…}}", all["version"])}
	}
	for key := range all {
		if key != "version" && key != "parameters" {
			return nil, &graph.Error{File: name, Message: fmt.Sprintf("the key %q is not known; known are version and parameters", key)}
		}
	}
	values, ok := all["parameters"].(map[string]any)
	if !ok {
		return nil, &graph.Error{File: name, Message: "parameters must be an object of name: value"}
	}
	return values, nil
}

// write writes one file of the decision: docker contexts stand in a directory of their own.
func (c *decisionCommand) write(name string, content func() ([]byte, error)) error {
	b, err := content()
	if err != nil {
		return err
	}
	if !fs.ValidPath(name) {
		return fmt.Errorf("artifact %q: not the name of a file", name)
	}
	file := filepath.Join(c.artifacts, filepath.FromSlash(name))
	if rest, ok := strings.CutPrefix(name, "docker-contexts/"); ok {
		file = filepath.Join(filepath.Dir(c.artifacts), "docker-contexts", filepath.FromSlash(path.Clean(rest)))
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("artifact %s: %w", name, err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return fmt.Errorf("artifact %s: %w", name, err)
	}
	return nil
}

// publish writes the artifacts, all before the first task is created.
func (c *decisionCommand) publish(ctx context.Context, d replay.Decision) error {
	d.Program = replay.Program()
	files, err := replay.Artifacts(ctx, d)
	if err != nil {
		return err
	}
	for _, name := range decision.Names(files) {
		if err := c.write(name, func() ([]byte, error) { return files[name], nil }); err != nil {
			return err
		}
	}
	return nil
}

// submit creates the tasks: all or none where the server can, else one after another, each after
// those it depends on.
func (c *decisionCommand) submit(ctx context.Context, list []taskgraph.Submission) error {
	if len(list) == 0 {
		fmt.Fprintln(c.err, "nothing to create")
		return nil
	}
	server, err := client.FromEnv(nil)
	if err != nil {
		return err
	}
	start := time.Now()
	batch := make([]client.NewTask, len(list))
	for i, s := range list {
		batch[i] = client.NewTask{TaskID: s.TaskID, Task: s.Definition}
	}
	_, err = server.CreateTasks(ctx, batch)
	if unknownMethod(err) {
		err = c.submitEach(ctx, server, list)
	}
	if err != nil {
		return fmt.Errorf("create tasks: %w", err)
	}
	fmt.Fprintf(c.err, "%d tasks created in %v\n", len(list), time.Since(start).Round(time.Millisecond))
	return nil
}

// unknownMethod reports whether the server has no createTasks.
func unknownMethod(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && errors.Is(err, fault.NotFound) && (e.Status == 404 || e.Status == 405)
}

// submitEach creates one task after another. What depends on a task that was refused is left out;
// everything that went wrong is told together, by label. Nothing runs before this decision has
// succeeded, so tasks that were created wait in vain.
func (c *decisionCommand) submitEach(ctx context.Context, server *client.Client, list []taskgraph.Submission) error {
	refused := map[string]bool{}
	var errs []error
	skipped := 0
	for _, s := range list {
		if slices.ContainsFunc(value.List(s.Definition, "dependencies"), func(d any) bool { id, _ := d.(string); return refused[id] }) {
			refused[s.TaskID] = true
			skipped++
			continue
		}
		if _, err := server.CreateTask(ctx, s.TaskID, s.Definition); err != nil {
			if ctx.Err() != nil {
				return err
			}
			refused[s.TaskID] = true
			errs = append(errs, fmt.Errorf("task %s (%s): %w", s.Label, s.TaskID, err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	created := len(list) - len(errs) - skipped
	return errors.Join(append(errs, fmt.Errorf("%d tasks were refused, %d that need them left out, %d created", len(errs), skipped, created))...)
}
