// Package why says in one sentence why a task is there, was left out or replaced, and why it does not run yet,
// with a link to the rule. Other pages call For; the page behind the link tells the whole story of a label.
//
// What it says of rules comes from the record of the decision (package explain), what it says of waiting from the
// queue. Records are large: they are read once for many questions, and no page waits long for one.
package why

import (
	"context"
	"embed"
	"errors"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// see is what seeing the record of a decision asks for.
var see = scope.String("queue:get-artifact:public/" + explain.RecordName)

// Patience is how long a page waits for a record that nobody has read before.
const Patience = 400 * time.Millisecond

// Sentence is why a task is as it is. Its JSON is what scripts get; shell/data.ts describes it.
type Sentence struct {
	Text  string `json:"text"`  // why it is there or not; "" when nothing is recorded
	Waits string `json:"waits"` // why it does not run yet; "" when it does or did
	Link  string `json:"link"`  // the page of the rule, with the rest of the story; "" without Text
	Rule  string `json:"rule"`  // where the rule stands, such as "taskcluster/kinds/test/kind.yml:12"; "" unknown
	// Source is the address of that place at the forge; "" for repositories that nobody can look at in a browser.
	Source string `json:"source"`
	// Later says that the record is being read: ask again for Text.
	Later bool `json:"later"`
}

// Why is the room's way to both sources. It is safe for concurrent use.
type Why struct {
	Queue *queue.Queue
	Push  *push.Log
	// Record reads the record of a decision, or gives a fault.NotFound; nil: nothing is recorded.
	Record func(ctx context.Context, decision string) (*explain.Record, error)

	reads singleflight.Group
}

// Register adds the pages of records to a kit.
func (w *Why) Register(k *page.Kit) error {
	k.Page("GET /why/{group}", w.page)
	k.Data("GET /ui/api/why/{task}", w.data)
	return k.Add(markup)
}

// Label is the label of a task in its decision's graph.
func Label(d *task.Definition) string {
	if label := d.Tags["label"]; label != "" {
		return label
	}
	return d.Metadata.Name
}

// For says why a task is there, and why it does not run yet, as far as the visitor may know.
func (w *Why) For(ctx context.Context, v *page.Visit, i *queue.Item) (Sentence, error) {
	s, err := w.OfLabel(ctx, v, i.Status.TaskGroupID, Label(&i.Task))
	if err != nil {
		return s, err
	}
	if i.Status.TaskID == i.Status.TaskGroupID && s.Text == "" && v.Allow(page.SeePushes) == nil {
		p, err := w.Push.ByTaskGroup(ctx, i.Status.TaskGroupID)
		switch {
		case err == nil:
			s.Text, s.Later = "It runs because "+p.Author+" pushed to "+p.Branch+": it decides which other tasks do.", false
			s.Link = Path(i.Status.TaskGroupID, "")
		case !errors.Is(err, fault.NotFound):
			return s, err
		}
	}
	s.Waits, err = w.waits(ctx, v, &i.Status)
	return s, err
}

// waits says why a task does not run yet.
func (w *Why) waits(ctx context.Context, v *page.Visit, s *task.Status) (string, error) {
	want := scope.Strings("queue:status:" + s.TaskID)
	switch s.State {
	case task.Unscheduled:
	case task.Pending:
		want = scope.Strings("queue:pending-count:"+s.TaskQueueID, "queue:claimed-count:"+s.TaskQueueID)
	default:
		return "", nil
	}
	if v.Allow(want) != nil {
		return "", nil
	}
	a, err := w.Queue.WhyPending(ctx, s.TaskID)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	return a.Sentence, err
}

// OfLabel says why a label of a decision's graph has a task or none.
func (w *Why) OfLabel(ctx context.Context, v *page.Visit, group, label string) (Sentence, error) {
	if w.Record == nil || label == "" || v.Allow(see) != nil {
		return Sentence{}, nil
	}
	rec, err := w.read(ctx, group)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return Sentence{Later: true}, nil
	case errors.Is(err, fault.NotFound), errors.Is(err, fault.Invalid), errors.Is(err, fault.TooLarge):
		return Sentence{}, nil // nothing is known: the decision is another program's, or its record cannot be read
	case err != nil:
		return Sentence{}, err
	}
	story := rec.Story(label)
	if story.Outcome == explain.Unknown && len(story.Missing.Drops) == 0 {
		return Sentence{}, nil // such as a task that a task created
	}
	s := Sentence{Text: story.Sentence(), Link: Path(group, label), Rule: story.Place()}
	s.Source, err = w.source(ctx, v, group, s.Rule)
	return s, err
}

// Path is the page of a label in the record of a decision; of all labels with "".
func Path(group, label string) string {
	if label == "" {
		return "/why/" + url.PathEscape(group)
	}
	return "/why/" + url.PathEscape(group) + "?label=" + url.QueryEscape(label)
}

// read reads a record, once for all that ask at the same time. Who has no patience any more gets
// context.DeadlineExceeded, and the reading goes on for those who come back.
func (w *Why) read(ctx context.Context, group string) (*explain.Record, error) {
	reading := w.reads.DoChan(group, func() (any, error) { return w.Record(context.WithoutCancel(ctx), group) })
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	select {
	case got := <-reading:
		rec, _ := got.Val.(*explain.Record)
		return rec, got.Err
	case <-patience.C:
		return nil, context.DeadlineExceeded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// source is the address of a place of the tree at the forge of the group's push.
func (w *Why) source(ctx context.Context, v *page.Visit, group, place string) (string, error) {
	if place == "" || v.Allow(page.SeePushes) != nil {
		return "", nil
	}
	p, err := w.Push.ByTaskGroup(ctx, group)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	r, err := w.Push.Repository(ctx, p.Repository)
	if err != nil {
		return "", err
	}
	return sourceOf(r, p.Revision, place), nil
}

// sourceOf is where a file of a repository can be read in a browser.
func sourceOf(r push.Repository, revision, place string) string {
	file, line, _ := strings.Cut(place, ":")
	root := strings.TrimSuffix(strings.TrimSuffix(r.URL, "/"), ".git")
	if !strings.HasPrefix(root, "https://") && !strings.HasPrefix(root, "http://") {
		return ""
	}
	parts := strings.Split(file, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	file = strings.Join(parts, "/")
	switch r.Kind {
	case push.GitHub:
		root += "/blob/" + url.PathEscape(revision) + "/" + file
		if line != "" {
			root += "#L" + line
		}
		return root
	case push.Mercurial:
		root += "/file/" + url.PathEscape(revision) + "/" + file
		if line != "" {
			root += "#l" + line
		}
		return root
	}
	return ""
}

// data answers the script with why a task is as it is.
func (w *Why) data(v *page.Visit) (any, error) {
	id, ctx := v.R.PathValue("task"), v.R.Context()
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id)); err != nil {
		return nil, err
	}
	item, err := w.Queue.Item(ctx, id)
	if err != nil {
		return nil, err
	}
	return w.For(ctx, v, &item)
}
