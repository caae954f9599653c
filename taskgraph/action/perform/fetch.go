package perform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

func (r *Performer) artifact(ctx context.Context, taskID, name string) ([]byte, error) {
	b, err := r.Artifact(ctx, taskID, name)
	if err != nil {
		return nil, fmt.Errorf("%s of task %s: %w", name, taskID, err)
	}
	return b, nil
}

func (r *Performer) json(ctx context.Context, taskID, name string, out any) error {
	b, err := r.artifact(ctx, taskID, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s of task %s: %w", name, taskID, err)
	}
	return nil
}

// Parameters are those that a decision task published. They were checked when it made them.
func (r *Performer) Parameters(ctx context.Context, taskID string) (*params.Parameters, error) {
	b, err := r.artifact(ctx, taskID, "parameters.yml")
	if err != nil {
		return nil, err
	}
	return params.Load("parameters.yml of task "+taskID, b, false)
}

// Complete fetches what the callback will look at.
func (r *Performer) Complete(ctx context.Context, registry *action.Registry, callback string, call *action.Call) error {
	needs, err := registry.Needs(callback, call.Input)
	if err != nil {
		return err
	}
	p := call.Push.Parameters
	if call.TaskID != "" {
		if call.Definition, err = r.Definition(ctx, call.TaskID); err != nil {
			return fmt.Errorf("task %s, which the action is for: %w", call.TaskID, err)
		}
	}
	if needs.Graph {
		if call.Push, err = r.Push(ctx, call.TaskGroupID, p); err != nil {
			return err
		}
	}
	if needs.Earlier > 0 {
		if call.Earlier, err = r.Earlier(ctx, p, needs.Earlier); err != nil {
			return err
		}
	}
	for _, id := range needs.Graphs {
		if !slug.Valid(id) {
			return fmt.Errorf("%q is not the id of a decision or action task", id)
		}
		g, err := r.graphOf(ctx, id, nil)
		if err != nil {
			return err
		}
		call.Graphs = append(call.Graphs, g)
	}
	return nil
}

// graphOf is what one decision or action task made, and nothing of those after it.
func (r *Performer) graphOf(ctx context.Context, taskID string, p *params.Parameters) (action.Push, error) {
	out := action.Push{DecisionTaskID: taskID, Parameters: p}
	var src []byte
	g, gctx := errgroup.WithContext(ctx)
	if p == nil {
		g.Go(func() (err error) { out.Parameters, err = r.Parameters(gctx, taskID); return err })
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

// Push is everything that the decision of the push and the action and cron tasks after it made: of
// several tasks of one label the newest counts (taskgraph-map 18.4).
func (r *Performer) Push(ctx context.Context, groupID string, p *params.Parameters) (action.Push, error) {
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
func (r *Performer) path(p *params.Parameters, rest ...string) string {
	return strings.Join(append([]string{r.Config.TrustDomain(), "v2", p.String("project")}, rest...), ".")
}

// decisionPath is where the decision of a push is indexed.
func (r *Performer) decisionPath(p *params.Parameters, id string) string {
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
func (r *Performer) decision(ctx context.Context, p *params.Parameters) (id string, ok bool, err error) {
	if pushID(p) == "" || p.String("project") == "" {
		return "", false, nil
	}
	path := r.decisionPath(p, pushID(p))
	found, err := r.Indexed(ctx, []string{path})
	return found[path], found[path] != "", err
}

// later finds the action and cron tasks of the push. Templates of the field index actions under two
// names, of which its own generator knows one only; here both count.
func (r *Performer) later(ctx context.Context, p *params.Parameters) ([]string, error) {
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
		there, err := r.IndexedIn(ctx, namespace)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, fmt.Errorf("index namespace %s: %w", namespace, err)
		}
		ids = append(ids, there...)
	}
	return ids, nil
}

// laterInGroup finds the action tasks of a group whose tasks nobody indexes.
func (r *Performer) laterInGroup(ctx context.Context, groupID string) ([]string, error) {
	members, err := r.Group(ctx, groupID)
	if err != nil {
		return nil, fmt.Errorf("tasks of group %s: %w", groupID, err)
	}
	var ids []string
	for _, m := range members {
		if m.Tags["kind"] == "action-callback" {
			ids = append(ids, m.Status.TaskID)
		}
	}
	return ids, nil
}

// merge lays the results of action and cron tasks over labels, those of the newest last.
func (r *Performer) merge(ctx context.Context, labels map[string]string, ids []string) error {
	ids = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(ids))), func(id string) bool { return id == r.Own })
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
func (r *Performer) byAge(ctx context.Context, ids []string) ([]string, error) {
	known, err := r.States(ctx, ids)
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

// Earlier gives up to n pushes before the one of p, newest first.
func (r *Performer) Earlier(ctx context.Context, p *params.Parameters, n int) ([]action.Push, error) {
	find := r.Decisions
	if find == nil {
		find = r.indexedDecisions
	}
	ids, err := find(ctx, p, n)
	if err != nil {
		return nil, err
	}
	var out []action.Push
	for _, id := range ids {
		if len(out) == n {
			break
		}
		push, err := r.earlierPush(ctx, id)
		if err != nil { // a decision may have failed, or expired
			r.Say("decision %s is left out: %v", id, err)
			continue
		}
		out = append(out, push)
	}
	return out, ctx.Err()
}

// indexedDecisions looks earlier decisions up in the index: pushes of Mercurial by the numbers before
// it, those of git by the commits before it, of which some have none.
func (r *Performer) indexedDecisions(ctx context.Context, p *params.Parameters, n int) ([]string, error) {
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
		if ids, err = r.Ancestors(ctx, p.String("head_rev"), n*maxLookBack); err != nil {
			return nil, err
		}
	}
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = r.decisionPath(p, id)
	}
	found, err := r.Indexed(ctx, paths)
	if err != nil {
		return nil, err
	}
	var decisions []string
	for _, path := range paths {
		if id, ok := found[path]; ok {
			decisions = append(decisions, id)
		}
	}
	return decisions, nil
}

func (r *Performer) earlierPush(ctx context.Context, decision string) (action.Push, error) {
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
