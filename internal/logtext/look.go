package logtext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Look is how text looks at some place of a log, which the lines before decide. The zero Look is plain.
type Look struct {
	fg, bg string // parameters that set it: "31", "38;5;208", "38;2;1;2;3"
	on     [10]bool
	href   string
}

// the flags of Look.on, by the code that sets each.
const (
	bold, faint, italic, underline, inverse, hidden, strike = 1, 2, 3, 4, 7, 8, 9
)

const maxHref = 2083 // of a link's address

// Advance changes the look to what it is behind a line.
func (l *Look) Advance(line []byte) {
	if bytes.IndexByte(line, 0x1b) < 0 && !bytes.Contains(line, []byte("\u009b")) && !bytes.Contains(line, []byte("\u009d")) {
		return
	}
	for i := plainUpTo(line, 0); i < len(line); i = plainUpTo(line, i) {
		t := next(line, i)
		i = t.end
		switch {
		case t.final == 'm' && !t.middle && !bytes.ContainsAny(t.params, "<=>?"):
			l.sgr(strings.Split(string(t.params), ";"))
		case bytes.HasPrefix(t.osc, []byte("8;")):
			l.href = ""
			if _, address, ok := bytes.Cut(t.osc[2:], []byte(";")); ok && len(address) <= maxHref {
				l.href = string(address)
			}
		}
	}
}

// Codes returns the escape sequences that bring about the look; "" for the plain one.
func (l *Look) Codes() string {
	var params []string
	for i, on := range l.on {
		if on {
			params = append(params, strconv.Itoa(i))
		}
	}
	for _, color := range []string{l.fg, l.bg} {
		if color != "" {
			params = append(params, color)
		}
	}
	out := ""
	if len(params) > 0 {
		out = "\x1b[" + strings.Join(params, ";") + "m"
	}
	if l.href != "" {
		out += "\x1b]8;;" + l.href + "\x1b\\"
	}
	return out
}

func (l *Look) sgr(list []string) {
	for i := 0; i < len(list); i++ {
		head, sub, colons := strings.Cut(list[i], ":")
		code, err := strconv.Atoi(head)
		if err != nil && head != "" {
			continue
		}
		switch code {
		case 38, 48:
			args := list[i+1:]
			if colons {
				args = strings.Split(sub, ":")
				if args[0] == "2" && len(args) > 4 {
					args = append([]string{"2"}, args[2:]...) // a colour space stands before the colour
				}
			} else {
				i += width(args)
			}
			l.extended(code, args)
		case underline:
			l.on[underline] = !colons || sub != "0"
		default:
			l.attribute(code)
		}
	}
}

// width is how many parameters an extended colour takes.
func width(args []string) int {
	switch {
	case len(args) > 0 && args[0] == "5":
		return 2
	case len(args) > 0 && args[0] == "2":
		return 4
	}
	return len(args) + 1
}

func (l *Look) extended(code int, args []string) {
	want := map[string]int{"5": 2, "2": 4}[strings.Join(args[:min(1, len(args))], "")]
	if want == 0 || len(args) < want {
		return
	}
	text := fmt.Sprintf("%d;%s", code, args[0])
	for _, a := range args[1:want] {
		n := 0
		if a != "" {
			var err error
			if n, err = strconv.Atoi(a); err != nil || n < 0 || n > 255 {
				return
			}
		}
		text += ";" + strconv.Itoa(n)
	}
	if code == 38 {
		l.fg = text
	} else {
		l.bg = text
	}
}

func (l *Look) attribute(code int) {
	switch {
	case code == 0:
		*l = Look{href: l.href}
	case code == bold || code == faint || code == italic || code == inverse || code == hidden || code == strike:
		l.on[code] = true
	case code == 21:
		l.on[underline] = true
	case code == 22:
		l.on[bold], l.on[faint] = false, false
	case code == 23 || code == 24 || code == 27 || code == 28 || code == 29:
		l.on[code-20] = false
	case code == 39:
		l.fg = ""
	case code == 49:
		l.bg = ""
	case code >= 30 && code <= 37 || code >= 90 && code <= 97:
		l.fg = strconv.Itoa(code)
	case code >= 40 && code <= 47 || code >= 100 && code <= 107:
		l.bg = strconv.Itoa(code)
	}
}
