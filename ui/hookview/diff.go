package hookview

import (
	"encoding/json"
	"strings"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/ui/editor"
)

// DiffLine is a line of a difference: of both ("　" is " "), gone ("-") or new ("+"); "…" stands for lines left out.
type DiffLine struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

const (
	around      = 3    // lines of both around a change
	maxCompared = 4000 // lines that are compared one by one
)

// difference compares two definitions as people read them; nil is none.
func difference(old *hooks.Hook, h hooks.Hook) []DiffLine {
	before := ""
	if old != nil {
		before = written(*old)
	}
	return compare(lines(before), lines(written(h)))
}

func written(h hooks.Hook) string {
	body, err := json.Marshal(h)
	if err != nil {
		return ""
	}
	return editor.YAML(body)
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// compare finds the longest common lines between what is the same at both ends, and shows the rest with a few lines
// around.
func compare(a, b []string) []DiffLine {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	all := make([]DiffLine, 0, len(a)+len(b))
	for _, line := range a[:head] {
		all = append(all, DiffLine{" ", line})
	}
	all = append(all, middle(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, line := range a[len(a)-tail:] {
		all = append(all, DiffLine{" ", line})
	}
	return shortened(all)
}

func middle(a, b []string) []DiffLine {
	var out []DiffLine
	if len(a)*len(b) > maxCompared*maxCompared/4 {
		for _, line := range a {
			out = append(out, DiffLine{"-", line})
		}
		for _, line := range b {
			out = append(out, DiffLine{"+", line})
		}
		return out
	}
	common := make([][]int32, len(a)+1) // of the rests from i and j on
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, DiffLine{" ", a[i]})
			i++
			j++
		case j >= len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, DiffLine{"-", a[i]})
			i++
		default:
			out = append(out, DiffLine{"+", b[j]})
			j++
		}
	}
	return out
}

// shortened leaves long runs of what is the same out.
func shortened(all []DiffLine) []DiffLine {
	near := make([]bool, len(all))
	for i, line := range all {
		if line.Kind == " " {
			continue
		}
		for k := max(0, i-around); k <= min(len(all)-1, i+around); k++ {
			near[k] = true
		}
	}
	out := []DiffLine{}
	for i, line := range all {
		if near[i] {
			out = append(out, line)
		} else if i > 0 && near[i-1] {
			out = append(out, DiffLine{"…", ""})
		}
	}
	return out
}
