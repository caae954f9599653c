package jobs

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/page"
)

const (
	addAction = "add-new-jobs"
	maxAdded  = 1000 // jobs that are added at once
)

// labelsJSON is what a push could run; shell/data.ts describes it.
type labelsJSON struct {
	Labels  []string `json:"labels"`
	Allowed bool     `json:"allowed"` // to run them
	Why     string   `json:"why"`     // why not
}

// labels lists what a push could run: the labels of its decision's full graph.
func (ps *Pages) labels(v *page.Visit) (any, error) {
	list, out, err := ps.offered(v)
	if err != nil {
		return nil, err
	}
	out.Labels = make([]string, len(list))
	for i := range list {
		out.Labels[i] = list[i].Name
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

// labelsOf reads which jobs a form names.
func labelsOf(v *page.Visit) ([]string, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 1<<20)
	if err := v.Post(); err != nil {
		return nil, err
	}
	if err := v.R.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "The form cannot be read.")
	}
	labels := slices.Compact(slices.Sorted(slices.Values(v.R.PostForm["label"])))
	if len(labels) == 0 || len(labels) > maxAdded {
		return nil, fault.New(fault.Invalid, "Choose 1 to %d jobs, not %d.", maxAdded, len(labels))
	}
	return labels, nil
}

// addJobs has the push's decision make more of what it could run.
func (ps *Pages) addJobs(v *page.Visit) (any, error) {
	group := v.R.PathValue("group")
	if !slug.Valid(group) {
		return nil, page.ErrNoPage
	}
	labels, err := labelsOf(v)
	if err != nil {
		return nil, err
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
