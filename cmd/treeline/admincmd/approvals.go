package admincmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

// member is how one member of an entity differs.
type member struct {
	From    json.RawMessage `json:"from"`
	To      json.RawMessage `json:"to"`
	Added   []string        `json:"added"`
	Removed []string        `json:"removed"`
}

// deed is a record of the audit log, and what it shares with a proposal.
type deed struct {
	ApprovalID string            `json:"approvalId"`
	ClientID   string            `json:"clientId"`
	Proposer   string            `json:"proposer"`
	ActionType string            `json:"actionType"`
	EntityType string            `json:"entityType"`
	EntityID   string            `json:"entityId"`
	Created    time.Time         `json:"created"`
	Expires    time.Time         `json:"expires"`
	State      string            `json:"state"`
	DecidedBy  string            `json:"decidedBy"`
	Reason     string            `json:"reason"`
	ApprovedBy string            `json:"approvedBy"`
	Change     map[string]member `json:"change"`
}

// after is a text behind a mark; "" for none.
func after(mark, text string) string {
	if text == "" {
		return ""
	}
	return mark + text
}

// write writes a deed for people.
func (d deed) write(w io.Writer) {
	at := d.Created.UTC().Format("2006-01-02 15:04:05")
	if d.ApprovalID != "" {
		fmt.Fprintf(w, "%s  %s  %s: %s wants: %s %s, %s", d.ApprovalID, at, d.State, d.Proposer, d.EntityType, d.EntityID, d.ActionType)
		if d.DecidedBy != "" {
			fmt.Fprintf(w, " (%s%s)", d.DecidedBy, after(": ", d.Reason))
		}
	} else {
		fmt.Fprintf(w, "%s  %s: %s %s, %s", at, d.ClientID, d.EntityType, d.EntityID, d.ActionType)
		if d.ApprovedBy != "" {
			fmt.Fprintf(w, ", approved by %s", d.ApprovedBy)
		}
	}
	fmt.Fprintln(w)
	for _, name := range slices.Sorted(maps.Keys(d.Change)) {
		m := d.Change[name]
		for _, s := range m.Removed {
			fmt.Fprintf(w, "    - %s: %s\n", name, s)
		}
		for _, s := range m.Added {
			fmt.Fprintf(w, "    + %s: %s\n", name, s)
		}
		if m.From != nil {
			fmt.Fprintf(w, "    - %s: %s\n", name, m.From)
		}
		if m.To != nil {
			fmt.Fprintf(w, "    + %s: %s\n", name, m.To)
		}
	}
}

// deeds prints pages of a listing, at most limit.
func (o *options) deeds(cmd *cobra.Command, c *client.Client, path string, query url.Values, limit int) error {
	all := []deed{}
	for {
		var page struct {
			AuditHistory      []deed
			Approvals         []deed
			ContinuationToken string
		}
		if err := c.Call(cmd.Context(), "auth", http.MethodGet, path, query, nil, &page); errors.Is(err, fault.NotFound) {
			return fmt.Errorf("this server has none: only Treeline keeps an audit log and approvals (%w)", err)
		} else if err != nil {
			return err
		}
		all = append(append(all, page.AuditHistory...), page.Approvals...)
		if page.ContinuationToken == "" || len(all) >= limit {
			break
		}
		query.Set("continuationToken", page.ContinuationToken)
	}
	all = all[:min(len(all), limit)]
	if o.json {
		return printJSON(cmd.OutOrStdout(), all)
	}
	for _, d := range all {
		d.write(cmd.OutOrStdout())
	}
	return nil
}

func (o *options) audit() *cobra.Command {
	query := url.Values{}
	var limit int
	var values [4]string
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who changed what", Args: cobra.NoArgs,
		Long: `Shows what was done to clients, roles, hooks, secrets, worker pools and the denylist in the last thirty
days, and what it changed, newest first. Needs the scope auth:audit-log.`,
		Example: `  treeline admin audit --type role --prefix repo:github.com/acme/
  treeline admin audit --client github/42|ann/laptop --since 2026-01-31T00:00:00Z`,
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			for i, name := range []string{"entityType", "entityPrefix", "clientId", "from"} {
				if values[i] != "" {
					query.Set(name, values[i])
				}
			}
			return o.deeds(cmd, c, "/audit", query, limit)
		}),
	}
	cmd.Flags().StringVar(&values[0], "type", "", "only of this: client, role, hook, secret, worker-pool, denylist, action")
	cmd.Flags().StringVar(&values[1], "prefix", "", "only what begins so")
	cmd.Flags().StringVar(&values[2], "client", "", "only what this client did")
	cmd.Flags().StringVar(&values[3], "since", "", "only since this time, such as 2026-01-31T09:00:00Z")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, for programs")
	return cmd
}

func (o *options) approvals() *cobra.Command {
	cmd := &cobra.Command{
		Use: "approvals", Short: "See, approve and refuse changes that need two persons", Args: cobra.NoArgs,
		Long: `What the server's setting TREELINE_TWO_PERSONS names, nobody changes alone: such a change is refused and kept
as a proposal for three days. Another person approves it, who needs auth:approve-change:<type>:<id>; then
whoever proposed it makes the same change again.`,
	}
	var state string
	list := &cobra.Command{
		Use: "list", Short: "List proposed changes", Args: cobra.NoArgs, Example: `  treeline admin approvals list --state open`,
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			query := url.Values{}
			if state != "" {
				query.Set("state", state)
			}
			return o.deeds(cmd, c, "/approvals", query, 1000)
		}),
	}
	list.Flags().StringVar(&state, "state", "", "only these: open, approved, refused or used")
	list.Flags().BoolVar(&o.json, "json", false, "print JSON, for programs")
	cmd.AddCommand(list, o.approval("show ID", "Show a proposed change", ""), o.approval("approve ID", "Let a change be made", "/approve"), o.approval("refuse ID", "Refuse a change", "/refuse"))
	return cmd
}

func (o *options) approval(use, short, act string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), Example: "  treeline admin approvals " + use[:len(use)-3] + " fN1SbArXTPSVFNUvaOlinQ",
		RunE: o.connect(func(cmd *cobra.Command, c *client.Client, args []string) error {
			method, query := http.MethodGet, url.Values{}
			if reason != "" {
				query.Set("reason", reason)
			}
			if act != "" {
				method = http.MethodPost
			}
			var d deed
			if err := c.Call(cmd.Context(), "auth", method, client.Path("approvals", args[0])+act, query, nil, &d); err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), d)
			}
			d.write(cmd.OutOrStdout())
			return nil
		}),
	}
	if act != "" {
		cmd.Flags().StringVar(&reason, "reason", "", "why; whoever proposed it and the audit log see it")
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, for programs")
	return cmd
}
