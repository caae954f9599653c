package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/admin/resource"
)

const (
	maxValue = 2000 // characters of a value that are shown
	maxLines = 200  // of growth by way of other roles
)

// Write writes the changes for people: what comes with +, what goes with -, and below what grows by them.
func (p *Plan) Write(w io.Writer) error {
	var b bytes.Buffer
	for _, c := range p.Changes {
		writeChange(&b, c)
	}
	p.writeGrowth(&b)
	counts := map[Action]int{}
	for _, c := range p.Changes {
		counts[c.Action]++
	}
	if p.Empty() {
		b.WriteString("nothing differs\n")
	} else {
		fmt.Fprintf(&b, "%d to create, %d to update, %d to delete, %d that a person must set; %d roles and clients grow (plan %s)\n",
			counts[Create], counts[Update], counts[Delete], counts[Missing], len(p.Growth), p.Digest)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeChange(b *bytes.Buffer, c Change) {
	sign := map[Action]string{Create: "+", Update: "~", Delete: "-", Missing: "!"}[c.Action]
	fmt.Fprintf(b, "%s %s", sign, c.Key)
	if c.At != "" {
		fmt.Fprintf(b, "  (%s)", c.At)
	}
	b.WriteByte('\n')
	if c.Kind == resource.Secret {
		b.WriteString(map[Action]string{
			Missing: "    there is no such secret: set it with \"treeline secret set " + c.ID + "\"\n", Delete: "    the directory does not name it\n",
		}[c.Action])
		return
	}
	var before, after any
	// Both were written by resource.Canonical, or are absent.
	_ = json.Unmarshal(orNull(c.Before), &before)
	_ = json.Unmarshal(orNull(c.After), &after)
	writeValue(b, "", before, after, c.Before != nil, c.After != nil)
}

func orNull(body json.RawMessage) []byte {
	if body == nil {
		return []byte("null")
	}
	return body
}

// writeValue writes how two values differ, member by member.
func writeValue(b *bytes.Buffer, name string, before, after any, was, is bool) {
	olds, oldOK := before.(map[string]any)
	news, newOK := after.(map[string]any)
	oldList, wasList := before.([]any)
	newList, isList := after.([]any)
	switch {
	case was && is && equal(before, after):
	case (oldOK || !was) && (newOK || !is):
		keys := slices.Sorted(maps.Keys(news))
		for k := range olds {
			if _, both := news[k]; !both {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			o, had := olds[k]
			n, has := news[k]
			path := k
			if name != "" {
				path = name + "." + k
			}
			writeValue(b, path, o, n, had, has)
		}
	case (wasList || !was) && (isList || !is) && simple(oldList) && simple(newList):
		writeList(b, name, oldList, newList)
	default:
		if was {
			fmt.Fprintf(b, "    - %s: %s\n", name, shown(before))
		}
		if is {
			fmt.Fprintf(b, "    + %s: %s\n", name, shown(after))
		}
	}
}

func simple(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(string); return !ok })
}

func writeList(b *bytes.Buffer, name string, before, after []any) {
	mark := func(sign string, list, other []any) int {
		n := 0
		for _, v := range list {
			if !slices.Contains(other, v) {
				fmt.Fprintf(b, "    %s %s: %s\n", sign, name, v)
				n++
			}
		}
		return n
	}
	if mark("-", before, after)+mark("+", after, before) == 0 && len(before)+len(after) > 0 {
		fmt.Fprintf(b, "    ~ %s: in another order\n", name)
	}
}

func equal(a, b any) bool {
	x, err := json.Marshal(a)
	y, other := json.Marshal(b)
	return err == nil && other == nil && bytes.Equal(x, y)
}

func shown(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if s, ok := v.(string); ok && strings.Contains(s, "\n") {
		text = []byte("|\n        " + strings.ReplaceAll(s, "\n", "\n        "))
	}
	if len(text) > maxValue {
		return strings.ToValidUTF8(string(text[:maxValue]), "") + "…"
	}
	return string(text)
}

func (p *Plan) writeGrowth(b *bytes.Buffer) {
	if len(p.Growth) == 0 {
		return
	}
	b.WriteString("\nscopes grow:\n")
	lines := 0
	for _, direct := range []bool{true, false} {
		for _, g := range p.Growth {
			if g.Changed != direct {
				continue
			}
			by := ""
			if !direct {
				by = " (by way of a role)"
			}
			for _, s := range g.Added {
				if lines++; lines > maxLines && !direct {
					fmt.Fprintf(b, "  ^ … and more; --json has all\n")
					return
				}
				fmt.Fprintf(b, "  ^ %s gets %s%s\n", g.Key, s, by)
			}
		}
	}
	b.WriteByte('\n')
}
