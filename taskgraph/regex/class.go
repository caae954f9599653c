package regex

import (
	"strconv"
	"unicode"
)

// fold gives the next of the runes that differ in case only.
func fold(r rune) rune { return unicode.SimpleFold(r) }

// escape reads what follows a backslash outside of brackets.
func (p *parser) escape() (part, error) {
	r := p.peek()
	if r < 0 {
		return part{}, p.errorf("a backslash ends the expression")
	}
	word := isWord
	if p.flags.ascii {
		word = isASCIIWord
	}
	switch r {
	case 'A':
		p.at++
		return anchor(atStart), nil
	case 'Z':
		p.at++
		return anchor(atEnd), nil
	case 'b', 'B':
		p.at++
		return anchor(boundary(word, r == 'b')), nil
	}
	if r >= '1' && r <= '9' {
		return p.numbered()
	}
	if set, ok := p.shorthand(r); ok {
		p.at++
		return part{match: one(set), width: 1}, nil
	}
	c, err := p.character()
	return p.literal(c), err
}

// numbered reads a back reference, or three octal digits.
func (p *parser) numbered() (part, error) {
	if p.at+2 < len(p.text) && octal(p.text[p.at]) && octal(p.text[p.at+1]) && octal(p.text[p.at+2]) {
		c, err := p.character()
		return p.literal(c), err
	}
	end := p.at + 1
	if end < len(p.text) && isASCIIDigit(p.text[end]) {
		end++
	}
	name := string(p.text[p.at:end])
	p.at = end
	return p.reference(name)
}

func octal(r rune) bool { return r >= '0' && r <= '7' }

// shorthand is the set that \d, \w, \s and their opposites stand for.
func (p *parser) shorthand(r rune) (func(rune) bool, bool) {
	pick := func(all, ascii func(rune) bool) func(rune) bool {
		if p.flags.ascii {
			return ascii
		}
		return all
	}
	var set func(rune) bool
	switch r {
	case 'd', 'D':
		set = pick(isDigit, isASCIIDigit)
	case 'w', 'W':
		set = pick(isWord, isASCIIWord)
	case 's', 'S':
		set = pick(isSpace, isASCIISpace)
	default:
		return nil, false
	}
	if r < 'a' {
		return func(r rune) bool { return !set(r) }, true
	}
	return set, true
}

// character reads an escape that stands for one character.
func (p *parser) character() (rune, error) {
	r := p.peek()
	p.at++
	switch r {
	case 'n':
		return '\n', nil
	case 't':
		return '\t', nil
	case 'r':
		return '\r', nil
	case 'f':
		return '\f', nil
	case 'v':
		return '\v', nil
	case 'a':
		return '\a', nil
	case 'x':
		return p.hex(2)
	case 'u':
		return p.hex(4)
	case 'U':
		return p.hex(8)
	}
	if octal(r) {
		n := r - '0'
		for range 2 {
			if !octal(p.peek()) {
				break
			}
			n = n*8 + p.peek() - '0'
			p.at++
		}
		return n, nil
	}
	if r < 0 || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || isASCIIDigit(r) {
		return 0, p.errorf("the escape \\%c is not known", r)
	}
	return r, nil
}

func (p *parser) hex(digits int) (rune, error) {
	if p.at+digits > len(p.text) {
		return 0, p.errorf("an escape lacks its %d digits", digits)
	}
	n, err := strconv.ParseUint(string(p.text[p.at:p.at+digits]), 16, 31)
	if err != nil {
		return 0, p.errorf("an escape lacks its %d digits", digits)
	}
	p.at += digits
	return rune(n), nil
}

// class reads a set in brackets.
func (p *parser) class() (part, error) {
	negative := p.take("^")
	var sets []func(rune) bool
	for first := true; first || p.peek() != ']'; first = false {
		if p.at >= len(p.text) {
			return part{}, p.errorf("a [ is never closed")
		}
		set, low, err := p.member()
		if err != nil {
			return part{}, err
		}
		if set == nil {
			if set, err = p.span(low); err != nil {
				return part{}, err
			}
		}
		sets = append(sets, set)
	}
	p.at++
	return part{match: one(func(r rune) bool {
		for _, s := range sets {
			if s(r) {
				return !negative
			}
		}
		return negative
	}), width: 1}, nil
}

// member reads one set or one character of a class.
func (p *parser) member() (set func(rune) bool, c rune, err error) {
	c = p.peek()
	p.at++
	if c != '\\' {
		return nil, c, nil
	}
	if p.peek() == 'b' {
		p.at++
		return nil, '\b', nil
	}
	if set, ok := p.shorthand(p.peek()); ok {
		p.at++
		return set, 0, nil
	}
	c, err = p.character()
	return nil, c, err
}

// span is the set from low to what follows a dash, or low alone.
func (p *parser) span(low rune) (func(rune) bool, error) {
	high := low
	if p.peek() == '-' && p.at+1 < len(p.text) && p.text[p.at+1] != ']' {
		p.at++
		set, c, err := p.member()
		if err != nil {
			return nil, err
		}
		if set != nil || c < low {
			return nil, p.errorf("a range in brackets runs backwards")
		}
		high = c
	}
	if !p.flags.fold {
		return func(r rune) bool { return low <= r && r <= high }, nil
	}
	return func(r rune) bool {
		if low <= r && r <= high {
			return true
		}
		for f := fold(r); f != r; f = fold(f) {
			if low <= f && f <= high {
				return true
			}
		}
		return false
	}, nil
}
