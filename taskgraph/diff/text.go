package diff

import (
	"fmt"
	"io"
	"strings"
)

// palette colours text of a terminal; without colours all is "".
type palette struct{ red, green, yellow, bold, alarm, off string }

func colours(on bool) palette {
	if !on {
		return palette{}
	}
	return palette{red: "\x1b[31m", green: "\x1b[32m", yellow: "\x1b[33m", bold: "\x1b[1m", alarm: "\x1b[1;31m", off: "\x1b[0m"}
}

// fewLabels is how many labels of a list are named in a line.
const fewLabels = 8

// WriteText writes the report for people, with the colours of a terminal if they are wanted: red is
// what is gone, and a scope that is gained.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	p := colours(colour)
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s → %s, %s%s\n", p.bold, r.Base, r.Head, r.Stage, p.off)
	for _, s := range r.Sets {
		s.writeText(&b, p, len(r.Sets) > 1)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Set) writeText(b *strings.Builder, p palette, named bool) {
	if named {
		fmt.Fprintf(b, "\n%sparameters %s%s\n", p.bold, s.Name, p.off)
	}
	if s.Diff.Empty() {
		fmt.Fprintf(b, "no task differs: %s\n", s.cost())
		return
	}
	fmt.Fprintf(b, "%s\n", s.counts())
	fmt.Fprintf(b, "tasks          %s\n", moved(fmt.Sprint(s.Base.Tasks), fmt.Sprint(s.Head.Tasks)))
	fmt.Fprintf(b, "machine time   %s  (estimated %s)\n", moved(s.Base.Time.String(), s.Head.Time.String()), s.Head.basis())
	fmt.Fprintf(b, "critical path  %s  (%s)\n", moved(s.Base.Longest.String(), s.Head.Longest.String()), few(s.Head.Path, fewLabels))
	for _, g := range s.Gained {
		mark := "scope gained"
		if g.New {
			mark = "NEW SCOPE"
		}
		fmt.Fprintf(b, "%s! %s %s%s  by %s\n", p.alarm, mark, g.Scope, p.off, few(g.Labels, fewLabels))
	}
	for _, g := range s.Lost {
		fmt.Fprintf(b, "%s  scope lost %s%s  by %s\n", p.green, g.Scope, p.off, few(g.Labels, fewLabels))
	}
	for _, q := range s.Queues {
		fmt.Fprintf(b, "%s! NEW TASK QUEUE %s%s  of %s\n", p.alarm, q.ID, p.off, few(q.Labels, fewLabels))
	}
	for _, label := range s.Added {
		fmt.Fprintf(b, "%s+ %s%s\n", p.green, label, p.off)
	}
	for _, label := range s.Removed {
		fmt.Fprintf(b, "%s- %s%s\n", p.red, label, p.off)
	}
	for _, g := range s.Changed {
		title := g.Labels[0]
		if n := len(g.Labels); n > 1 {
			title = fmt.Sprintf("%d tasks: %s", n, few(g.Labels, fewLabels))
		}
		fmt.Fprintf(b, "%s~ %s%s\n", p.yellow, title, p.off)
		for _, c := range g.Changes {
			fmt.Fprintf(b, "    %s\n", c)
		}
	}
}
