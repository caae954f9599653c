package picker

import (
	"strings"
	"unicode/utf8"
)

// Key is a key press: a letter, or a key with a name such as enter, up or ctrl+a. Paste and pasted stand
// around what is pasted.
type Key struct {
	Rune rune
	Name string
}

// sequences are what terminals send after an escape.
func sequences() map[string]string {
	return map[string]string{
		"[A": "up", "[B": "down", "[C": "right", "[D": "left", "OA": "up", "OB": "down", "OC": "right", "OD": "left",
		"[H": "home", "[F": "end", "OH": "home", "OF": "end", "[1~": "home", "[4~": "end", "[7~": "home", "[8~": "end",
		"[1;5H": "ctrl+home", "[1;5F": "ctrl+end", "[3~": "delete", "[5~": "pgup", "[6~": "pgdown", "[Z": "shift+tab",
		"\x7f": "alt+backspace", "\b": "alt+backspace", "[200~": "paste", "[201~": "pasted",
	}
}

// controls are the keys that are sent as one byte, besides ctrl and a letter.
func control(b byte) string {
	switch b {
	case '\r':
		return "enter"
	case '\t':
		return "tab"
	case 0x7f, '\b':
		return "backspace"
	case 0x1b:
		return "esc"
	}
	if b >= 1 && b <= 26 {
		return "ctrl+" + string(rune('a'+b-1))
	}
	return "other"
}

// next takes the first key of what a terminal has sent, and says how many bytes it is; 0 when more may
// come that belongs to it. After last nothing comes.
func next(sent []byte, last bool) (Key, int) {
	if sent[0] == 0x1b {
		return escape(sent, last)
	}
	if sent[0] < ' ' || sent[0] == 0x7f {
		return Key{Name: control(sent[0])}, 1
	}
	if !utf8.FullRune(sent) && !last {
		return Key{}, 0
	}
	r, n := utf8.DecodeRune(sent)
	return Key{Rune: r}, n
}

// maxSequence bounds what is taken for one key, in bytes.
const maxSequence = 32

func escape(sent []byte, last bool) (Key, int) {
	rest := string(sent[1:min(len(sent), maxSequence)])
	switch {
	case rest == "":
		if !last {
			return Key{}, 0
		}
		return Key{Name: "esc"}, 1
	case rest[0] == 0x1b:
		return Key{Name: "esc"}, 1
	case rest[0] != '[' && rest[0] != 'O':
		if name := sequences()[rest[:1]]; name != "" {
			return Key{Name: name}, 2
		}
		return Key{Name: "other"}, 2
	}
	end := strings.IndexFunc(rest[1:], func(r rune) bool { return r >= '@' && r <= '~' })
	if end < 0 {
		if !last && len(rest) < maxSequence-1 {
			return Key{}, 0
		}
		return Key{Name: "other"}, len(rest) + 1
	}
	name := sequences()[rest[:end+2]]
	if name == "" {
		name = "other"
	}
	return Key{Name: name}, end + 3
}
