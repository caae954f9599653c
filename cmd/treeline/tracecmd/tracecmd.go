// Package tracecmd is the command "treeline trace": the waterfall of a push, in text.
package tracecmd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/trace"
)

// Body is what a command does with a server.
type Body func(cmd *cobra.Command, c *client.Client, args []string) error

// options are the flags.
type options struct {
	json, otlp, critical bool
	repository           string
	limit, width         int
}

// New makes the command. connect wraps its body: it connects and explains errors.
func New(connect func(Body) func(*cobra.Command, []string) error, help string) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "trace REVISION|GROUP", Short: "Show when what happened for a push, why it waited, and its critical path", Args: cobra.ExactArgs(1),
		Long: `Shows what happened for a push, which is named by its revision or by its task group: a line for each task with
what its time was spent with, and the critical path, which is what the end waited for at each moment.

  ····  waits for tasks that it needs
  ░░░░  waits for a worker
  ████  a worker is at work
  ◆     is on the critical path

The beginning of a revision will do with --repo.` + help,
		Example: `  treeline trace 5f2c9a1be07d41d5a4ed6bd2c4a1e97f1a2b3c4d
  treeline trace 5f2c9a1 --repo pebble --critical
  treeline trace fN1SbArXTPSVFNUvaOlinQ --otlp > trace.json`,
		RunE: connect(func(cmd *cobra.Command, c *client.Client, args []string) error { return o.run(cmd, c, args[0]) }),
	}
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON, for programs")
	f.BoolVar(&o.otlp, "otlp", false, "print OTLP/JSON, which tools for OpenTelemetry read")
	f.BoolVar(&o.critical, "critical", false, "only what is on the critical path")
	f.StringVar(&o.repository, "repo", "", "repository of the revision")
	f.IntVar(&o.limit, "limit", 100, "show no more than this many lines, the longest ones (0: all)")
	f.IntVar(&o.width, "width", 60, "characters for the time")
	cmd.MarkFlagsMutuallyExclusive("json", "otlp")
	return cmd
}

const service = "trace"

var groupID = regexp.MustCompile(`^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`)

func (o options) run(cmd *cobra.Command, c *client.Client, what string) error {
	ctx, route, query := cmd.Context(), client.Path("task-group", what), url.Values(nil)
	if !groupID.MatchString(what) {
		var found trace.Found
		if o.repository != "" {
			query = url.Values{"repository": {o.repository}}
		}
		if err := c.Call(ctx, service, http.MethodGet, client.Path("revision", what), query, nil, &found); err != nil {
			return err
		}
		route, query = client.Path("task-group", found.GroupID), nil
		if found.GroupID == "" {
			route, query = client.Path("push", strconv.FormatInt(found.ID, 10)), url.Values{"repository": {found.Repository}}
		}
	}
	if o.otlp {
		route += "/otlp"
	}
	var answer json.RawMessage
	if err := c.Call(ctx, service, http.MethodGet, route, query, nil, &answer); err != nil {
		return err
	}
	if o.otlp || o.json {
		_, err := cmd.OutOrStdout().Write(append(answer, '\n'))
		return err
	}
	var v trace.View
	if err := json.Unmarshal(answer, &v); err != nil {
		return fmt.Errorf("the server's answer is no trace: %w", err)
	}
	o.show(cmd.OutOrStdout(), &v)
	return nil
}

// show writes a trace for people.
func (o options) show(w io.Writer, v *trace.View) {
	state := "goes on since"
	if v.Settled {
		state = string(v.Result) + " after"
	}
	fmt.Fprintf(w, "%s\n%s %s, trace %s\n\n", v.Title, state, lasted(v.Takes), v.TraceID)
	rows, more := o.choose(v.Rows)
	name := 8
	for _, r := range rows {
		name = min(40, max(name, utf8.RuneCountInString(r.Name)))
	}
	for _, r := range rows {
		sign := " "
		if r.Critical {
			sign = "◆"
		}
		fmt.Fprintf(w, "%s %-11s %s %s\n", sign, r.State, cut(r.Name, name), o.bar(r, v.Takes))
	}
	if more > 0 {
		fmt.Fprintf(w, "  and %d shorter ones (--limit 0 shows all)\n", more)
	}
	fmt.Fprintf(w, "\nCritical path\n")
	for _, s := range v.Critical {
		what := s.Name
		if what == "" {
			what = string(s.What)
		}
		fmt.Fprintf(w, "  %8s %8s  %s: %s\n", "+"+lasted(s.From), lasted(s.To-s.From), what, s.Text)
	}
}

// choose takes the rows to show, in their order, and says how many are left out.
func (o options) choose(rows []trace.Row) (shown []trace.Row, more int) {
	shown = slices.DeleteFunc(slices.Clone(rows), func(r trace.Row) bool { return o.critical && !r.Critical })
	if o.limit <= 0 || len(shown) <= o.limit {
		return shown, 0
	}
	length := func(r trace.Row) (n int64) {
		if r.Critical {
			return 1 << 60
		}
		for _, b := range r.Bars {
			if b.What != trace.OfNeeds && b.What != trace.OfUpload {
				n += b.To - b.From
			}
		}
		return n
	}
	lengths := make([]int64, len(shown))
	for i, r := range shown {
		lengths[i] = length(r)
	}
	slices.SortFunc(lengths, func(a, b int64) int { return int(max(-1, min(1, b-a))) })
	least := lengths[o.limit-1]
	ties := o.limit - slices.Index(lengths, least) // of those that are as long as the shortest shown
	kept := slices.DeleteFunc(slices.Clone(shown), func(r trace.Row) bool {
		n := length(r)
		if n == least {
			ties--
		}
		return n < least || n == least && ties < 0
	})
	return kept, len(shown) - len(kept)
}

// bar draws what the time of a row was spent with.
func (o options) bar(r trace.Row, takes int64) string {
	cells := []rune(strings.Repeat(" ", max(1, o.width)))
	signs := map[trace.What]rune{trace.OfNeeds: '·', trace.OfWorker: '░', trace.OfUpload: 0}
	for _, b := range r.Bars {
		sign, known := signs[b.What]
		if !known {
			sign = '█'
		}
		if sign == 0 {
			continue
		}
		n := int64(len(cells))
		from, to := b.From*n/max(1, takes), (b.To*n+takes-1)/max(1, takes)
		for i := max(0, min(from, n-1)); i < min(max(to, from+1), n); i++ {
			cells[i] = sign
		}
	}
	return strings.TrimRight(string(cells), " ")
}

// cut makes a text n characters long.
func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s + strings.Repeat(" ", n-len(runes))
}

func lasted(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
