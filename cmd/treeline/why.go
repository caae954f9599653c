package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

func newTaskWhy(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "why TASK", Short: "Show why a task does not run yet", Args: cobra.ExactArgs(1),
		Long:    "Shows what an unscheduled task waits for; for a pending one its place in line, the task groups that are before it, and the\nworkers that ask for its kind of work.",
		Example: "  treeline task why fN1SbArXTPSVFNUvaOlinQ\n  treeline task why fN1SbArXTPSVFNUvaOlinQ --json | jq .line.place",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			w, err := r.client.Why(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(w)
			}
			r.printWhy(w)
			return nil
		}),
	}
}

func (r *remote) printWhy(w client.Why) {
	r.printf("%s  %s  %s\n", w.Status.TaskID, r.colored(w.Status.State), w.Sentence)
	for _, d := range w.Unmet {
		r.printf("  waits for %s  %s\n", d.TaskID, orText(string(d.State), "expired"))
	}
	if left := w.UnmetCount - len(w.Unmet); left > 0 {
		r.printf("  and %d more\n", left)
	}
	l := w.Line
	if l == nil {
		return
	}
	r.printf("  %d in line, %d at work in %s\n", l.PendingTasks, l.ClaimedTasks, w.Status.TaskQueueID)
	for _, g := range l.Groups {
		r.printf("  before it  %6d of %s  priority %s, weight %d\n", g.Tasks, g.TaskGroupID, g.Priority, g.Weight)
	}
	for _, k := range l.Workers {
		what := strconv.Itoa(k.Claims) + " at work"
		if k.Quarantined {
			what = "in quarantine"
		}
		r.printf("  worker     %s/%s  %s, asked last at %s\n", k.WorkerGroup, k.WorkerID, what, k.LastActive)
	}
}

func newTaskPriority(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "priority PRIORITY TASK...", Short: "Change the priority of tasks that are not resolved", Args: cobra.MinimumNArgs(2),
		Long:    "A pending task gets a new turn in the line of that priority; a running one keeps its worker.\nPriorities are " + priorities() + ".",
		Example: "  treeline task priority high fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			for _, id := range args[1:] {
				s, err := r.client.ChangePriority(cmd.Context(), id, task.Priority(args[0]))
				if err != nil {
					return err
				}
				if err := r.printStatus(s); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func newGroupPriority(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "priority PRIORITY GROUP", Short: "Change the priority of a group's tasks that are not resolved", Args: cobra.ExactArgs(2),
		Long:    "Priorities are " + priorities() + ".",
		Example: "  treeline group priority high fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			out, err := r.client.ChangeGroupPriority(cmd.Context(), args[1], task.Priority(args[0]))
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(out)
			}
			r.printf("%d tasks have priority %s now\n", out.TasksAffected, out.NewPriority)
			return nil
		}),
	}
}

func newGroupWeigh(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "weigh WEIGHT GROUP", Short: "Give a group more or fewer turns than others of its priority", Args: cobra.ExactArgs(2),
		Long:    "Groups with tasks of the same priority share a task queue by their weights, 1 to 100. A group weighs 1 unless told otherwise.",
		Example: "  treeline group weigh 3 fN1SbArXTPSVFNUvaOlinQ",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			weight, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("the weight %q is not a number from 1 to 100", args[0])
			}
			out, err := r.client.WeighGroup(cmd.Context(), args[1], weight)
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(out)
			}
			r.printf("group %s weighs %d; %d pending tasks have another turn\n", out.TaskGroupID, out.Weight, out.TasksMoved)
			return nil
		}),
	}
}

func priorities() string {
	text := ""
	for i, p := range task.Priorities() {
		if i > 0 {
			text += ", "
		}
		text += string(p)
	}
	return text
}
