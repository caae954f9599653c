package failures

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// maxName is the longest label, name or platform that is kept, in bytes.
const maxName = 500

// ended is a run that came to an end, as an event tells of it.
type ended struct {
	taskID, group string
	run           int
	outcome       outcome
	reason        string
	label, job    string
	seconds       float64
	at            time.Time
	Task
}

// outcome is how a run counts.
type outcome int

const (
	passed outcome = iota
	failedRun
	lost // nobody's fault who pushed: a worker that went away, a deadline that passed
)

// outcomeOf says how a run counts; false for one that was ended by somebody.
func outcomeOf(s task.State, r task.ReasonResolved) (outcome, bool) {
	switch {
	case s == task.Completed:
		return passed, true
	case s == task.Failed:
		return failedRun, true
	case s != task.Exception, r == task.ReasonCanceled, r == task.ReasonSuperseded:
		return 0, false
	case r == task.ReasonMalformedPayload, r == task.ReasonIntermittentTask:
		return failedRun, true
	}
	return lost, true
}

// body is what the room reads of a task's event (taskcluster-map appendix C).
type body struct {
	Status struct {
		Runs []task.Run `json:"runs"`
	} `json:"status"`
	Task struct {
		Tags map[string]any `json:"tags"`
	} `json:"task"`
}

// read gives the run that an event tells of; false for what does not count.
func read(e event.Event) (ended, bool) {
	var b body
	if e.RunID == nil || e.TaskID == e.TaskGroupID || jsonv1.Unmarshal(e.Payload, &b) != nil || *e.RunID >= len(b.Status.Runs) {
		return ended{}, false
	}
	r := b.Status.Runs[*e.RunID]
	o, ok := outcomeOf(r.State, r.ReasonResolved)
	if !ok || r.Resolved == nil {
		return ended{}, false
	}
	x := ended{taskID: e.TaskID, group: e.TaskGroupID, run: *e.RunID, outcome: o, reason: string(r.ReasonResolved), at: r.Resolved.Time}
	if r.Started != nil {
		x.seconds = max(r.Resolved.Sub(r.Started.Time).Seconds(), 0)
	}
	x.label, _ = b.Task.Tags["label"].(string)
	x.job, _ = b.Task.Tags["kind"].(string)
	return x, true
}

// Record counts what events tell of. It must see each event once, in a transaction that also notes that it was
// seen, as event.Feed.Consume calls it.
func (f *Failures) Record(ctx context.Context, tx pgx.Tx, events []event.Event) error {
	var list []ended
	groups := map[string]bool{}
	for _, e := range events {
		if x, ok := read(e); ok {
			list = append(list, x)
			groups[x.group] = true
		}
	}
	if len(list) == 0 {
		return nil
	}
	places, err := f.places(ctx, tx, slices.Sorted(maps.Keys(groups)))
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(x ended) bool { return places[x.group].id == 0 })
	if len(list) == 0 {
		return nil
	}
	if err := f.describe(ctx, tx, list); err != nil {
		return err
	}
	labels, err := f.labels(ctx, tx, list, places)
	if err != nil {
		return err
	}
	if err := f.write(ctx, tx, list, places, labels); err != nil {
		return err
	}
	return f.tell(ctx, tx, places)
}

// place is a push of this room.
type place struct {
	id         int64
	repository string
}

// places finds the pushes of groups, and enters those that are new.
func (f *Failures) places(ctx context.Context, tx pgx.Tx, groups []string) (map[string]place, error) {
	out := map[string]place{}
	rows, err := tx.Query(ctx, placesSQL.Text, groups)
	if err != nil {
		return nil, failed("find pushes", err)
	}
	var group string
	var p place
	if _, err := pgx.ForEachRow(rows, []any{&group, &p.id, &p.repository}, func() error { out[group] = p; return nil }); err != nil {
		return nil, failed("find pushes", err)
	}
	for _, group := range groups {
		if out[group].id != 0 {
			continue
		}
		push, ok, err := f.Push(ctx, tx, group)
		if err != nil {
			return nil, fmt.Errorf("failures: find the push of group %s: %w", group, err)
		}
		if !ok {
			continue
		}
		p := place{repository: push.Repository}
		if err := tx.QueryRow(ctx, enterSQL.Text, push.Repository, push.ID, push.Branch, push.Revision, push.Time, group).Scan(&p.id); err != nil {
			return nil, failed("enter a push", err)
		}
		out[group] = p
	}
	return out, nil
}

