package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

func newIndexCommand() *cobra.Command {
	return newRemoteGroup("index", "Find tasks by their names in the index",
		"Works on the index, where completed tasks are found by dotted names.",
		newIndexFind, newIndexList, newIndexInsert)
}

func newIndexFind(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "find PATH", Short: "Print the id of the task at a path", Args: cobra.ExactArgs(1),
		Example: "  treeline index find project.main.latest.build",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			found, err := r.client.FindTask(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(found)
			}
			r.printf("%s\n", found.TaskID)
			return nil
		}),
	}
}

func newIndexList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list [NAMESPACE]", Short: "List the namespaces and tasks directly below a namespace", Args: cobra.MaximumNArgs(1),
		Example: "  treeline index list project.main",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			namespace := ""
			if len(args) > 0 {
				namespace = args[0]
			}
			out := struct {
				Namespaces []client.Namespace   `json:"namespaces"`
				Tasks      []client.IndexedTask `json:"tasks"`
			}{[]client.Namespace{}, []client.IndexedTask{}}
			for n, err := range r.client.Namespaces(cmd.Context(), namespace) {
				if err != nil {
					return err
				}
				out.Namespaces = append(out.Namespaces, n)
			}
			for t, err := range r.client.IndexedTasks(cmd.Context(), namespace) {
				if err != nil {
					return err
				}
				out.Tasks = append(out.Tasks, t)
			}
			if r.json {
				return r.printJSON(out)
			}
			for _, n := range out.Namespaces {
				r.printf("%s.\n", n.Namespace)
			}
			for _, t := range out.Tasks {
				r.printf("%s  %s  rank %v\n", t.Namespace, t.TaskID, t.Rank)
			}
			return nil
		}),
	}
}

func newIndexInsert(r *remote) *cobra.Command {
	var rank float64
	var data string
	var keep time.Duration
	cmd := &cobra.Command{
		Use: "insert PATH TASK", Short: "Put a task at a path", Args: cobra.ExactArgs(2),
		Long:    "Puts a task at a path. A task of higher rank that is there already stays.",
		Example: "  treeline index insert project.main.latest.build fN1SbArXTPSVFNUvaOlinQ --rank 7",
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			if !json.Valid([]byte(data)) {
				return fmt.Errorf("--data must be a JSON object, such as '{\"version\": 1}'")
			}
			found, err := r.client.InsertTask(cmd.Context(), args[0], client.IndexedTask{
				TaskID: args[1], Rank: rank, Data: json.RawMessage(data), Expires: task.At(time.Now().Add(keep)),
			})
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(found)
			}
			r.printf("%s\n", found.TaskID)
			return nil
		}),
	}
	cmd.Flags().Float64Var(&rank, "rank", 0, "rank: of two tasks at a path the higher stays")
	cmd.Flags().StringVar(&data, "data", "{}", "JSON object to keep with the entry")
	cmd.Flags().DurationVar(&keep, "expires", 365*24*time.Hour, "how long to keep the entry")
	return cmd
}
