package regex

import (
	"errors"
	"fmt"
	"strings"
)

// Compile reads an expression.
func Compile(expression string) (*Regexp, error) {
	if len(expression) > MaxLength {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxLength)
	}
	p := &parser{text: []rune(expression), names: map[string]int{}}
	if err := p.globalFlags(); err != nil {
		return nil, err
	}
	body, err := p.alternation(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.text) {
		return nil, p.errorf("a ) has no ( before it")
	}
	if p.tested > p.groups {
		return nil, fmt.Errorf("there is no group %d", p.tested)
	}
	return &Regexp{start: body.match, groups: p.groups}, nil
}

// part is a piece of an expression. Its width is the number of runes it matches, -1 when that
// varies. An anchor cannot be repeated.
type part struct {
	match  match
	width  int
	anchor bool
}

// anchor is a place such as the start of the text.
func anchor(ok func(*state, int) bool) part { return part{match: place(ok), anchor: true} }

type flags struct{ fold, multi, dotAll, verbose, ascii bool }

type parser struct {
	text   []rune
	at     int
	flags  flags
	groups int
	tested int   // the highest group that a condition asks for
	open   []int // groups that are not closed yet
	names  map[string]int
}

// maxDepth bounds groups inside groups, maxRepeat what stands in braces.
const (
	maxDepth  = 100
	maxRepeat = 10_000
)

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf(format+" (at character %d)", append(args, p.at+1)...)
}

func (p *parser) peek() rune {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return -1
}

func (p *parser) take(prefix string) bool {
	for i, r := range []rune(prefix) {
		if p.at+i >= len(p.text) || p.text[p.at+i] != r {
			return false
		}
	}
	p.at += len([]rune(prefix))
	return true
}

// until reads up to end and past it.
func (p *parser) until(end rune) (string, error) {
	for i := p.at; i < len(p.text); i++ {
		if p.text[i] == end {
			s := string(p.text[p.at:i])
			p.at = i + 1
			return s, nil
		}
	}
	return "", p.errorf("a %c is missing", end)
}

// globalFlags reads "(?i)" and the like, which may stand at the start only.
func (p *parser) globalFlags() error {
	for p.take("(?") {
		mark := p.at - 2
		letters := ""
		for strings.ContainsRune("aiLmsux", p.peek()) && p.peek() > 0 {
			letters += string(p.peek())
			p.at++
		}
		if letters == "" || !p.take(")") {
			p.at = mark
			return nil
		}
		if err := p.flags.set(letters, true); err != nil {
			return p.errorf("%w", err)
		}
	}
	return nil
}

func (f *flags) set(letters string, on bool) error {
	for _, r := range letters {
		switch r {
		case 'i':
			f.fold = on
		case 'm':
			f.multi = on
		case 's':
			f.dotAll = on
		case 'x':
			f.verbose = on
		case 'a':
			f.ascii = on
		case 'u':
			f.ascii = false
		default:
			return fmt.Errorf("the flag %c is not known", r)
		}
	}
	return nil
}

// alternation reads branches up to a ) or the end.
func (p *parser) alternation(depth int) (part, error) {
	var branches []match
	width := 0
	for {
		b, err := p.branch(depth)
		if err != nil {
			return part{}, err
		}
		if len(branches) > 0 && b.width != width {
			b.width = -1
		}
		width = b.width
		branches = append(branches, b.match)
		if !p.take("|") {
			break
		}
	}
	if len(branches) == 1 {
		return part{match: branches[0], width: width}, nil
	}
	return part{match: either(branches), width: width}, nil
}

func (p *parser) branch(depth int) (part, error) {
	if depth > maxDepth {
		return part{}, p.errorf("groups are nested deeper than %d levels", maxDepth)
	}
	whole, empty := part{match: nothing, width: 0}, true
	for p.at < len(p.text) && p.peek() != '|' && p.peek() != ')' {
		if p.flags.verbose && p.skipComment() {
			continue
		}
		item, err := p.atom(depth)
		if err != nil {
			return part{}, err
		}
		if item, err = p.quantified(item); err != nil {
			return part{}, err
		}
		if empty {
			whole, empty = item, false
			continue
		}
		width := -1
		if whole.width >= 0 && item.width >= 0 {
			width = whole.width + item.width
		}
		whole = part{match: sequence(whole.match, item.match), width: width}
	}
	return whole, nil
}

