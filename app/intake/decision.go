package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// nativeDecision is one native decision under way.
type nativeDecision struct {
	*Intake
	claim queue.Claim
	began time.Time
	log   bytes.Buffer

	notes []*graph.Error // for the person who pushed

	occasion Occasion
	push     push.Push // of the occasion; ID 0 where none is known

	options options
	in      taskgraph.Input // what the graph is made from
	mu      sync.Mutex
	files   map[string][]byte // what the graph wants published, by name
}

// say writes a line to the decision task's log.
func (d *nativeDecision) say(format string, args ...any) {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(&d.log, "[decision %s] %s\n", now, strings.TrimSuffix(line, "\n"))
	}
}

// do makes the graph and submits it. All artifacts are there before the first task is, in every run:
// tasks fetch those of the last one. All tasks are created at once.
func (d *nativeDecision) do(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, decisionTimeout)
	defer cancel()
	group := d.claim.Task.TaskGroupID
	var err error
	var wrong error
	d.options, wrong = readOptions(d.claim.Task.Payload)
	if wrong == nil && d.options.Action != nil {
		return actionError(d.act(ctx))
	}
	if d.claim.Task.Tags["kind"] == actionTag { // its mistakes are none of the push's decision
		if wrong == nil {
			wrong = mistake("bad-config", configFile, 0, "An action task on %s says in payload.action what it is to do; docs/reference/actions.md tells how.", decisionQueue)
		}
		return wrong
	}
	d.occasion, err = d.Occasion(ctx, group)
	if fault.KindOf(err) == fault.NotFound {
		return mistake("no-push", "", 0, "Task queue %s takes decision tasks of recorded pushes and of jobs of .cron.yml only, and none has task group %s.", decisionQueue, group)
	}
	if err != nil {
		return err
	}
	p := d.occasion.Push
	d.push = p
	ctx = p.Mark(ctx)
	if wrong != nil {
		return wrong
	}
	if run := d.occasion.Cron; run != nil {
		d.say("Job %s of .cron.yml of %s: %s at %s", run.Job, p.Repository, p.Branch, p.Revision)
	} else if d.occasion.Change != nil && p.ID == 0 {
		d.say("%s of %s: %s at %s, by %s", d.occasion.TasksFor, p.Repository, p.Branch, p.Revision, p.Email)
	} else {
		d.say("Push %d of %s: %s at %s, by %s", p.ID, p.Repository, p.Branch, p.Revision, p.Email)
	}
	result, err := d.generate(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return mistake("too-slow", d.options.Root, 0, "The graph was not made within %v. The decision's log shows at which stage it was.", decisionTimeout)
	}
	if err != nil {
		return asMistake(err)
	}
	return d.finish(ctx, result)
}

// finish publishes a graph and submits it.
func (d *nativeDecision) finish(ctx context.Context, result *taskgraph.Result) error {
	d.say("%s", result.Summary())
	for _, w := range result.Warnings {
		d.say("warning: %v", w)
	}
	if notes := notesOf(d.notes, result.Warnings); len(notes) > 0 {
		for _, n := range d.notes {
			d.say("warning: %v", n)
		}
		text, err := decision.WriteNotes(notes)
		if err == nil {
			err = d.publish(ctx, map[string][]byte{"public/" + decision.NotesName: text})
		}
		if err != nil {
			return err
		}
	}
	if err := d.publishArtifacts(ctx, result); err != nil {
		return err
	}
	return d.submit(ctx, result)
}

// submittedBefore reports whether an earlier run of this decision submitted the graph before it was
// interrupted: tasks are created all or none, and their ids follow from the decision task's and their
// labels. Other tasks of the group tell nothing: .taskcluster.yml may put some beside the decision.
func (d *nativeDecision) submittedBefore(ctx context.Context, batch []queue.NewTask) (bool, error) {
	if d.claim.RunID == 0 {
		return false, nil
	}
	ids := make([]string, len(batch))
	for i, t := range batch {
		ids[i] = t.ID
	}
	there, err := d.Queue.Statuses(ctx, ids)
	return len(there) > 0, err
}

