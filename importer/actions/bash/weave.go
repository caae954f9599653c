package bash

import (
	"regexp"
	"strings"
)

// Chunk is a part of a script: text as it stands, or an expansion of bash in the place of an expression.
type Chunk struct {
	Text    string
	Expands bool
}

// mark stands for an expansion while a script is read; no script has it, since bash cannot.
const mark = '\x00'

// How deep quotes and parentheses are followed, and how many ends of documents are looked for.
const maxDepth, maxSought = 200, 100

// Weave puts a script for bash together. GitHub puts values into the text before any shell reads it, quotes or not; here
// an expansion says the same, so quotes that would keep it from being expanded are closed around it.
func Weave(chunks []Chunk) string {
	w := weaver{}
	var in strings.Builder
	for _, c := range chunks {
		if c.Expands {
			w.expansions = append(w.expansions, c.Text)
			in.WriteByte(mark)
		} else {
			in.WriteString(strings.ReplaceAll(c.Text, string(mark), ""))
		}
	}
	w.in = in.String()
	if len(w.expansions) == 0 {
		return w.in
	}
	for w.at < len(w.in) {
		w.plain(0, 0)
		w.copy(1) // a bracket that nobody opened
	}
	return w.out.String()
}

// weaver reads a script as bash would, as far as quotes go.
type weaver struct {
	in         string
	at         int
	out        strings.Builder
	expansions []string // those to come
	here       []hereDocument
	sought     int // ends of documents
}

// hereDocument is one whose text follows the line.
type hereDocument struct {
	end    int  // behind its last line
	opened bool // it was in quotes, which are taken away
}

func (w *weaver) more() bool { return w.at < len(w.in) }

// copy takes over so many bytes, with the expansions among them.
func (w *weaver) copy(n int) {
	for ; n > 0 && w.more(); n-- {
		if c := w.in[w.at]; c == mark {
			w.expand("", "")
		} else {
			w.out.WriteByte(c)
			w.at++
		}
	}
}

// expand writes an expansion where the script has its mark.
func (w *weaver) expand(before, behind string) {
	w.out.WriteString(before + w.expansions[0] + behind)
	w.expansions = w.expansions[1:]
	w.at++
}

// plain reads what is in no quotes, up to the closing character; 0 for the end.
func (w *weaver) plain(closing byte, depth int) {
	for w.more() && depth < maxDepth {
		switch c := w.in[w.at]; {
		case c == closing && closing != 0:
			return
		case c == '\\':
			w.copy(2)
		case c == '\'':
			w.single(false)
		case c == '"':
			w.copy(1)
			w.double('"', depth+1)
			w.copy(1)
		case c == '`':
			w.nested(1, '`', depth)
		case strings.HasPrefix(w.in[w.at:], "$'"):
			w.single(true)
		case strings.HasPrefix(w.in[w.at:], "$(") || strings.HasPrefix(w.in[w.at:], "${"):
			w.nested(2, closer(w.in[w.at+1]), depth)
		case c == '(':
			w.nested(1, ')', depth)
		case c == '#' && closing != '}' && (w.at == 0 || strings.IndexByte(" \t\n;(&|", w.in[w.at-1]) >= 0):
			w.copy(lineEnd(w.in, w.at) - w.at)
		case strings.HasPrefix(w.in[w.at:], "<<<"):
			w.copy(3)
		case strings.HasPrefix(w.in[w.at:], "<<"):
			w.hereDocument()
		case c == '\n':
			w.copy(1)
			w.hereTexts()
		default:
			w.copy(1)
		}
	}
}

func closer(open byte) byte {
	if open == '{' {
		return '}'
	}
	return ')'
}

// nested reads an opening of n bytes, what is inside, and the closing character.
func (w *weaver) nested(n int, closing byte, depth int) {
	w.copy(n)
	w.plain(closing, depth+1)
	w.copy(1)
}

// double reads the inside of double quotes, or of braces in them.
func (w *weaver) double(closing byte, depth int) {
	for w.more() && depth < maxDepth {
		switch c := w.in[w.at]; {
		case c == closing:
			return
		case c == '\\':
			w.copy(2)
		case c == '`':
			w.nested(1, '`', depth)
		case strings.HasPrefix(w.in[w.at:], "$("):
			w.nested(2, ')', depth)
		case strings.HasPrefix(w.in[w.at:], "${"):
			w.copy(2)
			w.double('}', depth+1)
			w.copy(1)
		default:
			w.copy(1)
		}
	}
}

// single reads single quotes, in which nothing is expanded; those of $'…' have escapes.
func (w *weaver) single(escapes bool) {
	open := "'"
	if escapes {
		open = "$'"
	}
	w.copy(len(open))
	for w.more() {
		switch c := w.in[w.at]; {
		case c == '\'':
			w.copy(1)
			return
		case c == '\\' && escapes:
			w.copy(2)
		case c == mark:
			w.expand(`'"`, `"`+open)
		default:
			w.copy(1)
		}
	}
}

var hereOpening = regexp.MustCompile(`^<<(-?)[ \t]*(?:'([\w.-]+)'|"([\w.-]+)"|\\([\w.-]+)|([\w.-]+))`)

// hereDocument reads the opening of one. Where its text has expansions, its end loses its quotes.
func (w *weaver) hereDocument() {
	var m []string
	if w.sought++; w.sought <= maxSought {
		m = hereOpening.FindStringSubmatch(w.in[w.at:])
	}
	if m == nil {
		w.copy(2)
		return
	}
	quoted := m[2] + m[3] + m[4]
	begin := lineEnd(w.in, w.at) + 1
	if n := len(w.here); n > 0 {
		begin = w.here[n-1].end
	}
	end := hereEnd(w.in, begin, quoted+m[5], m[1] == "-")
	if end < 0 { // a shift in arithmetic
		w.copy(2)
		return
	}
	d := hereDocument{end: end, opened: quoted != "" && strings.IndexByte(w.in[begin:end], mark) >= 0}
	w.here = append(w.here, d)
	if d.opened {
		w.out.WriteString("<<" + m[1] + quoted)
		w.at += len(m[0])
		return
	}
	w.copy(len(m[0]))
}

// hereEnd is where the line that ends a document ends; -1 if there is none.
func hereEnd(s string, at int, word string, tabs bool) int {
	for at < len(s) {
		end := lineEnd(s, at)
		line := s[at:end]
		if tabs {
			line = strings.TrimLeft(line, "\t")
		}
		if line == word {
			return end
		}
		at = end + 1
	}
	return -1
}

func lineEnd(s string, at int) int {
	if n := strings.IndexByte(s[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(s)
}

// hereTexts reads the documents that begin here.
func (w *weaver) hereTexts() {
	for _, d := range w.here {
		for w.at < d.end {
			if c := w.in[w.at]; d.opened && strings.IndexByte("\\$`", c) >= 0 {
				w.out.WriteByte('\\')
			}
			w.copy(1)
		}
		w.copy(1)
	}
	w.here = nil
}

// Document is a text for a here document that ends with the word: as it stands, or with its expansions. quote goes around the
// word where the document opens.
func Document(chunks []Chunk) (text, quote string) {
	quote = "'"
	for _, c := range chunks {
		if c.Expands {
			quote = ""
		}
	}
	var b strings.Builder
	for _, c := range chunks {
		if c.Expands || quote != "" {
			b.WriteString(c.Text)
		} else {
			b.WriteString(strings.NewReplacer(`\`, `\\`, "$", `\$`, "`", "\\`").Replace(c.Text))
		}
	}
	return b.String(), quote
}