// skipComment passes over white space and comments, which count for nothing in verbose
// expressions.
func (p *parser) skipComment() bool {
	r := p.peek()
	if isASCIISpace(r) {
		p.at++
		return true
	}
	if r != '#' {
		return false
	}
	for p.at < len(p.text) && p.text[p.at] != '\n' {
		p.at++
	}
	return true
}

// quantified reads how often item may come.
func (p *parser) quantified(item part) (part, error) {
	low, high, ok, err := p.quantifier()
	if err != nil || !ok {
		return item, err
	}
	if item.anchor {
		return part{}, p.errorf("a place such as ^ cannot be repeated")
	}
	lazy, possessive := p.take("?"), false
	if !lazy {
		possessive = p.take("+")
	}
	if mark := p.at; strings.ContainsRune("*+?", p.peek()) && p.peek() > 0 {
		return part{}, p.errorf("a quantifier stands behind another")
	} else if _, _, again, err := p.quantifier(); again || err != nil {
		p.at = mark
		return part{}, p.errorf("a quantifier stands behind another")
	}
	width := -1
	if low == high && item.width >= 0 {
		width = low * item.width
	}
	m := repeat(item.match, low, high, lazy)
	if possessive {
		m = atomic(m)
	}
	return part{match: m, width: width}, nil
}

func (p *parser) quantifier() (low, high int, ok bool, err error) {
	switch {
	case p.take("*"):
		return 0, -1, true, nil
	case p.take("+"):
		return 1, -1, true, nil
	case p.take("?"):
		return 0, 1, true, nil
	case p.peek() != '{':
		return 0, 0, false, nil
	}
	mark := p.at
	p.at++
	low, hasLow := p.number()
	high, given := low, hasLow
	if p.take(",") {
		var hasHigh bool
		if high, hasHigh = p.number(); !hasHigh {
			high = -1
		}
		given = true
	}
	if !given || !p.take("}") { // braces that hold something else are text
		p.at = mark
		return 0, 0, false, nil
	}
	if low > maxRepeat || high > maxRepeat {
		return 0, 0, false, p.errorf("a repetition may be at most %d times", maxRepeat)
	}
	if high >= 0 && high < low {
		return 0, 0, false, p.errorf("the least of a repetition is more than its most")
	}
	return low, high, true, nil
}

func (p *parser) number() (n int, ok bool) {
	for p.peek() >= '0' && p.peek() <= '9' {
		n = min(n*10+int(p.peek()-'0'), maxRepeat+1)
		p.at++
		ok = true
	}
	return n, ok
}

// atom reads one thing that a quantifier may follow.
func (p *parser) atom(depth int) (part, error) {
	r := p.peek()
	p.at++
	switch r {
	case '(':
		return p.group(depth)
	case '[':
		return p.class()
	case '\\':
		return p.escape()
	case '.':
		all := p.flags.dotAll
		return part{match: one(func(r rune) bool { return all || r != '\n' }), width: 1}, nil
	case '^':
		if p.flags.multi {
			return anchor(atLineStart), nil
		}
		return anchor(atStart), nil
	case '$':
		if p.flags.multi {
			return anchor(atLineEnd), nil
		}
		return anchor(beforeEnd), nil
	case '*', '+', '?':
		p.at--
		return part{}, p.errorf("a %c has nothing before it to repeat", r)
	case '{':
		p.at--
		if _, _, ok, err := p.quantifier(); ok || err != nil {
			return part{}, errors.Join(err, p.errorf("a repetition has nothing before it to repeat"))
		}
		p.at++
	}
	return p.literal(r), nil
}

func (p *parser) literal(r rune) part {
	if p.flags.fold {
		return part{match: one(func(x rune) bool { return same(x, r) }), width: 1}
	}
	return part{match: one(func(x rune) bool { return x == r }), width: 1}
}
