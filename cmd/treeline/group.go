package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

func newGroupCommand() *cobra.Command {
	return newRemoteGroup("group", "Look at task groups, watch them, cancel them",
		"Works on task groups of the server named by TASKCLUSTER_ROOT_URL.",
		newGroupList, newGroupShow, newGroupWatch, newGroupCancel, newGroupPriority, newGroupWeigh)
}

// groupCounts is a group as programs read it: every state has its number.
type groupCounts struct {
	TaskGroupID string             `json:"taskGroupId"`
	Counts      map[task.State]int `json:"counts"`
}

func countsOf(g client.Group) groupCounts {
	out := groupCounts{TaskGroupID: g.TaskGroupID, Counts: map[task.State]int{}}
	for _, s := range task.States() {
		out.Counts[s] = g.Counts[s]
	}
	return out
}

func newGroupList(r *remote) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List task groups, newest first, with their tasks counted by state", Args: cobra.NoArgs,
		Example: "  treeline group list\n  treeline group list --json | jq '.groups[0].counts'",
		RunE: r.does(func(cmd *cobra.Command, _ []string) error {
			groups := []groupCounts{}
			for g, err := range r.client.Groups(cmd.Context()) {
				if err != nil {
					return err
				}
				groups = append(groups, countsOf(g))
				if limit > 0 && len(groups) == limit {
					break
				}
			}
			if r.json {
				return r.printJSON(map[string][]groupCounts{"groups": groups})
			}
			for _, g := range groups {
				r.printf("%s  %s\n", g.TaskGroupID, r.countsText(g.Counts))
			}
			return nil
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "list no more than this many (0: all)")
	return cmd
}

// countsText names the states that occur.
func (r *remote) countsText(counts map[task.State]int) string {
	var parts []string
	for _, s := range task.States() {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], r.colored(s)))
		}
	}
	if len(parts) == 0 {
		return "no tasks"
	}
	return strings.Join(parts, ", ")
}

// groupTasks reads a whole group, sorted by name.
func (r *remote) groupTasks(ctx context.Context, groupID string) ([]client.GroupTask, error) {
	var tasks []client.GroupTask
	for t, err := range r.client.GroupTasks(ctx, groupID) {
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	slices.SortStableFunc(tasks, func(a, b client.GroupTask) int {
		return strings.Compare(a.Task.Metadata.Name, b.Task.Metadata.Name)
	})
	return tasks, nil
}

func newGroupShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "List the tasks of a group", Args: cobra.ExactArgs(1),
		Example: "  treeline group show fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			tasks, err := r.groupTasks(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(map[string]any{"taskGroupId": args[0], "tasks": tasks})
			}
			counts := map[task.State]int{}
			for _, t := range tasks {
				counts[t.Status.State]++
				r.printf("%s  %s  %s\n", t.Status.TaskID, r.padded(t.Status.State), t.Task.Metadata.Name)
			}
			r.printf("%d tasks: %s\n", len(tasks), r.countsText(counts))
			return nil
		}),
	}
}

func newGroupWatch(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "watch GROUP", Short: "Print each change of a group's tasks until all are resolved; the exit code tells how", Args: cobra.ExactArgs(1),
		Long: `Prints a line for each task that changes, until no task can change by itself any more: every task is
resolved, or unscheduled behind a dependency that did not complete.`,
		Example: "  treeline group watch fN1SbArXTPSVFNUvaOlinQ && echo all green",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			seen := map[string]task.State{}
			for pause := pollFirst; ; pause = min(pause*3/2, pollMost) {
				tasks, err := r.groupTasks(ctx, args[0])
				if err != nil {
					return err
				}
				if err := r.printChanges(tasks, seen); err != nil {
					return err
				}
				if settled(tasks) {
					return r.groupVerdict(tasks)
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(pause):
				}
			}
		}),
	}
}

func (r *remote) printChanges(tasks []client.GroupTask, seen map[string]task.State) error {
	for _, t := range tasks {
		id, state := t.Status.TaskID, t.Status.State
		if seen[id] == state {
			continue
		}
		seen[id] = state
		if r.json {
			if err := r.printJSON(map[string]any{"taskId": id, "state": state, "name": t.Task.Metadata.Name}); err != nil {
				return err
			}
			continue
		}
		r.printf("%s  %s  %s  %s\n", time.Now().Format(time.TimeOnly), r.padded(state), id, t.Task.Metadata.Name)
	}
	return nil
}

// settled reports whether nothing in the group changes by itself any more.
func settled(tasks []client.GroupTask) bool {
	states := map[string]task.State{}
	for _, t := range tasks {
		states[t.Status.TaskID] = t.Status.State
	}
	// An unscheduled task is stuck when one of its dependencies in the group is resolved in a way
	// that does not count for it, or is stuck itself.
	stuck := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for _, t := range tasks {
			if t.Status.State != task.Unscheduled || stuck[t.Status.TaskID] {
				continue
			}
			for _, dep := range t.Task.Dependencies {
				state, known := states[dep]
				if stuck[dep] || known && state.Resolved() && !t.Task.Requires.Met(state) {
					stuck[t.Status.TaskID], changed = true, true
				}
			}
		}
	}
	for _, t := range tasks {
		if !t.Status.State.Resolved() && !stuck[t.Status.TaskID] {
			return false
		}
	}
	return true
}

// groupVerdict sums a settled group up.
func (r *remote) groupVerdict(tasks []client.GroupTask) error {
	counts := map[task.State]int{}
	for _, t := range tasks {
		counts[t.Status.State]++
	}
	r.note("%s", strings.Join(slices.Collect(func(yield func(string) bool) {
		for _, s := range slices.Sorted(maps.Keys(counts)) {
			if !yield(fmt.Sprintf("%d %s", counts[s], s)) {
				return
			}
		}
	}), ", "))
	switch {
	case counts[task.Failed] > 0:
		return exitFailed
	case counts[task.Exception] > 0, counts[task.Unscheduled] > 0:
		return exitException
	}
	return nil
}

func newGroupCancel(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "cancel GROUP", Short: "Seal a group and cancel all its unresolved tasks", Args: cobra.ExactArgs(1),
		Long:    "Seals the group, so that no task can be added any more, and cancels every task that is not resolved.",
		Example: "  treeline group cancel fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			if _, err := r.client.SealGroup(cmd.Context(), args[0]); err != nil {
				return err
			}
			out, err := r.client.CancelGroup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(out)
			}
			r.printf("%d of %d tasks canceled\n", out.CancelledCount, out.TaskGroupSize)
			return nil
		}),
	}
}
