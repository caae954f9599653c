package tasks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
	"github.com/treeline-ci/treeline/ui/why"
)

// The artifacts of a run that the page reads, and how much of them.
const (
	summaryName = "public/summary.md"
	testsName   = "public/test-summary.json"
	maxSummary  = 64 << 10
	maxTests    = 8 << 20
)

// lineJSON is a line that tells of a failure.
type lineJSON struct {
	Test    string `json:"test"`
	Message string `json:"message"`
	Line    int    `json:"line"` // of the log, 0 unknown
	Excerpt string `json:"excerpt"`
}

// scopeJSON is a scope of the task with what it allows.
type scopeJSON struct {
	Scope string `json:"scope"`
	Says  string `json:"says"`
}

// normal is how long runs of the label take that pass; zero where too few are known.
type normal struct {
	Seconds float64 `json:"seconds"` // the median
	Runs    int     `json:"runs"`
}

// extras is what the page tells beyond the task itself.
type extras struct {
	Why         why.Sentence `json:"why"`
	SummaryHTML string       `json:"summaryHtml"`
	Lines       []lineJSON   `json:"lines"`
	Reading     bool         `json:"reading"` // the lines are still being read
	Normal      normal       `json:"normal"`
	ScopesSaid  []scopeJSON  `json:"scopesSaid"`
	Caches      []string     `json:"caches"`
	Curl        string       `json:"curl"`
	Label       string       `json:"label"`
	Classify    string       `json:"classify"` // the scope that classifying takes, "" where nothing can be classified
	CanClassify bool         `json:"canClassify"`
	// ArtifactCount is of all artifacts; Artifacts holds the first ones only.
	ArtifactCount int `json:"artifactCount"`
}

// SummaryMarkup is the run's own summary for the template.
func (e extras) SummaryMarkup() template.HTML { return markdown(e.SummaryHTML) }

// maxShown is how many artifacts come with the page; the rest is asked for.
const maxShown = 200

func (ps *Pages) addMore(ctx context.Context, v *page.Visit, d *taskJSON, i *queue.Item) error {
	var err error
	if d.Why, err = ps.Why.For(ctx, v, i); err != nil {
		return err
	}
	d.Label, d.Curl, d.Lines = why.Label(&i.Task), "curl -fsSL "+strings.TrimSuffix(ps.RootURL, "/")+"/api/queue/v1/task/"+d.ID, []lineJSON{}
	d.ScopesSaid, d.Caches = []scopeJSON{}, cachesOf(i.Task.Payload)
	for _, s := range i.Task.Scopes {
		d.ScopesSaid = append(d.ScopesSaid, scopeJSON{s, explainScope(s)})
	}
	d.ArtifactCount = len(d.Artifacts)
	if d.SummaryHTML, err = ps.summary(ctx, v, d); err != nil {
		return err
	}
	d.Artifacts = d.Artifacts[:min(len(d.Artifacts), maxShown)]
	if d.Run >= 0 && v.Allow(scope.String("queue:list-artifacts:"+d.ID+":"+strconv.Itoa(d.Run))) == nil {
		lines, reading, err := ps.Failures.OfRun(ctx, d.ID, d.Run)
		if err != nil {
			return err
		}
		d.Reading = reading
		for _, l := range lines {
			d.Lines = append(d.Lines, lineJSON{l.Test, l.Message, l.Number, l.Excerpt})
		}
	}
	if d.Push == nil {
		return nil
	}
	want := scope.String("triage:classify:" + d.Push.Repo)
	d.Classify, d.CanClassify = want.Scopes()[0], v.Allow(want) == nil
	similar, err := ps.Failures.Similar(ctx, d.Push.Repo, d.Label, 30)
	d.Normal = normalOf(similar)
	return err
}

// normalOf is how long the label's runs took where they passed.
func normalOf(list []failures.Similar) normal {
	var took []float64
	for _, s := range list {
		if s.Passed > 0 && s.Failed+s.Lost == 0 {
			took = append(took, s.Seconds)
		}
	}
	if len(took) < 3 {
		return normal{}
	}
	slices.Sort(took)
	return normal{math.Round(took[len(took)/2]*10) / 10, len(took)}
}

