// Package logtext knows what a line of a log is, what of it a person sees, and which lines tell of a failure. All that
// shows or searches logs counts and reads lines by its rules: LF and CR LF end a line, a lone CR does not, since
// programs redraw their progress with it. ui/src/log/ansi.ts draws the same on the screen; both pass the cases of
// ui/src/log/ansi.cases.json.
package logtext

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// special are the bytes that can begin something that is not shown as it is: control characters but the tab, and the
// first byte of U+0080 to U+00BF, of which those up to U+009F are control characters.
var special = func() (t [256]bool) {
	for b := range 0x20 {
		t[b] = b != '\t'
	}
	t[0x7f], t[0xc2] = true, true
	return t
}()

// plainUpTo is where in a line the first byte stands that is special; its length without.
func plainUpTo(line []byte, from int) int {
	for i := from; i < len(line); i++ {
		if special[line[i]] && (line[i] != 0xc2 || c1(line, i) != 0) {
			return i
		}
	}
	return len(line)
}

// c1 returns the control character U+0080 to U+009F at i, 0 for none.
func c1(line []byte, i int) byte {
	if line[i] == 0xc2 && i+1 < len(line) && line[i+1] >= 0x80 && line[i+1] <= 0x9f {
		return line[i+1]
	}
	return 0
}

// token is an escape sequence or a control character.
type token struct {
	end    int    // behind it
	params []byte // of a control sequence
	middle bool   // it has intermediate bytes
	final  byte   // of a control sequence; 0 for others and for one that is cut off
	osc    []byte // of an operating system command
	char   byte   // a control character by itself
}

// next reads the token that begins at i.
func next(line []byte, i int) token {
	b, after := line[i], i+1
	if c := c1(line, i); c != 0 {
		b, after = c, i+2
	}
	if b == 0x1b && after < len(line) {
		switch line[after] {
		case '[':
			if t, ok := control(line, after+1); ok {
				return t
			}
		case ']':
			return command(line, after+1)
		case 'P', 'X', '^', '_':
			return token{end: untilST(line, after+1, false)}
		}
	}
	switch b {
	case 0x9b:
		if t, ok := control(line, after); ok {
			return t
		}
	case 0x9d:
		return command(line, after)
	case 0x90, 0x98, 0x9e, 0x9f:
		return token{end: untilST(line, after, false)}
	case 0x1b:
		for after < len(line) && line[after] >= ' ' && line[after] <= '/' {
			after++
		}
		if after < len(line) && line[after] >= '0' && line[after] <= '~' {
			after++
		}
		return token{end: after}
	}
	return token{end: after, char: b}
}

// control reads what follows a control sequence introducer; false when it is none.
func control(line []byte, i int) (token, bool) {
	from := i
	for i < len(line) && line[i] >= '0' && line[i] <= '?' {
		i++
	}
	t := token{params: line[from:i]}
	for i < len(line) && line[i] >= ' ' && line[i] <= '/' {
		i++
		t.middle = true
	}
	if i == len(line) {
		t.end = i
		return t, true
	}
	if line[i] < '@' || line[i] > '~' {
		return t, false
	}
	t.final, t.end = line[i], i+1
	return t, true
}

func command(line []byte, from int) token {
	end := untilST(line, from, true)
	body := bytes.TrimSuffix(bytes.TrimSuffix(line[from:end], []byte("\x07")), []byte("\u009c"))
	return token{end: end, osc: bytes.TrimSuffix(body, []byte("\x1b\\"))}
}

// untilST is behind the string terminator, before an escape that begins something else, or the end.
func untilST(line []byte, i int, bell bool) int {
	for ; i < len(line); i++ {
		switch {
		case bell && line[i] == 0x07:
			return i + 1
		case line[i] == 0x1b:
			if i+1 < len(line) && line[i+1] == '\\' {
				return i + 2
			}
			return i
		case c1(line, i) == 0x9c:
			return i + 2
		}
	}
	return i
}

const maxColumns = 20_000 // of lines that move the cursor; others are not limited

// Visible returns what a person sees of a line: without colours and with the last state of what is redrawn. The
// result is part of line where nothing has to be left out, else it is appended to buf.
func Visible(line, buf []byte) []byte {
	if plainUpTo(line, 0) == len(line) {
		return line
	}
	if moves(line) {
		return draw(line, buf)
	}
	for i := 0; i < len(line); {
		to := plainUpTo(line, i)
		buf = append(buf, line[i:to]...)
		if i = to; i < len(line) {
			i = next(line, i).end
		}
	}
	return buf
}

// moves reports whether a line moves the cursor.
func moves(line []byte) bool {
	if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, '\b') >= 0 {
		return true
	}
	for i := bytes.IndexByte(line, 0x1b); i >= 0 && i < len(line); {
		if j := i + 1; j < len(line) && line[j] == '[' {
			for j++; j < len(line) && (line[j] >= '0' && line[j] <= '9' || line[j] == ';'); j++ {
			}
			if j < len(line) && strings.IndexByte("CDGKPX", line[j]) >= 0 {
				return true
			}
		}
		n := bytes.IndexByte(line[i+1:], 0x1b)
		if n < 0 {
			break
		}
		i += 1 + n
	}
	return false
}

// row is a line as it is drawn.
type row struct {
	cells []rune
	at    int
}

func draw(line, buf []byte) []byte {
	r := row{}
	for i := 0; i < len(line); {
		to := plainUpTo(line, i)
		r.write(line[i:to])
		if i = to; i == len(line) {
			break
		}
		t := next(line, i)
		i = t.end
		r.move(t)
	}
	for len(r.cells) > 0 && r.cells[len(r.cells)-1] == ' ' {
		r.cells = r.cells[:len(r.cells)-1]
	}
	for _, c := range r.cells {
		buf = utf8.AppendRune(buf, c)
	}
	return buf
}

func (r *row) write(text []byte) {
	for len(text) > 0 && r.at < maxColumns {
		c, n := utf8.DecodeRune(text)
		text = text[n:]
		for len(r.cells) < r.at {
			r.cells = append(r.cells, ' ')
		}
		if r.at == len(r.cells) {
			r.cells = append(r.cells, c)
		} else {
			r.cells[r.at] = c
		}
		r.at++
	}
}

func (r *row) blank(from, to int) {
	for i := from; i < min(to, len(r.cells)); i++ {
		r.cells[i] = ' '
	}
}

func (r *row) move(t token) {
	n := leading(t.params)
	switch {
	case t.char == '\r':
		r.at = 0
	case t.char == '\b':
		r.at = max(0, r.at-1)
	case t.final == 'G':
		r.at = n - 1
	case t.final == 'C':
		r.at = min(maxColumns, r.at+n)
	case t.final == 'D':
		r.at = max(0, r.at-n)
	case t.final == 'X':
		r.blank(r.at, r.at+n)
	case t.final == 'P':
		if r.at < len(r.cells) {
			r.cells = append(r.cells[:r.at], r.cells[min(len(r.cells), r.at+n):]...)
		}
	case t.final == 'K':
		switch string(t.params) {
		case "1":
			r.blank(0, r.at+1)
		case "2":
			r.blank(0, len(r.cells))
		default:
			r.cells = r.cells[:min(len(r.cells), r.at)]
		}
	}
}

// leading is the number that parameters begin with, 1 for none and for 0.
func leading(params []byte) int {
	digits := 0
	for digits < len(params) && params[digits] >= '0' && params[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(string(params[:digits]))
	if digits > 0 && err != nil {
		return maxColumns + 1
	}
	return min(maxColumns+1, max(1, n))
}
