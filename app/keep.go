package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/notify"
)

const day = 24 * time.Hour

// Kept is something that goes when it is old, because nothing in it says when.
type Kept struct {
	Name    string // what the setting is called, after "keep-"
	What    string // what is kept
	Default time.Duration
	Least   time.Duration // with less something would not work
}

// Keeps lists all settings of how long something is kept, in the order of their names.
func Keeps() []Kept {
	return []Kept{
		{"action-hooks", "hooks of actions that nobody used", actions.KeepHooks, day},
		{"audit", "who changed what (the audit log), and decided approvals", 30 * day, day},
		{"builds", "builds of the GitHub service", 400 * day, 30 * day},
		{"checks", "what was shown at revisions on GitHub", 90 * day, 7 * day},
		{"classifications", "what people said of failures, and which bugs they had filed", 2 * 365 * day, failures.Window},
		{"cron-runs", "runs of jobs of .cron.yml", cron.Keep, 8 * day},
		{"deliveries", "webhooks of GitHub that were dealt with", 14 * day, 3 * day},
		{"events", "events of the feed that all consumers have seen", 14 * day, time.Hour},
		{"failures", "outcomes and failure lines of pushes' tasks", failures.Keep, failures.Window},
		{"fires", "fires of hooks", 365 * day, day},
		{"history", "outcomes by label and branch, which decisions are made with", history.Keep, 7 * day},
		{"notifications", "mail and messages that were sent", notify.Keep, 2 * day},
		{"pool-errors", "errors of worker pools", 7 * day, 7 * day},
		{"pushes", "pushes; the newest of each repository and the heads of branches stay", 2 * 365 * day, 30 * day},
		{"samples", "how task queues stood, hour by hour", 100 * day, 8 * day},
		{"tree-changes", "when trees were closed and opened, and why", 2 * 365 * day, day},
	}
}

// keep is how long something is kept that Keeps names.
func (c *Config) keep(name string) time.Duration {
	if d := c.Keep[name]; d > 0 {
		return d
	}
	for _, k := range Keeps() {
		if k.Name == name {
			return k.Default
		}
	}
	return 0
}

// checkKeep names settings that are none, and those that are too short.
func (c *Config) checkKeep() error {
	known := Keeps()
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(c.Keep)) {
		i := slices.IndexFunc(known, func(k Kept) bool { return k.Name == name })
		switch {
		case i < 0:
			wrong = append(wrong, fmt.Sprintf("keep-%s: there is no such setting", name))
		case c.Keep[name] < known[i].Least:
			wrong = append(wrong, fmt.Sprintf("keep-%s: %s are kept for %s at least", name, known[i].What, Days(known[i].Least)))
		}
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(wrong, "; "))
}

// Days writes a time of whole days as such: 14d.
func Days(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