func (d *nativeDecision) generate(ctx context.Context) (*taskgraph.Result, error) {
	p, repository := d.push, d.occasion.Repository
	tree, err := d.At(ctx, repository, p.Revision)
	if err != nil {
		return nil, err
	}
	if err := tree.Prefetch(d.options.Root, configFile); err != nil {
		return nil, err
	}
	if _, err = tree.ReadFile(configFile); err != nil {
		return nil, err
	}
	hooks, err := taskgraph.ReadHooks(ctx, tree, d.options.Root, func(line string) { d.say("print: %s", line) })
	if err != nil {
		return nil, err
	}
	facts := params.Decision{
		BaseRepository: repository.URL, BaseRef: "refs/heads/" + p.Branch, BaseRev: p.Base,
		HeadRepository: repository.URL, HeadRef: "refs/heads/" + p.Branch, HeadRev: p.Revision,
		Project: p.Repository, Owner: p.Email, Level: strconv.Itoa(repository.Level), PushlogID: p.Number(),
		RepositoryType: RepositoryType(repository), TasksFor: d.occasion.TasksFor, Pushdate: p.Time.Unix(), TargetTasksMethod: d.options.TargetTasksMethod,
		FilesChanged: p.FilesChanged, CommitMessage: p.Message, Version: firstLine(tree.ReadFile("version.txt")), Now: p.Time,
	}
	if facts.RepositoryType == "hg" { // refs are git's
		facts.BaseRef, facts.HeadRef = p.Branch, p.Branch
	}
	if d.occasion.Change != nil {
		d.occasion.Change.enter(&facts)
	}
	var over map[string]any
	if d.occasion.Cron != nil {
		if over, err = d.byCron(ctx, tree, &facts); err != nil {
			return nil, err
		}
	}
	if err := d.try(hooks, tree, &facts); err != nil {
		return nil, err
	}
	parameters, err := hooks.Decide(ctx, facts, over)
	if err != nil {
		return nil, err
	}
	return d.graph(ctx, p, tree, parameters)
}

// graph makes the graph of a push with the parameters.
func (d *nativeDecision) graph(ctx context.Context, p push.Push, tree Tree, parameters *params.Parameters) (*taskgraph.Result, error) {
	scripts, err := runtask.Scripts()
	if err != nil {
		return nil, err
	}
	d.files = map[string][]byte{}
	d.in = taskgraph.Input{
		Tree: tree, Root: d.options.Root, Parameters: parameters, Index: d.find, History: d.past(ctx, p), RootURL: d.RootURL,
		DecisionTaskID: d.claim.Status.TaskID, Now: d.claim.Task.Created.Time, Scripts: scripts, Publish: d.keep, Trace: true,
		Progress: func(stage string) { d.say("%s", stage) },
		Print:    func(line string) { d.say("print: %s", line) },
	}
	return taskgraph.Generate(ctx, d.in, taskgraph.Morphed)
}

// keep takes a file that the graph wants published.
func (d *nativeDecision) keep(name string, content func() ([]byte, error)) error {
	data, err := content()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name] = data
	return err
}

func firstLine(text []byte, err error) string {
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// find answers what the index knows, and how those tasks stand, in one query each.
func (d *nativeDecision) find(ctx context.Context, paths []string) (map[string]optimize.Found, error) {
	ids, err := d.Index(ctx, paths)
	if err != nil {
		return nil, err
	}
	statuses, err := d.Queue.Statuses(ctx, slices.Collect(maps.Values(ids)))
	if err != nil {
		return nil, err
	}
	byID := make(map[string]task.Status, len(statuses))
	for _, s := range statuses {
		byID[s.TaskID] = s
	}
	found := make(map[string]optimize.Found, len(ids))
	for path, id := range ids {
		if s, ok := byID[id]; ok {
			found[path] = optimize.Found{TaskID: id, State: string(s.State), Expires: s.Expires.Time}
		}
	}
	return found, nil
}

// submit checks each task against what the decision task may do, and creates all.
func (d *nativeDecision) submit(ctx context.Context, result *taskgraph.Result) error {
	held, err := d.Expand(ctx, d.claim.Task.Scopes)
	if err != nil {
		return err
	}
	submissions, err := result.Submissions(d.claim.Task.Created.Time, d.claim.Status.TaskID)
	if err != nil {
		return asMistake(err)
	}
	may := scope.NewSet(held)
	batch := make([]queue.NewTask, len(submissions))
	for i, s := range submissions {
		t, err := newTask(s)
		file, line := origin(result, s)
		if err != nil {
			return mistake("bad-task", file, line, "%s is not a valid task: %s", s.Label, fault.Message(err))
		}
		if err := notHeld(s.Label, "the decision task", file, line, may, scopes.Create(t.Definition)); err != nil {
			return err
		}
		batch[i] = t
	}
	if done, err := d.submittedBefore(ctx, batch); err != nil {
		return err
	} else if done {
		d.say("An earlier run submitted the graph.")
		return nil
	}
	d.say("Submitting %d tasks", len(batch))
	if _, err := d.Queue.CreateBatch(ctx, batch); isInput(err) {
		return mistake("bad-task", "", 0, "%s", fault.Message(err))
	} else if err != nil {
		return err
	}
	return nil
}

func newTask(s taskgraph.Submission) (queue.NewTask, error) {
	t := queue.NewTask{ID: s.TaskID}
	text, err := json.Marshal(s.Definition)
	if err != nil {
		return t, fault.Wrap(fault.Invalid, err, "its definition cannot be written as JSON")
	}
	if err := json.Unmarshal(text, &t.Definition); err != nil {
		return t, fault.New(fault.Invalid, "%v", err)
	}
	return t, t.Prepare()
}

// origin says where a task comes from.
func origin(result *taskgraph.Result, s taskgraph.Submission) (file string, line int) {
	if t := result.Morphed.Task(s.TaskID); t != nil {
		return t.Provenance.File, t.Provenance.Line
	}
	return "", 0
}
