package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	fullGraph = "public/full-task-graph.json" // of a decision: every task of the tree
	maxLabels = 100_000
	addAction = "add-new-jobs"
)

// labelsJSON is what a push could run; shell/data.ts describes it.
type labelsJSON struct {
	Labels  []string `json:"labels"`
	Allowed bool     `json:"allowed"` // to run them
	Why     string   `json:"why"`     // why not
}

// labels lists what a push could run: the labels of its decision's full graph.
func (ps *Pages) labels(v *page.Visit) (any, error) {
	group := v.R.PathValue("group")
	if !slug.Valid(group) {
		return nil, page.ErrNoPage
	}
	if err := v.Allow(scope.String("queue:get-artifact:" + fullGraph)); err != nil {
		return nil, err
	}
	list, err := ps.readLabels(v.R.Context(), group)
	if err != nil {
		return nil, err
	}
	out := labelsJSON{Labels: list, Why: "This push offers no action " + addAction + "."}
	offer, err := ps.offer(v, group)
	if err == nil {
		out.Allowed, out.Why = offer.Allowed, offer.Why
	} else if !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Forbidden) {
		return nil, err
	}
	return out, nil
}

func (ps *Pages) offer(v *page.Visit, group string) (actions.Offer, error) {
	if ps.Actions == nil || ps.Actions.Actions == nil {
		return actions.Offer{}, fault.New(fault.NotFound, "This server has no actions.")
	}
	list, err := ps.Actions.Actions.Offered(v.R.Context(), v.Caller(), group, "")
	if err != nil {
		return actions.Offer{}, err
	}
	if i := slices.IndexFunc(list, func(o actions.Offer) bool { return o.Name == addAction }); i >= 0 {
		return list[i], nil
	}
	return actions.Offer{}, fault.New(fault.NotFound, "This push offers no action %s.", addAction)
}

// readLabels reads the names of a graph's tasks; what they are is read over.
func (ps *Pages) readLabels(ctx context.Context, group string) ([]string, error) {
	body, err := ps.open(ctx, group, fullGraph)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "The decision of this push has not said yet what there is to run.")
	}
	if err != nil {
		return nil, err
	}
	list, err := keysOf(body)
	if err := cmp.Or(err, body.Close()); err != nil {
		return nil, fmt.Errorf("ui: %s of %s: %w", fullGraph, group, err)
	}
	return list, nil
}

// open opens an artifact of a decision that is kept here.
func (ps *Pages) open(ctx context.Context, group, name string) (io.ReadCloser, error) {
	a, _, err := ps.Queue.FollowLinks(ctx, group, queue.LatestRun, name)
	if err != nil {
		return nil, err
	}
	if a.StorageType != queue.StorageObject {
		return nil, fault.New(fault.NotFound, "%s of this push is kept elsewhere.", name)
	}
	_, body, err := ps.Objects.Open(ctx, a.ObjectName())
	return body, err
}

// keysOf returns the sorted keys of a JSON object that may be large.
func keysOf(r io.Reader) ([]string, error) {
	keys := []string{}
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fault.New(fault.Invalid, "the graph is no JSON object")
	}
	for d.More() && len(keys) < maxLabels {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read the graph: %w", err)
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return nil, fmt.Errorf("read the graph: %w", err)
		}
		if key, ok := t.(string); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// addJobs has the push's decision make more of what it could run.
func (ps *Pages) addJobs(v *page.Visit) (any, error) {
	group := v.R.PathValue("group")
	if !slug.Valid(group) {
		return nil, page.ErrNoPage
	}
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 1<<20)
	if err := v.Post(); err != nil {
		return nil, err
	}
	if err := v.R.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "The form cannot be read.")
	}
	labels := v.R.PostForm["label"]
	if len(labels) == 0 {
		return nil, fault.New(fault.Invalid, "Choose what to run.")
	}
	if _, err := ps.offer(v, group); err != nil {
		return nil, err
	}
	tasks := make([]any, len(labels))
	for i, l := range labels {
		tasks[i] = l
	}
	start := actions.Start{GroupID: group, Name: addAction, Input: map[string]any{"tasks": tasks}, Key: cmp.Or(v.R.PostFormValue("key"), slug.New())}
	id, wrong, err := ps.Actions.Actions.StartAction(v.R.Context(), v.Caller(), start)
	if len(wrong) > 0 {
		return nil, fault.New(fault.Invalid, "%s", wrong[0].Message)
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"taskId": id, "message": count(len(labels), "job") + " asked for."}, nil
}