// describe fills in what events do not tell of the tasks: all of those that did not pass, labels of those without.
func (f *Failures) describe(ctx context.Context, tx pgx.Tx, list []ended) error {
	var ids []string
	for _, x := range list {
		if x.outcome != passed || x.label == "" {
			ids = append(ids, x.taskID)
		}
	}
	var known map[string]Task
	if len(ids) > 0 {
		var err error
		if known, err = f.Tasks(ctx, tx, ids); err != nil {
			return fmt.Errorf("failures: describe tasks: %w", err)
		}
	}
	for i := range list {
		x := &list[i]
		x.Task = known[x.taskID]
		if x.label == "" {
			x.label = x.Label
		}
		if x.label == "" { // the task is gone
			x.label = x.taskID
		}
		x.job = JobOf(x.job, x.label)
		x.label, x.Name, x.Platform, x.Queue = short(x.label), short(x.Name), short(x.Platform), short(x.Queue)
	}
	return nil
}

// JobOf says what sort of work a task is, by its kind and its label: build, lint, test or other.
func JobOf(kind, label string) string {
	for _, text := range []string{kind, label} {
		text = strings.ToLower(text)
		for _, w := range []struct{ word, job string }{
			{"lint", "lint"}, {"format", "lint"}, {"codestyle", "lint"}, {"source-test", "lint"},
			{"test", "test"}, {"mochitest", "test"}, {"reftest", "test"}, {"check", "test"}, {"build", "build"}, {"compile", "build"},
		} {
			if strings.Contains(text, w.word) {
				return w.job
			}
		}
	}
	return "other"
}

func short(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	return strings.ToValidUTF8(s[:min(len(s), maxName)], "")
}

// labelOf is a label of a repository.
type labelOf struct{ repository, label string }

// labels gives labels their numbers.
func (f *Failures) labels(ctx context.Context, tx pgx.Tx, list []ended, places map[string]place) (map[labelOf]int64, error) {
	jobs := map[labelOf]string{}
	for _, x := range list {
		jobs[labelOf{places[x.group].repository, x.label}] = x.job
	}
	var repositories, labels, kinds []string
	for at, job := range jobs {
		repositories, labels, kinds = append(repositories, at.repository), append(labels, at.label), append(kinds, job)
	}
	rows, err := tx.Query(ctx, labelsSQL.Text, repositories, labels, kinds)
	if err != nil {
		return nil, failed("number labels", err)
	}
	out := make(map[labelOf]int64, len(jobs))
	var at labelOf
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id, &at.repository, &at.label}, func() error { out[at] = id; return nil })
	return out, failed("number labels", err)
}

// counted is how the runs of one label on one push went.
type counted struct {
	passed, failed, lost int32
	seconds              float32
	taskID               string
}