// cachesOf are the names of the caches that a task's payload asks for, in the ways of both workers.
func cachesOf(payload json.RawMessage) []string {
	var p struct {
		Cache  map[string]any `json:"cache"`
		Mounts []struct {
			CacheName string `json:"cacheName"`
		} `json:"mounts"`
	}
	_ = json.Unmarshal(payload, &p) // another worker's payload has none that are known here
	out := []string{}
	for name := range p.Cache {
		out = append(out, name)
	}
	for _, m := range p.Mounts {
		if m.CacheName != "" {
			out = append(out, m.CacheName)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// content reads an artifact of a run that is stored here, as far as the visitor may; "" where there is none.
func (ps *Pages) content(ctx context.Context, v *page.Visit, id string, run int, name string, most int64) (string, error) {
	if ps.Objects == nil || run < 0 || v.Allow(scope.String("queue:get-artifact:"+name)) != nil {
		return "", nil
	}
	a, names, err := ps.Queue.FollowLinks(ctx, id, run, name)
	if errors.Is(err, fault.NotFound) || err == nil && (len(names) > 1 || !a.StorageType.Stored() || !a.Present) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	_, body, err := ps.Objects.Open(ctx, a.ObjectName())
	if k := fault.KindOf(err); k == fault.NotFound || k == fault.Gone {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, most))
	return string(text), err
}

// summary is what the run says of itself, made harmless.
func (ps *Pages) summary(ctx context.Context, v *page.Visit, d *taskJSON) (string, error) {
	if !slices.ContainsFunc(d.Artifacts, func(a logs.Artifact) bool { return a.Name == summaryName && a.Present }) {
		return "", nil
	}
	text, err := ps.content(ctx, v, d.ID, d.Run, summaryName, maxSummary)
	return string(prose.Markdown(text)), err
}

// artifacts answers the script with all artifacts of a run.
func (ps *Pages) artifacts(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	run, err := logs.RunNumber(v.R.FormValue("run"))
	if err != nil {
		return nil, err
	}
	list, _, err := ps.Logs.Artifacts(v, id, run)
	return map[string]any{"artifacts": list}, err
}

// tests answers the script with the summary of a run's tests; {} where there is none.
func (ps *Pages) tests(v *page.Visit) (any, error) {
	run, err := logs.RunNumber(v.R.FormValue("run"))
	if err != nil {
		return nil, err
	}
	text, err := ps.content(v.R.Context(), v, v.R.PathValue("task"), run, testsName, maxTests)
	if err != nil {
		return nil, err
	}
	type test struct {
		Name    string  `json:"name"`
		Suite   string  `json:"suite"`
		Seconds float64 `json:"seconds"`
		Text    string  `json:"text,omitempty"`
	}
	s := struct {
		Tests    int     `json:"tests"`
		Passed   int     `json:"passed"`
		Failed   int     `json:"failed"`
		Skipped  int     `json:"skipped"`
		Seconds  float64 `json:"seconds"`
		Failures []test  `json:"failures"`
		Slowest  []test  `json:"slowest"`
	}{}
	// A task wrote it: what has another shape is no summary.
	if text == "" || json.Unmarshal([]byte(text), &s) != nil {
		return map[string]any{}, nil
	}
	s.Failures, s.Slowest = append([]test{}, s.Failures...), append([]test{}, s.Slowest...)
	return s, nil
}

// similarJSON is how the label did on a push.
type similarJSON struct {
	Push     int64   `json:"push"`
	Revision string  `json:"revision"`
	Time     int64   `json:"time"`
	State    string  `json:"state"`
	Seconds  float64 `json:"seconds"`
	TaskID   string  `json:"taskId"`
	Passed   int     `json:"passed"`
	Failed   int     `json:"failed"`
	Lost     int     `json:"lost"`
}

// similar answers the script with how the task's label did on the last pushes of its repository.
func (ps *Pages) similar(v *page.Visit) (any, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	ctx := v.R.Context()
	t, err := ps.Queue.Task(ctx, v.R.PathValue("task"))
	if err != nil {
		return nil, err
	}
	out := []similarJSON{}
	p, err := ps.Push.ByTaskGroup(ctx, t.TaskGroupID)
	if errors.Is(err, fault.NotFound) {
		return map[string]any{"similar": out}, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := ps.Failures.Similar(ctx, p.Repository, why.Label(&t), 50)
	for _, s := range list {
		state := "passed"
		if s.Passed == 0 {
			state = "failed"
			if s.Failed == 0 {
				state = "exception"
			}
		}
		out = append(out, similarJSON{s.Push, s.Revision, s.Time.UnixMilli(), state, s.Seconds, s.TaskID, s.Passed, s.Failed, s.Lost})
	}
	return map[string]any{"similar": out, "label": why.Label(&t), "repo": p.Repository}, err
}

// said answers the script with what people have said of the task.
func (ps *Pages) said(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id)); err != nil {
		return nil, err
	}
	type entry struct {
		ID     int64  `json:"id"`
		Class  string `json:"class"`
		Bug    string `json:"bug"`
		Note   string `json:"note"`
		By     string `json:"by"`
		Time   int64  `json:"time"`
		Undone string `json:"undone"` // by whom it was taken back
	}
	list, err := ps.Triage.History(v.R.Context(), id)
	out := []entry{}
	for _, c := range list {
		e := entry{c.ID, c.Class.Name(), c.Bug, c.Note, c.By, c.Time.UnixMilli(), ""}
		if c.UndoneBy != nil {
			e.Undone = cmp.Or(*c.UndoneBy, "somebody")
		}
		out = append(out, e)
	}
	return map[string]any{"said": out}, err
}
