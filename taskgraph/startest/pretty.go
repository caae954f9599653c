package startest

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// short is how long a value may be to stand on one line, in bytes; long is where one that cannot be
// split is cut.
const (
	short = 72
	long  = 4 << 10
)

// pretty writes v on as many lines as its size asks for, the keys of dicts sorted. v is within the
// limits of bounded.Within.
func pretty(v starlark.Value) []string {
	var lines []string
	write(&lines, "", v, "", 0)
	return lines
}

func write(lines *[]string, head string, v starlark.Value, tail string, depth int) {
	indent := strings.Repeat("  ", depth)
	if d, ok := bounded.AsDict(v); ok {
		if one := oneLine(d, ""); len(one) <= short {
			*lines = append(*lines, indent+head+one+tail)
			return
		}
		*lines = append(*lines, indent+head+"{")
		for _, k := range sortedKeys(d) {
			e, _, _ := d.Get(k) // a key of d
			write(lines, bounded.Brief(k, long)+": ", e, ",", depth+1)
		}
		*lines = append(*lines, indent+"}"+tail)
		return
	}
	list, ok := v.(starlark.Indexable)
	if _, text := v.(starlark.String); !ok || text {
		*lines = append(*lines, indent+head+bounded.Brief(v, long)+tail)
		return
	}
	if one := oneLine(v, ""); len(one) <= short {
		*lines = append(*lines, indent+head+one+tail)
		return
	}
	*lines = append(*lines, indent+head+"[")
	for i := range list.Len() {
		write(lines, "", list.Index(i), ",", depth+1)
	}
	*lines = append(*lines, indent+"]"+tail)
}

func sortedKeys(d *starlark.Dict) []starlark.Value {
	keys := d.Keys()
	slices.SortStableFunc(keys, func(a, b starlark.Value) int {
		return strings.Compare(bounded.Brief(a, long), bounded.Brief(b, long))
	})
	return keys
}

// oneLine is v on one line with sorted keys; longer than short when it does not fit.
func oneLine(v starlark.Value, head string) string {
	if len(head) > short {
		return head
	}
	d, ok := bounded.AsDict(v)
	if !ok {
		list, ok := v.(starlark.Indexable)
		if _, text := v.(starlark.String); !ok || text {
			return head + bounded.Brief(v, short+1)
		}
		out := head + "["
		for i := range list.Len() {
			if i > 0 {
				out += ", "
			}
			if out = oneLine(list.Index(i), out); len(out) > short {
				return out
			}
		}
		return out + "]"
	}
	out := head + "{"
	if d.Len() > short {
		return out + strings.Repeat(" ", short)
	}
	for i, k := range sortedKeys(d) {
		if i > 0 {
			out += ", "
		}
		e, _, _ := d.Get(k) // a key of d
		if out = oneLine(e, out+bounded.Brief(k, short+1)+": "); len(out) > short {
			return out
		}
	}
	return out + "}"
}

// Bounds of a comparison by lines: around each change stand some equal lines, and what is larger
// than the table is told as one block.
const (
	shown    = 3
	maxCells = 4_000_000
)

// compare gives the lines of want and got that differ, after - and +, with some of those around.
func compare(want, got []string) []string {
	all := edits(want, got)
	var out []string
	last := -1 // the last line of all that is in out
	for i, line := range all {
		if line[0] == ' ' {
			continue
		}
		from := max(i-shown, last+1)
		if from > last+1 {
			out = append(out, "  …")
		}
		out = append(out, all[from:i+1]...)
		last = i
		for k := i + 1; k < len(all) && k <= i+shown && all[k][0] == ' '; k++ {
			out = append(out, all[k])
			last = k
		}
	}
	if last < len(all)-1 {
		out = append(out, "  …")
	}
	return out
}

// edits are the lines of both, each after "- ", "+ " or two spaces.
func edits(want, got []string) []string {
	head := 0
	for head < len(want) && head < len(got) && want[head] == got[head] {
		head++
	}
	tail := 0
	for tail < len(want)-head && tail < len(got)-head && want[len(want)-1-tail] == got[len(got)-1-tail] {
		tail++
	}
	var out []string
	add := func(mark string, lines []string) {
		for _, l := range lines {
			out = append(out, mark+l)
		}
	}
	add("  ", want[:head])
	w, g := want[head:len(want)-tail], got[head:len(got)-tail]
	if len(w)*len(g) > maxCells {
		add("- ", w)
		add("+ ", g)
	} else {
		out = append(out, longest(w, g)...)
	}
	add("  ", want[len(want)-tail:])
	return out
}

// longest compares by the longest common subsequence.
func longest(w, g []string) []string {
	width := len(g) + 1
	table := make([]int32, (len(w)+1)*width) // of the rests from i and k on
	for i := len(w) - 1; i >= 0; i-- {
		for k := len(g) - 1; k >= 0; k-- {
			if w[i] == g[k] {
				table[i*width+k] = table[(i+1)*width+k+1] + 1
			} else {
				table[i*width+k] = max(table[(i+1)*width+k], table[i*width+k+1])
			}
		}
	}
	var out []string
	i, k := 0, 0
	for i < len(w) || k < len(g) {
		switch {
		case i < len(w) && k < len(g) && w[i] == g[k]:
			out = append(out, "  "+w[i])
			i, k = i+1, k+1
		case k == len(g) || i < len(w) && table[(i+1)*width+k] >= table[i*width+k+1]:
			out = append(out, "- "+w[i])
			i++
		default:
			out = append(out, "+ "+g[k])
			k++
		}
	}
	return out
}
