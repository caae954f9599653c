package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteText writes the story for people: what became of the task, where it came from, what changed
// it, what was decided about it, and what would make it otherwise, one fact a line.
func (s Story) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.Label, s.headline())
	if s.Missing != nil {
		for _, line := range s.Missing.lines() {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
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
		writePlace(&b, s.Provenance.Places, ruleKey(x.Rule))
		b.WriteByte('\n')
	}
	for _, x := range s.Optimizations {
		s.writeOptimization(&b, x)
	}
	if len(s.Because) > 1 {
		fmt.Fprintf(&b, "  needed by %s\n", strings.Join(s.Because, ", which is needed by "))
	}
	for _, x := range s.Morphs {
		fmt.Fprintf(&b, "  morph %s: %s\n", x.Morph, x.Change)
	}
	for _, c := range s.Counterfactuals {
		fmt.Fprintf(&b, "  %s\n", c)
	}
	if len(s.Counterfactuals) == 0 && s.Tried > 0 && s.Outcome != Created {
		fmt.Fprintf(&b, "  none of %d changes that were tried makes it run\n", s.Tried)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// headline says what became of the task.
func (s Story) headline() string {
	switch s.Outcome {
	case Unselected:
		return "not selected"
	case Unknown:
		return "no kind makes it"
	case Replaced:
		return "replaced by task " + s.TaskID
	case Removed:
		return "optimized away"
	}
	if s.TaskID != "" {
		return "runs as task " + s.TaskID
	}
	return "runs"
}

// ruleKey is the key of an entry that a rule of selection is about, "" for none.
func ruleKey(rule string) string {
	name, _, _ := strings.Cut(rule, " ")
	name = strings.TrimSuffix(name, ":")
	if name == "cron" || name == "code-review" {
		return "attributes"
	}
	return strings.ReplaceAll(name, "_", "-")
}

// writePlace tells where the first of keys stands that is known.
func writePlace(b *strings.Builder, places map[string]string, keys ...string) {
	for _, key := range keys {
		if at := places[key]; at != "" {
			fmt.Fprintf(b, ", %s at %s", key, at)
			return
		}
	}
}

func (s Story) writeOptimization(b *strings.Builder, x Optimization) {
	fmt.Fprintf(b, "  %s: %s", x.Phase, x.Outcome)
	if x.TaskID != "" {
		fmt.Fprintf(b, " by task %s", x.TaskID)
	}
	fmt.Fprintf(b, ", %s", x.Reason)
	if x.Strategy != "" {
		fmt.Fprintf(b, " [%s%s]", x.Strategy, argText(x.Arg))
		writePlace(b, s.Provenance.Places, "optimization", "when")
	}
	b.WriteByte('\n')
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
		st.write(b)
	}
}

func (s Step) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %s", s.Transform)
	if len(s.Keys) > 0 {
		fmt.Fprintf(b, " changed %s", strings.Join(s.Keys, ", "))
	}
	if len(s.Cell) > 0 {
		b.WriteString(" (cell")
		for _, d := range s.Cell {
			fmt.Fprintf(b, " %s=%s", d.Name, d.Value)
		}
		b.WriteByte(')')
	}
	if s.Note != "" {
		fmt.Fprintf(b, " (%s)", s.Note)
	}
	b.WriteByte('\n')
	for _, c := range s.Changes {
		fmt.Fprintf(b, "    %s\n", c)
	}
}

// String writes a change in one line: "key: old → new", "+ key: new" or "- key: old".
func (c Change) String() string {
	switch {
	case c.Old == "" && c.New == "":
		return c.Key
	case c.Old == "":
		return "+ " + c.Key + ": " + c.New
	case c.New == "":
		return "- " + c.Key + ": " + c.Old
	}
	return c.Key + ": " + c.Old + " → " + c.New
}

// argText shows a strategy's argument, cut to a length that fits a terminal.
func argText(arg any) string {
	if arg == nil {
		return ""
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(arg); err != nil {
		return ""
	}
	text := bytes.TrimSpace(buf.Bytes())
	const limit = 200
	if len(text) > limit {
		return " " + string(text[:limit]) + "…"
	}
	return " " + string(text)
}
