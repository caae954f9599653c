package why

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/ui/page"
)

// maxListed is how many labels the page of all lists.
const maxListed = 300

// entry is a label in the list.
type entry struct{ Label, Outcome, TaskID, Sentence, Link string }

// view is the page of one label, or of all.
type view struct {
	Group, Repo, Revision string
	Label                 string
	Story                 explain.Story
	Sentence              string
	Rule, Source, Text    string
	// Of the list:
	Query    string
	Outcomes []outcome
	Entries  []entry
	More     int
}

// outcome is what became of how many labels.
type outcome struct {
	Name, Word string
	N          int
}

// words are the outcomes for people.
var words = map[string]string{
	explain.Created: "run", explain.Replaced: "replaced", explain.Removed: "left out", explain.Unselected: "not wanted", explain.Unknown: "not made",
}

// page tells the story of a label, or lists the labels of a decision.
func (w *Why) page(v *page.Visit) error {
	group, label, ctx := v.R.PathValue("group"), v.R.FormValue("label"), v.R.Context()
	if err := v.Allow(see); err != nil {
		return err
	}
	if w.Record == nil {
		return fault.New(fault.NotFound, "This server keeps no records of decisions.")
	}
	// This page is about nothing else: it waits.
	rec, err := w.Record(ctx, group)
	if err != nil {
		return err
	}
	d := view{Group: group, Label: label, Query: v.R.FormValue("q")}
	if v.Allow(page.SeePushes) == nil {
		p, err := w.Push.ByTaskGroup(ctx, group)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		d.Repo, d.Revision = p.Repository, p.Revision
	}
	title, status := "Why these tasks", http.StatusOK
	if label == "" {
		d.list(rec, v.R.FormValue("outcome"))
	} else {
		title = "Why " + label
		if err := w.tell(ctx, v, rec, &d); err != nil {
			return err
		}
		if d.Story.Outcome == explain.Unknown {
			status = http.StatusNotFound
		}
	}
	return v.Show(status, page.View{Title: title, Name: "why", Main: "narrow", Repo: d.Repo, Body: d}, nil)
}

// tell fills in the story of a label.
func (w *Why) tell(ctx context.Context, v *page.Visit, rec *explain.Record, d *view) error {
	d.Story = rec.Story(d.Label)
	d.Sentence, d.Rule = d.Story.Sentence(), d.Story.Place()
	var text strings.Builder
	if err := d.Story.WriteText(&text); err != nil {
		return err
	}
	_, d.Text, _ = strings.Cut(text.String(), "\n")
	var err error
	d.Source, err = w.source(ctx, v, d.Group, d.Rule)
	return err
}

// Outcome is what became of the label, for people.
func (d view) Outcome() string { return words[d.Story.Outcome] }

// list fills in the labels that the visitor looks for, those that do not run first: they are what one asks about.
func (d *view) list(rec *explain.Record, only string) {
	counts := map[string]int{}
	for _, label := range rec.Labels() {
		s := rec.Story(label)
		counts[s.Outcome]++
		if only != "" && s.Outcome != only || !strings.Contains(strings.ToLower(label), strings.ToLower(d.Query)) {
			continue
		}
		if len(d.Entries) == maxListed {
			d.More++
			continue
		}
		d.Entries = append(d.Entries, entry{label, s.Outcome, s.TaskID, s.Sentence(), Path(d.Group, label)})
	}
	for _, name := range []string{explain.Created, explain.Replaced, explain.Removed, explain.Unselected} {
		if counts[name] > 0 {
			d.Outcomes = append(d.Outcomes, outcome{name, words[name], counts[name]})
		}
	}
	slices.SortStableFunc(d.Entries, func(a, b entry) int { return cmp.Compare(a.Label, b.Label) })
}
