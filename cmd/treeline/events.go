package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
)

func newEventsCommand() *cobra.Command {
	return newRemoteGroup("events", "Watch what happens, and who consumes it",
		"Works on the feed of events of the server named by TASKCLUSTER_ROOT_URL.",
		newEventsWatch, newEventsConsumers)
}

func newEventsWatch(r *remote) *cobra.Command {
	var filter client.EventFilter
	var after int64
	var limit int
	cmd := &cobra.Command{
		Use: "watch", Short: "Print events as they happen", Args: cobra.NoArgs,
		Long: `Prints events as they happen, one a line, in order. A connection that breaks is taken up again
where it broke. With --json a line is the whole event; give the last position to --after to go on
later without missing any.`,
		Example: "  treeline events watch --group $TASK_GROUP_ID\n" +
			"  treeline events watch --kind task-failed,task-exception --json | jq .payload.status.taskId",
		RunE: r.does(func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("after") {
				filter.After = &after
			}
			n := 0
			for e, err := range r.client.Events(cmd.Context(), filter) {
				if err != nil {
					return err
				}
				if r.json {
					r.printf("%s\n", e.Text)
				} else {
					r.printEvent(e)
				}
				if n++; n == limit {
					break
				}
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&filter.Tasks, "task", nil, "events of these tasks")
	flags.StringSliceVar(&filter.TaskGroups, "group", nil, "events of these task groups")
	flags.StringSliceVar(&filter.Repositories, "repo", nil, "events of these repositories")
	flags.StringSliceVar(&filter.Kinds, "kind", nil, "events of these kinds, such as task-failed")
	flags.Int64Var(&after, "after", 0, "begin after this position (default from now on)")
	flags.IntVar(&limit, "limit", 0, "end after this many (0: never)")
	return cmd
}

func (r *remote) printEvent(e client.Event) {
	subject := cmp.Or(e.TaskID, e.Topic, e.TaskGroupID)
	if e.TaskID != "" && e.RunID != nil {
		subject = fmt.Sprintf("%s run %d", e.TaskID, *e.RunID)
	}
	if strings.HasPrefix(e.Kind, "push-") {
		subject = pushSubject(e.Text, subject)
	}
	r.printf("%d  %s  %-22s %s\n", e.Position, e.Time.Local().Format(time.TimeOnly), e.Kind, subject)
}

// pushSubject says of an event of a push which it is, how it stands, and what is wrong with it.
func pushSubject(event json.RawMessage, otherwise string) string {
	var whole struct {
		Payload struct {
			Repository string
			ID         int64
			State      string
			Error      *struct {
				Message, File string
				Line          int
			}
		}
	}
	p := &whole.Payload
	if err := json.Unmarshal(event, &whole); err != nil || p.ID == 0 {
		return otherwise
	}
	out := fmt.Sprintf("%s %d %s", p.Repository, p.ID, p.State)
	if e := p.Error; e != nil {
		place := e.File
		if e.Line > 0 {
			place += fmt.Sprintf(":%d", e.Line)
		}
		if place != "" {
			place += ": "
		}
		message, _, _ := strings.Cut(e.Message, "\n")
		out += ": " + place + message
	}
	return out
}

func newEventsConsumers(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "consumers", Short: "List who consumes the feed inside the server, and how far behind", Args: cobra.NoArgs,
		Long: `Lists the consumers of the feed inside the server, such as pulse, the publisher on RabbitMQ: the
position each came to, how many events it has not done, and the age of the first of those.`,
		RunE: r.does(func(cmd *cobra.Command, _ []string) error {
			var got struct {
				Head      int64 `json:"head"`
				Consumers []struct {
					Name     string  `json:"name"`
					Position int64   `json:"position"`
					Lag      int64   `json:"lag"`
					Behind   float64 `json:"behindSeconds"`
					Holder   string  `json:"holder,omitempty"`
				} `json:"consumers"`
			}
			if err := r.client.Call(cmd.Context(), "events", http.MethodGet, "/consumers", nil, nil, &got); err != nil {
				return err
			}
			if r.json {
				return r.printJSON(got)
			}
			r.printf("%-20s  at %d\n", "newest event", got.Head)
			for _, c := range got.Consumers {
				r.printf("%-20s  at %d, lag %d", c.Name, c.Position, c.Lag)
				if c.Lag > 0 {
					r.printf(", behind by %v", (time.Duration(c.Behind * float64(time.Second))).Round(time.Millisecond))
				}
				r.printf("\n")
			}
			return nil
		}),
	}
}
