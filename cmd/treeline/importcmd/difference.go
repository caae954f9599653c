package importcmd

import (
	"fmt"
	"strings"
)

// maxCells bounds the work of comparing two files.
const maxCells = 16 << 20

// difference is how one text becomes another: lines with - and +, and three lines around them.
func difference(name, before, after string) string {
	if before == after {
		return ""
	}
	a, b := lines(before), lines(after)
	var ops []string
	if len(a)*len(b) <= maxCells {
		ops = edits(a, b)
	} else {
		for _, l := range a {
			ops = append(ops, "-"+l)
		}
		for _, l := range b {
			ops = append(ops, "+"+l)
		}
	}
	from := "a/" + name
	if before == "" {
		from = "/dev/null"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ b/%s\n", from, name)
	const around = 3
	shown := make([]bool, len(ops))
	for i, op := range ops {
		if op[0] != ' ' {
			for j := max(0, i-around); j <= min(len(ops)-1, i+around); j++ {
				shown[j] = true
			}
		}
	}
	oldLine, newLine := 1, 1
	for i, op := range ops {
		if shown[i] {
			if i == 0 || !shown[i-1] {
				fmt.Fprintf(&out, "@@ -%d +%d @@\n", oldLine, newLine)
			}
			out.WriteString(op + "\n")
		}
		if op[0] != '+' {
			oldLine++
		}
		if op[0] != '-' {
			newLine++
		}
	}
	return out.String()
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// edits are the lines of both, by the longest common subsequence.
func edits(a, b []string) []string {
	common := make([][]int32, len(a)+1)
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
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out, i, j = append(out, " "+a[i]), i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out, i = append(out, "-"+a[i]), i+1
		default:
			out, j = append(out, "+"+b[j]), j+1
		}
	}
	return out
}
