// Package notifycmd is the command "treeline notify": what became of notifications, and tests of the ways
// they take.
package notifycmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
)

// Body is what a command does with a server.
type Body func(cmd *cobra.Command, c *client.Client, args []string) error

// Connect wraps a body: it connects and explains errors.
type Connect func(Body) func(*cobra.Command, []string) error

// New makes the command. Where json is set, JSON is printed.
func New(connect Connect, json *bool, help string) *cobra.Command {
	l := &lister{json: json}
	cmd := &cobra.Command{
		Use: "notify", Short: "See what became of notifications, and test mail, Slack and Matrix", Args: cobra.NoArgs,
		Long: `Without a sub-command it lists the notifications that wait, failed or were left out in the last 14 days,
the newest first: what was owed to whom, and why it was not sent.` + help,
		Example: `  treeline notify
  treeline notify --state sent,waiting
  treeline notify test --email you@example.com`,
		RunE: connect(l.list),
	}
	cmd.PersistentFlags().BoolVar(json, "json", false, "print JSON, for programs")
	cmd.Flags().StringVar(&l.state, "state", "", "list those in these states: waiting, sent, failed, limited, denied (default all but sent)")
	cmd.Flags().IntVar(&l.limit, "limit", 50, "list at most so many (up to 1000)")
	cmd.AddCommand(newTest(connect, json))
	return cmd
}

type lister struct {
	json  *bool
	state string
	limit int
}

// notification is one as the server tells of it.
type notification struct {
	Type     string     `json:"notificationType"`
	Address  string     `json:"notificationAddress"`
	State    string     `json:"state"`
	TaskID   string     `json:"taskId,omitempty"`
	Tries    int        `json:"tries"`
	Error    string     `json:"error,omitempty"`
	Created  time.Time  `json:"created"`
	NextTry  *time.Time `json:"nextTry,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
}

func (l *lister) list(cmd *cobra.Command, c *client.Client, _ []string) error {
	if l.limit < 1 || l.limit > 1000 {
		return fmt.Errorf("--limit %d: it must be 1 to 1000", l.limit)
	}
	query := url.Values{"limit": {strconv.Itoa(l.limit)}}
	if l.state != "" {
		query.Set("state", l.state)
	}
	var page struct {
		Notifications []notification `json:"notifications"`
		Token         string         `json:"continuationToken,omitempty"`
	}
	if err := c.Call(cmd.Context(), "notify", http.MethodGet, "/notifications", query, nil, &page); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if *l.json {
		return printJSON(cmd, page.Notifications)
	}
	if len(page.Notifications) == 0 {
		fmt.Fprintln(out, "There are none: everything that was owed has been sent.")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, n := range page.Notifications {
		to := n.Type + " " + n.Address
		if n.Type == "" {
			to = "route " + n.Address
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Created.Local().Format("2006-01-02 15:04:05"), n.State, to, n.TaskID)
		if n.Error != "" {
			fmt.Fprintf(w, "\t\t  %s\n", n.Error)
		}
		if n.NextTry != nil {
			fmt.Fprintf(w, "\t\t  tried %d times; next at %s\n", n.Tries, n.NextTry.Local().Format(time.TimeOnly))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Token != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "There are more; --limit shows them.")
	}
	return nil
}

func printJSON(cmd *cobra.Command, v any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func newTest(connect Connect, json *bool) *cobra.Command {
	addresses := map[string]*string{}
	cmd := &cobra.Command{
		Use: "test", Short: "Have the server send a test message, and say what stands in its way", Args: cobra.NoArgs,
		Long: `Has the server send a test message, at once and once, and says what the other side answers. It needs the
scope to send there, such as notify:email:you@example.com.`,
		Example: `  treeline notify test --email you@example.com
  treeline notify test --slack C123456GZ --matrix '!whDRjjSmICCgrhFHsQ:example.org'`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			tried, failed := 0, 0
			for _, kind := range []string{"email", "slack-channel", "matrix-room", "pulse"} {
				address := *addresses[kind]
				if address == "" {
					continue
				}
				tried++
				var answer struct {
					Sent    bool   `json:"sent"`
					Problem string `json:"problem,omitempty"`
				}
				in := map[string]string{"notificationType": kind, "notificationAddress": address}
				if err := c.Call(cmd.Context(), "notify", http.MethodPost, "/test", nil, in, &answer); err != nil {
					return err
				}
				switch {
				case *json:
					if err := printJSON(cmd, map[string]any{"notificationType": kind, "notificationAddress": address, "sent": answer.Sent, "problem": answer.Problem}); err != nil {
						return err
					}
				case answer.Sent:
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s: sent\n", kind, address)
				default:
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s: not sent\n  %s\n", kind, address, answer.Problem)
				}
				if !answer.Sent {
					failed++
				}
			}
			if tried == 0 {
				return errors.New("name an address: --email, --slack, --matrix or --pulse")
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d test messages could not be sent", failed, tried)
			}
			return nil
		}),
	}
	for kind, flag := range map[string]struct{ name, usage string }{
		"email": {"email", "a mailbox"}, "slack-channel": {"slack", "id of a channel of Slack"}, "matrix-room": {"matrix", "internal id of a room of Matrix"}, "pulse": {"pulse", "a routing key"},
	} {
		addresses[kind] = cmd.Flags().String(flag.name, "", flag.usage)
	}
	return cmd
}