func (f *Failures) write(ctx context.Context, tx pgx.Tx, list []ended, places map[string]place, labels map[labelOf]int64) error {
	counts := map[[2]int64]*counted{}
	var runs [][]any
	for _, x := range list {
		p := places[x.group]
		label := labels[labelOf{p.repository, x.label}]
		c := counts[[2]int64{p.id, label}]
		if c == nil {
			c = &counted{}
			counts[[2]int64{p.id, label}] = c
		}
		switch x.outcome {
		case passed:
			c.passed++
		case failedRun:
			c.failed++
		case lost:
			c.lost++
		}
		c.seconds, c.taskID = float32(x.seconds), x.taskID
		if x.outcome != passed {
			runs = append(runs, []any{x.taskID, x.run, p.id, label, x.outcome == lost, x.reason, x.Name, x.Platform, x.Queue, x.at})
		}
	}
	columns := struct {
		push, label          []int64
		passed, failed, lost []int32
		seconds              []float32
		task                 []string
	}{}
	for at, c := range counts {
		columns.push, columns.label = append(columns.push, at[0]), append(columns.label, at[1])
		columns.passed, columns.failed, columns.lost = append(columns.passed, c.passed), append(columns.failed, c.failed), append(columns.lost, c.lost)
		columns.seconds, columns.task = append(columns.seconds, c.seconds), append(columns.task, c.taskID)
	}
	var b pgx.Batch
	b.Queue(outcomesSQL.Text, columns.push, columns.label, columns.passed, columns.failed, columns.lost, columns.seconds, columns.task)
	for _, args := range runs {
		b.Queue(runsSQL.Text, args...)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return failed("count outcomes", err)
	}
	if len(runs) > 0 {
		f.sign() // before the commit: the round after the next finds them at the latest
	}
	return nil
}

// tell writes an event for each of the pushes that has something that did not pass.
func (f *Failures) tell(ctx context.Context, tx pgx.Tx, places map[string]place) error {
	var ids []int64
	for _, p := range places {
		ids = append(ids, p.id)
	}
	rows, err := tx.Query(ctx, troubledSQL.Text, ids)
	if err != nil {
		return failed("find pushes with failures", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (event.Event, error) {
		e := event.Event{Kind: Changed, Payload: json.RawMessage(`{}`)}
		return e, row.Scan(&e.TaskGroupID, &e.Topic)
	})
	if err != nil {
		return failed("find pushes with failures", err)
	}
	return event.Append(ctx, tx, events...)
}

var (
	placesSQL = pg.Statement{Name: "failures.places", Text: `
		SELECT task_group_id, id, repository FROM failure_pushes WHERE task_group_id = ANY ($1)`}

	enterSQL = pg.Statement{Name: "failures.enter", Text: `
		INSERT INTO failure_pushes AS p (repository, push_id, branch, revision, pushed, task_group_id) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repository, push_id) DO UPDATE SET task_group_id = EXCLUDED.task_group_id RETURNING id`}

	labelsSQL = pg.Statement{Name: "failures.labels", Text: `
		WITH given AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS g (repository, label, job)),
		made AS (
			INSERT INTO failure_labels (repository, label, job) SELECT * FROM given ORDER BY repository, label
			ON CONFLICT (repository, label) DO NOTHING RETURNING id, repository, label)
		SELECT id, repository, label FROM made
		UNION SELECT l.id, l.repository, l.label FROM failure_labels l JOIN given g ON g.repository = l.repository AND g.label = l.label`}

	outcomesSQL = pg.Statement{Name: "failures.outcomes", Text: `
		INSERT INTO failure_outcomes AS o (push, label, passed, failed, lost, seconds, task_id)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::real[], $7::text[])
		ON CONFLICT (push, label) DO UPDATE SET passed = o.passed + EXCLUDED.passed, failed = o.failed + EXCLUDED.failed,
			lost = o.lost + EXCLUDED.lost, seconds = EXCLUDED.seconds, task_id = EXCLUDED.task_id`}

	runsSQL = pg.Statement{Name: "failures.runs", Text: `
		INSERT INTO failure_runs (task_id, run_id, push, label, lost, reason, name, platform, queue, ended, unread)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN $5 THEN NULL ELSE now() END) ON CONFLICT DO NOTHING`}

	troubledSQL = pg.Statement{Name: "failures.troubled", Text: `
		SELECT p.task_group_id, p.repository FROM failure_pushes p
		WHERE p.id = ANY ($1) AND EXISTS (SELECT FROM failure_runs r WHERE r.push = p.id)`}
)
