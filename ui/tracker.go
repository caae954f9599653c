package ui

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/triage/bugs"
)

// tracker is the bug tracker with a memory of what it found; nil where there is none.
func (d Deps) tracker() bugs.Tracker {
	if d.Bugs == nil {
		return nil
	}
	return bugs.Remember(d.Bugs, time.Now)
}

// filings is the register of bugs that people have the server file; nil without a tracker.
func (d Deps) filings(tracker bugs.Tracker) *bugs.Register {
	if tracker == nil {
		return nil
	}
	return &bugs.Register{Pool: d.Pool, Tracker: tracker, Log: d.Log, Audit: func(ctx context.Context, tx pgx.Tx, deed bugs.Deed) error {
		// The tracker has it already: no second person can say no.
		return auth.Audit(ctx, tx, auth.Record{
			EntityType: "bug", EntityID: deed.Bug.URL, ClientID: deed.Actor, Action: deed.Action, Own: true,
			After: map[string]string{"tracker": deed.Tracker, "bug": deed.Bug.ID, "summary": deed.Bug.Summary, "repository": deed.For.Repository, "task": deed.For.TaskID},
		})
	}}
}

// trackerName is what people call the bug tracker; "" where there is none.
func (d Deps) trackerName() string {
	if d.Bugs == nil {
		return ""
	}
	return d.Bugs.Name()
}
