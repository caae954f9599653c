package history

import (
	"context"
	"fmt"
	"strings"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Consumer is the name under which the room follows the feed.
const Consumer = "history"

// interest is the ends of runs. Nobody waits for the history.
var interest = event.Interest{Kinds: []string{"task-completed", "task-failed"}, Every: time.Second}

// maxLabel is the longest label that is kept, in bytes: longer ones would not fit into an index.
const maxLabel = 1000

// Start follows the feed, until Stop or the end of ctx. Any number of replicas
// may do so.
func (h *History) Start(ctx context.Context, feed *event.Feed) {
	ctx, h.cancel = context.WithCancel(ctx)
	h.loops.Go(func() {
		if err := feed.Consume(ctx, Consumer, interest, h.Record); err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "the history of pushes is no longer written", "err", err)
		}
	})
}

// Stop ends what Start began and waits for it.
func (h *History) Stop() {
	if h.cancel != nil {
		h.cancel()
	}
	h.loops.Wait()
}

// body is what the room reads of a task's event (taskcluster-map appendix C).
type body struct {
	Status struct {
		Runs []struct {
			RunID    int        `json:"runId"`
			State    string     `json:"state"`
			Started  *time.Time `json:"started"`
			Resolved *time.Time `json:"resolved"`
		} `json:"runs"`
	} `json:"status"`
	Task struct {
		Tags map[string]any `json:"tags"`
	} `json:"task"`
}

// outcome is how the runs of one label on one push went.
type outcome struct {
	passed, failed               int32
	passedSeconds, failedSeconds float64
}

// labelOn is a label on one push.
type labelOn struct {
	place
	label string
}

// Record counts the outcomes that events tell of. It must see each event once, in a transaction that
// also notes that it was seen, as event.Feed.Consume calls it.
func (h *History) Record(ctx context.Context, tx pgx.Tx, events []event.Event) error {
	places, err := h.places(ctx, tx, events)
	if err != nil {
		return err
	}
	counts := map[labelOn]outcome{}
	var order []labelOn
	for _, e := range events {
		at, ok := places[e.TaskGroupID]
		if !ok || !resolves(e) {
			continue
		}
		if e.TaskID == e.TaskGroupID { // the decision task
			if e.Kind == "task-completed" {
				if _, err := tx.Exec(ctx, decidedSQL.Text, at.line, at.number); err != nil {
					return failed("record a decision", err)
				}
			}
			continue
		}
		label, seconds, ok := read(e)
		if !ok {
			continue
		}
		key := labelOn{at, label}
		o, seen := counts[key]
		if !seen {
			order = append(order, key)
		}
		if e.Kind == "task-completed" {
			o.passed++
			o.passedSeconds += seconds
		} else {
			o.failed++
			o.failedSeconds += seconds
		}
		counts[key] = o
	}
	return h.count(ctx, tx, order, counts)
}

// resolves reports whether the event tells of a run that came to an end by itself: exceptions, such as a
// worker that went away, say nothing about the push.
func resolves(e event.Event) bool { return e.Kind == "task-completed" || e.Kind == "task-failed" }

// places finds where the pushes of the events' groups stand, and enters those that are new.
func (h *History) places(ctx context.Context, tx pgx.Tx, events []event.Event) (map[string]place, error) {
	var groups []string
	asked := map[string]bool{}
	for _, e := range events {
		if resolves(e) && e.TaskGroupID != "" && !asked[e.TaskGroupID] {
			asked[e.TaskGroupID] = true
			groups = append(groups, e.TaskGroupID)
		}
	}
	places := map[string]place{}
	if len(groups) == 0 {
		return places, nil
	}
	rows, err := tx.Query(ctx, placesSQL.Text, groups)
	if err != nil {
		return nil, failed("find pushes", err)
	}
	var group string
	var at place
	if _, err := pgx.ForEachRow(rows, []any{&group, &at.line, &at.number}, func() error { places[group] = at; return nil }); err != nil {
		return nil, failed("find pushes", err)
	}
	for _, group := range groups {
		if _, known := places[group]; known {
			continue
		}
		p, ok, err := h.pushes(ctx, tx, group)
		if err != nil {
			return nil, fmt.Errorf("history: find the push of group %s: %w", group, err)
		}
		if !ok {
			continue
		}
		p.TaskGroupID = group
		if places[group], err = enter(ctx, tx, p); err != nil {
			return nil, failed("enter a push", err)
		}
	}
	return places, nil
}

// read gives the task's label and how long the run took that the event tells of.
func read(e event.Event) (label string, seconds float64, ok bool) {
	var b body
	if jsonv1.Unmarshal(e.Payload, &b) != nil || e.RunID == nil {
		return "", 0, false
	}
	label, ok = b.Task.Tags["label"].(string)
	if !ok || label == "" || len(label) > maxLabel || strings.ContainsRune(label, 0) {
		return "", 0, false
	}
	for _, r := range b.Status.Runs {
		if r.RunID == *e.RunID && r.Started != nil && r.Resolved != nil {
			return label, max(r.Resolved.Sub(*r.Started).Seconds(), 0), true
		}
	}
	return "", 0, false
}

func (h *History) count(ctx context.Context, tx pgx.Tx, order []labelOn, counts map[labelOn]outcome) error {
	if len(order) == 0 {
		return nil
	}
	n := len(order)
	lines, numbers, labels := make([]int64, n), make([]int64, n), make([]string, n)
	passed, failures := make([]int32, n), make([]int32, n)
	passedSeconds, failedSeconds := make([]float64, n), make([]float64, n)
	for i, key := range order {
		o := counts[key]
		lines[i], numbers[i], labels[i] = key.line, key.number, key.label
		passed[i], failures[i], passedSeconds[i], failedSeconds[i] = o.passed, o.failed, o.passedSeconds, o.failedSeconds
	}
	if _, err := tx.Exec(ctx, countSQL.Text, lines, numbers, labels, passed, failures, passedSeconds, failedSeconds); err != nil {
		return failed("count outcomes", err)
	}
	return nil
}

var (
	placesSQL = pg.Statement{Name: "history.places", Text: `
		SELECT task_group_id, line_id, number FROM history_pushes WHERE task_group_id = ANY ($1)`}

	decidedSQL = pg.Statement{Name: "history.decided", Text: `
		UPDATE history_pushes SET decided = true WHERE line_id = $1 AND number = $2 AND NOT decided`}

	countSQL = pg.Statement{Name: "history.count", Text: `
		INSERT INTO history_outcomes AS o (line_id, number, label, passed, failed, passed_seconds, failed_seconds)
		SELECT n.* FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::integer[], $5::integer[], $6::float8[], $7::float8[])
			AS n (line_id, number, label, passed, failed, passed_seconds, failed_seconds)
		WHERE EXISTS (SELECT FROM history_pushes p WHERE p.line_id = n.line_id AND p.number = n.number)
		ON CONFLICT (line_id, number, label) DO UPDATE SET passed = o.passed + EXCLUDED.passed, failed = o.failed + EXCLUDED.failed,
			passed_seconds = o.passed_seconds + EXCLUDED.passed_seconds, failed_seconds = o.failed_seconds + EXCLUDED.failed_seconds`}
)
