package doctor

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Printer writes reports for people.
type Printer struct {
	Out     io.Writer
	Colours bool
}

var colours = map[Severity]string{Error: "31", Warning: "33", Hint: "36"}

func (p Printer) paint(code, text string) string {
	if !p.Colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Line is what is shown of a check while others are under way.
func (p Printer) Line(r Result) string {
	switch {
	case r.Skipped != "":
		return p.paint("2", "-") + " " + r.Check + p.paint("2", " (not looked at: "+r.Skipped+")")
	case r.Error != "":
		return p.paint("35", "?") + " " + r.Check + ": could not look: " + r.Error
	}
	worst, n := Hint, 0
	for _, f := range r.Findings {
		if f.Severity == Error || f.Severity == Warning && worst == Hint {
			worst = f.Severity
		}
		n++
	}
	if n == 0 {
		return p.paint("32", "✓") + " " + r.Check
	}
	return p.paint(colours[worst], "✗") + " " + fmt.Sprintf("%s: %d found", r.Check, n)
}

// Report writes what was found, the worst first, and how it ended.
func (p Printer) Report(r Report) error {
	var b strings.Builder
	for _, s := range order {
		for _, one := range r.Results {
			for _, f := range one.Findings {
				if f.Severity == s {
					fmt.Fprintf(&b, "\n%s %s (%s)\n", p.paint(colours[s], string(s)+":"), f.What, f.Code)
					fmt.Fprintf(&b, "  why: %s\n  do:  %s\n", f.Why, f.Do)
				}
			}
		}
	}
	looked, blind := 0, 0
	var took time.Duration
	for _, one := range r.Results {
		if one.Skipped == "" {
			looked++
		}
		if one.Error != "" {
			blind++
		}
		took = max(took, one.Took)
	}
	fmt.Fprintf(&b, "\n%d checks: %d errors, %d warnings, %d hints", looked, r.Count(Error), r.Count(Warning), r.Count(Hint))
	if blind > 0 {
		fmt.Fprintf(&b, "; %d could not look", blind)
	}
	fmt.Fprintf(&b, " (the longest took %v)\n", took.Round(time.Millisecond))
	_, err := io.WriteString(p.Out, b.String())
	return err
}
