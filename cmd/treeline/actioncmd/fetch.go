package actioncmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// reader fetches from a server what a call of an action looks at.
type reader struct {
	client *client.Client
	config *config.GraphConfig
	own    string // the action task, whose own results are no news; "" outside of one
	err    io.Writer
}

// together is how many artifacts are fetched at once.
const together = 8

// artifact is a public artifact of the newest run of a task.
func (r *reader) artifact(ctx context.Context, taskID, name string) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.client.DownloadArtifact(ctx, client.Download{TaskID: taskID, RunID: client.LatestRun, Name: "public/" + name}, &b)
	if err != nil {
		return nil, fmt.Errorf("%s of task %s: %w", name, taskID, err)
	}
	return b.Bytes(), nil
}

func (r *reader) json(ctx context.Context, taskID, name string, out any) error {
	b, err := r.artifact(ctx, taskID, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s of task %s: %w", name, taskID, err)
	}
	return nil
}

// parameters are those that a decision task published. They were checked when it made them.
func (r *reader) parameters(ctx context.Context, taskID string) (*params.Parameters, error) {
	b, err := r.artifact(ctx, taskID, "parameters.yml")
	if err != nil {
		return nil, err
	}
	return params.Load("parameters.yml of task "+taskID, b, false)
}

// graphOf is what one decision or action task made, and nothing of those after it.
func (r *reader) graphOf(ctx context.Context, taskID string, p *params.Parameters) (action.Push, error) {
	out := action.Push{DecisionTaskID: taskID, Parameters: p}
	var src []byte
	g, gctx := errgroup.WithContext(ctx)
	if p == nil {
		g.Go(func() (err error) { out.Parameters, err = r.parameters(gctx, taskID); return err })
	}
	g.Go(func() (err error) { src, err = r.artifact(gctx, taskID, "full-task-graph.json"); return err })
	g.Go(func() error { return r.json(gctx, taskID, "label-to-taskid.json", &out.LabelToTaskID) })
	g.Go(func() error {
		err := r.json(gctx, taskID, "target-tasks.json", &out.Targets)
		if fault.KindOf(err) == fault.NotFound { // only run-missing-tests asks for them
			return nil
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return out, err
	}
	var err error
	if out.Full, err = graph.Parse(bytes.NewReader(src)); err != nil {
		return out, fmt.Errorf("full-task-graph.json of task %s: %w", taskID, err)
	}
	if out.LabelToTaskID == nil {
		out.LabelToTaskID = map[string]string{}
	}
	return out, nil
}

// push is everything that the decision of the push and the action and cron tasks after it made: of
// several tasks of one label the newest counts (taskgraph-map 18.4).
func (r *reader) push(ctx context.Context, groupID string, p *params.Parameters) (action.Push, error) {
	decision, indexed, err := r.decision(ctx, p)
	if err != nil {
		return action.Push{}, err
	}
	if !indexed { // those of pull requests are not
		decision = groupID
	}
	out, err := r.graphOf(ctx, decision, p)
	if err != nil {
		return out, err
	}
	later, err := r.later(ctx, p)
	if err == nil && !indexed {
		later, err = r.laterInGroup(ctx, groupID)
	}
	if err != nil {
		return out, err
	}
	return out, r.merge(ctx, out.LabelToTaskID, later)
}

// path is an index path of the push.
func (r *reader) path(p *params.Parameters, rest ...string) string {
	return strings.Join(append([]string{r.config.TrustDomain(), "v2", p.String("project")}, rest...), ".")
}

// decisionPath is where the decision of a push is indexed.
func (r *reader) decisionPath(p *params.Parameters, id string) string {
	if p.String("repository_type") == "hg" {
		return r.path(p, "pushlog-id", id, "decision")
	}
	return r.path(p, "revision", id, "taskgraph", "decision")
}

// pushID is what tells the pushes of a repository apart.
func pushID(p *params.Parameters) string {
	if p.String("repository_type") == "hg" {
		return p.String("pushlog_id")
	}
	return p.String("head_rev")
}

// decision finds the decision of the push that parameters speak of.
func (r *reader) decision(ctx context.Context, p *params.Parameters) (id string, ok bool, err error) {
	if pushID(p) == "" || p.String("project") == "" {
		return "", false, nil
	}
	found, err := r.client.FindTask(ctx, r.decisionPath(p, pushID(p)))
	if fault.KindOf(err) == fault.NotFound {
		return "", false, nil
	}
	return found.TaskID, err == nil, err
}

// later finds the action and cron tasks of the push. Templates of the field index actions under two
// names, of which its own generator knows one only; here both count.
func (r *reader) later(ctx context.Context, p *params.Parameters) ([]string, error) {
	var namespaces []string
	if rev := p.String("head_rev"); rev != "" {
		for _, rest := range []string{"actions", "taskgraph.actions", "cron", "taskgraph.cron"} {
			namespaces = append(namespaces, r.path(p, "revision", rev, rest))
		}
	}
	if id := p.String("pushlog_id"); id != "" && id != "0" {
		namespaces = append(namespaces, r.path(p, "pushlog-id", id, "actions"))
	}
	var ids []string
	for _, namespace := range namespaces {
		for t, err := range r.client.IndexedTasks(ctx, namespace) {
			if fault.KindOf(err) == fault.NotFound {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("index namespace %s: %w", namespace, err)
			}
			ids = append(ids, t.TaskID)
		}
	}
	return ids, nil
}

// laterInGroup finds the action tasks of a group whose tasks nobody indexes.
func (r *reader) laterInGroup(ctx context.Context, groupID string) ([]string, error) {
	var ids []string
	for t, err := range r.client.GroupTasks(ctx, groupID) {
		if err != nil {
			return nil, fmt.Errorf("tasks of group %s: %w", groupID, err)
		}
		if t.Task.Tags["kind"] == "action-callback" {
			ids = append(ids, t.Status.TaskID)
		}
	}
	return ids, nil
}

// merge lays the results of action and cron tasks over labels, those of the newest last.
func (r *reader) merge(ctx context.Context, labels map[string]string, ids []string) error {
	ids = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(ids))), func(id string) bool { return id == r.own })
	ids, err := r.byAge(ctx, ids)
	if err != nil {
		return err
	}
	made := make([]map[string]string, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	for i, id := range ids {
		g.Go(func() error {
			err := r.json(gctx, id, "label-to-taskid.json", &made[i])
			if fault.KindOf(err) == fault.NotFound { // it created nothing
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, m := range made {
		maps.Copy(labels, m)
	}
	return nil
}

// byAge sorts tasks by when their first run was scheduled.
func (r *reader) byAge(ctx context.Context, ids []string) ([]string, error) {
	known, err := states(ctx, r.client, ids)
	if err != nil {
		return nil, err
	}
	age := func(id string) int64 {
		if s, ok := known[id]; ok && len(s.Runs) > 0 {
			return s.Runs[0].Scheduled.UnixNano()
		}
		return 0
	}
	slices.SortStableFunc(ids, func(a, b string) int { return int(max(-1, min(1, age(a)-age(b)))) })
	return ids, nil
}

// maxLookBack is how many commits before a push are asked about for each earlier push wanted.
const maxLookBack = 20

// earlier gives up to n pushes before the one of p, newest first. For Mercurial they have the numbers
// before it; for git they are those of the commits before it that have a decision.
func (r *reader) earlier(ctx context.Context, p *params.Parameters, n int, ancestors func(ctx context.Context, revision string, n int) ([]string, error)) ([]action.Push, error) {
	var ids []string
	if p.String("repository_type") == "hg" {
		last, err := strconv.Atoi(p.String("pushlog_id"))
		if err != nil {
			return nil, fmt.Errorf("pushlog_id %q is no number", p.String("pushlog_id"))
		}
		for i := last - 1; i > 0 && i >= last-n; i-- {
			ids = append(ids, strconv.Itoa(i))
		}
	} else {
		var err error
		if ids, err = ancestors(ctx, p.String("head_rev"), n*maxLookBack); err != nil {
			return nil, err
		}
	}
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = r.decisionPath(p, id)
	}
	found, err := indexed(ctx, r.client, paths)
	if err != nil {
		return nil, err
	}
	var out []action.Push
	for _, path := range paths {
		id, ok := found[path]
		if !ok || len(out) == n {
			continue
		}
		push, err := r.earlierPush(ctx, id)
		if err != nil { // a decision may have failed, or expired
			fmt.Fprintf(r.err, "decision %s is left out: %v\n", id, err)
			continue
		}
		out = append(out, push)
	}
	return out, ctx.Err()
}

func (r *reader) earlierPush(ctx context.Context, decision string) (action.Push, error) {
	out, err := r.graphOf(ctx, decision, nil)
	if err != nil {
		return out, err
	}
	later, err := r.later(ctx, out.Parameters)
	if err != nil {
		return out, err
	}
	return out, r.merge(ctx, out.LabelToTaskID, later)
}
