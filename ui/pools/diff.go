package pools

import "strings"

// change is a line of a comparison: kept (' '), taken out ('-') or put in ('+').
type change struct {
	Kind byte
	Text string
}

// Class is the line's class in the page.
func (c change) Class() string {
	return map[byte]string{' ': "same", '-': "out", '+': "in", '@': "skip"}[c.Kind]
}

// Mark stands before the line.
func (c change) Mark() string { return strings.ReplaceAll(string(c.Kind), "@", "…") }

const (
	around  = 3    // lines kept around a change
	maxDiff = 3000 // lines that are compared one with another; longer texts are shown as replaced
)

// differences compares texts by line, with some lines around each change; nil when they are equal.
func differences(from, to string) []change {
	if from == to {
		return nil
	}
	a, b := linesOf(from), linesOf(to)
	var head, tail []change
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, change{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append([]change{{' ', a[len(a)-1]}}, tail...)
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	list := append(head, compare(a, b)...)
	return excerpt(append(list, tail...))
}

func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// compare finds the longest lines in common.
func compare(a, b []string) (out []change) {
	if len(a) <= maxDiff && len(b) <= maxDiff {
		lengths := make([][]int32, len(a)+1)
		for i := range lengths {
			lengths[i] = make([]int32, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					lengths[i][j] = lengths[i+1][j+1] + 1
				} else {
					lengths[i][j] = max(lengths[i+1][j], lengths[i][j+1])
				}
			}
		}
		i, j := 0, 0
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				out = append(out, change{' ', a[i]})
				i, j = i+1, j+1
			case lengths[i+1][j] >= lengths[i][j+1]:
				out = append(out, change{'-', a[i]})
				i++
			default:
				out = append(out, change{'+', b[j]})
				j++
			}
		}
		a, b = a[i:], b[j:]
	}
	for _, line := range a {
		out = append(out, change{'-', line})
	}
	for _, line := range b {
		out = append(out, change{'+', line})
	}
	return out
}

// excerpt leaves out what is far from any change.
func excerpt(list []change) (out []change) {
	near := make([]bool, len(list))
	for i, c := range list {
		if c.Kind == ' ' {
			continue
		}
		for j := max(0, i-around); j <= min(len(list)-1, i+around); j++ {
			near[j] = true
		}
	}
	for i, c := range list {
		switch {
		case near[i]:
			out = append(out, c)
		case len(out) == 0 || out[len(out)-1].Kind != '@':
			out = append(out, change{'@', ""})
		}
	}
	return out
}
