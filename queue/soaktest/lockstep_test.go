package soaktest_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	godiff "github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue/soaktest"
)

// TestLockstepReplays plays one seed twice: the same calls, in the same order, with the same faults
// and the same outcomes.
func TestLockstepReplays(t *testing.T) {
	var stories [2][]string
	for i := range stories {
		tally := soaktest.NewTally()
		e := soaktest.Run(t, soaktest.Options{Seed: 5, Operations: 300, Clients: 6, Lockstep: true, Progress: tally})
		for _, v := range e.Violations {
			t.Error(v)
		}
		stories[i] = story(e)
		totals := tally.Totals()
		if cuts := totals.Faults["answer lost of COMMIT"] + totals.Faults["connection cut before a statement"]; cuts == 0 {
			t.Errorf("no connection was cut: %v", totals.Faults)
		}
	}
	if diff := godiff.Diff(stories[0], stories[1]); diff != "" {
		t.Errorf("the second time it went another way:\n%s", diff)
	}
}

// story is what happened, without the times, until what was left was worked off.
func story(e *soaktest.Evidence) []string {
	calls := slices.DeleteFunc(slices.Clone(e.Calls), func(k soaktest.Call) bool { return k.Client == soaktest.Drainer })
	slices.SortStableFunc(calls, func(a, b soaktest.Call) int { return cmp.Compare(a.Start, b.Start) })
	var out []string
	for _, k := range calls {
		line := fmt.Sprintf("%d %s %v %v run %d %s %s: %s", k.Client, k.Verb, k.Tasks, k.Bodies, k.Run, k.Reason, k.Name, k.Outcome)
		for _, s := range k.Seen {
			line += fmt.Sprintf("; %s %s %d runs", s.TaskID, s.State, len(s.Runs))
		}
		out = append(out, line)
	}
	return out
}
