// Package docscmd is the command that reads the documentation in the terminal.
package docscmd

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/docs"
)

// New returns "treeline docs".
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "docs [TOPIC]",
		Short: "Read the documentation that the program carries",
		Long: `Lists the pages of the documentation, or shows one as text. A topic is a page's name, such as
"how-to/github", or only its last part where no other page has it. No server is needed; a server
shows the same pages at /docs.`,
		Example: `  treeline docs
  treeline docs first-push
  treeline docs search worker pool`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := docs.Load()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				listPages(cmd, m)
				return nil
			}
			return showPage(cmd, m, args[0])
		},
	}
	cmd.AddCommand(newSearch())
	return cmd
}

func newSearch() *cobra.Command {
	most := 10
	cmd := &cobra.Command{
		Use:     "search WORD...",
		Short:   "Find the places of the documentation where all words stand",
		Example: `  treeline docs search claim expired`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := docs.Load()
			if err != nil {
				return err
			}
			query := strings.Join(args, " ")
			hits := m.Search(query, most)
			if len(hits) == 0 {
				return fmt.Errorf("no page has all of these words: %s", query)
			}
			for _, h := range hits {
				place := h.Page.Name
				if h.Anchor != "" {
					place += "#" + h.Anchor
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n    %s\n", place, h.Excerpt)
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&most, "limit", "n", most, "show at most this `number` of places")
	return cmd
}

// listPages lists all pages with their titles, by section.
func listPages(cmd *cobra.Command, m *docs.Manual) {
	out := cmd.OutOrStdout()
	width := 0
	for _, p := range m.Order {
		width = max(width, len(p.Name))
	}
	for i, s := range m.Sections {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, heading(s.Title))
		for _, g := range s.Groups {
			for _, p := range g.Pages {
				fmt.Fprintf(out, "  %-*s  %s\n", width, p.Name, p.Title)
			}
		}
	}
}

// showPage shows a page as text.
func showPage(cmd *cobra.Command, m *docs.Manual, topic string) error {
	name, anchor, _ := strings.Cut(topic, "#")
	p, ok := m.Page(name)
	if !ok {
		return fmt.Errorf("there is no page %q%s: \"treeline docs\" lists them, \"treeline docs search\" looks into them", name, meant(m, name))
	}
	text := p.Text(heading)
	if anchor != "" {
		for _, h := range p.Headings {
			if h.Anchor == anchor {
				_, after, _ := strings.Cut(text, "\n"+heading(h.Text)+"\n")
				text = heading(h.Text) + "\n" + after
			}
		}
	}
	fmt.Fprint(cmd.OutOrStdout(), text)
	return nil
}

// meant names pages of which the topic is a part.
func meant(m *docs.Manual, topic string) string {
	var names []string
	for _, p := range m.Order {
		if topic != "" && strings.Contains(p.Name, strings.ToLower(topic)) && len(names) < 5 {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", but " + strings.Join(names, ", ")
}

// heading stands out on a terminal.
func heading(text string) string {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !terminalOut() {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

func terminalOut() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
