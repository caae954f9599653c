package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteText writes the story for people: where the task came from, what changed it, and what was
// decided about it, one fact a line.
func (s Story) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.Label)
	s.writeOrigin(&b)
	for _, x := range s.Selections {
		verdict := "not selected"
		if x.Kept {
			verdict = "selected"
		}
		fmt.Fprintf(&b, "  %s by %s: %s", verdict, x.Filter, x.Rule)
		if x.Input != "" {
			fmt.Fprintf(&b, " (%s)", x.Input)
		}
		b.WriteByte('\n')
	}
	for _, x := range s.Optimizations {
		fmt.Fprintf(&b, "  %s: %s", x.Phase, x.Outcome)
		if x.TaskID != "" {
			fmt.Fprintf(&b, " by task %s", x.TaskID)
		}
		fmt.Fprintf(&b, ", %s", x.Reason)
		if x.Strategy != "" {
			fmt.Fprintf(&b, " [%s%s]", x.Strategy, argText(x.Arg))
		}
		b.WriteByte('\n')
	}
	for _, x := range s.Morphs {
		fmt.Fprintf(&b, "  morph %s: %s\n", x.Morph, x.Change)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Story) writeOrigin(b *strings.Builder) {
	p := s.Provenance
	if p.File != "" {
		fmt.Fprintf(b, "  from %s", p.File)
		if p.Line > 0 {
			fmt.Fprintf(b, ":%d", p.Line)
		}
		if p.Entry != "" {
			fmt.Fprintf(b, " entry %q", p.Entry)
		}
		if p.Loader != "" {
			fmt.Fprintf(b, ", read by %s", p.Loader)
		}
		b.WriteByte('\n')
	}
	for _, st := range p.Steps {
		fmt.Fprintf(b, "  %s", st.Transform)
		if len(st.Keys) > 0 {
			fmt.Fprintf(b, " changed %s", strings.Join(st.Keys, ", "))
		}
		if st.Note != "" {
			fmt.Fprintf(b, " (%s)", st.Note)
		}
		b.WriteByte('\n')
	}
}

// argText shows a strategy's argument, cut to a length that fits a terminal.
func argText(arg any) string {
	if arg == nil {
		return ""
	}
	text, err := json.Marshal(arg)
	if err != nil {
		return ""
	}
	const limit = 200
	if len(text) > limit {
		return " " + string(text[:limit]) + "…"
	}
	return " " + string(text)
}
