package bounded

import (
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// Lengths of values in messages, in bytes: of an operand, and of the task being worked on.
const (
	BriefOperand = 60
	BriefTask    = 600
)

// Brief is v as Starlark writes it, cut after about most bytes. It costs no more than what it
// writes, however large v is.
func Brief(v starlark.Value, most int) string {
	w := briefWriter{most: most}
	w.value(v)
	if w.Len() > most {
		return strings.ToValidUTF8(w.String()[:most], "") + "…"
	}
	return w.String()
}

type briefWriter struct {
	strings.Builder
	most, depth int
}

// full reports whether what follows would be cut off, and goes no deeper than people read.
func (w *briefWriter) full() bool { return w.Len() > w.most || w.depth > 20 }

func (w *briefWriter) value(v starlark.Value) {
	if w.full() {
		w.WriteString("…")
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	switch v := v.(type) {
	case nil:
		w.WriteString("None")
	case starlark.String:
		w.WriteString(strconv.Quote(string(v[:min(len(v), w.most+1)])))
	case starlark.Bytes:
		w.WriteString("b" + strconv.Quote(string(v[:min(len(v), w.most+1)])))
	case starlark.Int, starlark.Bool, starlark.Float, starlark.NoneType:
		w.WriteString(v.String())
	case *starlark.List:
		w.elements("[", "]", v)
	case starlark.Tuple:
		w.elements("(", ")", v)
	case *starlark.Dict:
		w.entries(v)
	case *Dict:
		w.entries(v.full())
	case *starlark.Function, *starlark.Builtin:
		w.WriteString(v.String())
	default:
		w.WriteString("<" + v.Type() + ">")
	}
}

func (w *briefWriter) elements(open, end string, list starlark.Indexable) {
	w.WriteString(open)
	for i := range list.Len() {
		if i > 0 {
			w.WriteString(", ")
		}
		if w.full() {
			return
		}
		w.value(list.Index(i))
	}
	w.WriteString(end)
}

func (w *briefWriter) entries(d *starlark.Dict) {
	w.WriteString("{")
	first := true
	for k, v := range d.Entries() {
		if !first {
			w.WriteString(", ")
		}
		first = false
		if w.full() {
			return
		}
		w.value(k)
		w.WriteString(": ")
		w.value(v)
	}
	w.WriteString("}")
}
