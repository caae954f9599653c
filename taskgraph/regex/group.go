package regex

import (
	"strconv"
	"strings"
)

// group reads what follows "(".
func (p *parser) group(depth int) (part, error) {
	if !p.take("?") {
		return p.captured(depth, "")
	}
	switch {
	case p.take(":"):
		return p.inside(depth)
	case p.take("P<"):
		name, err := p.until('>')
		if err != nil {
			return part{}, err
		}
		return p.captured(depth, name)
	case p.take("P="):
		name, err := p.until(')')
		if err != nil {
			return part{}, err
		}
		return p.reference(name)
	case p.take("#"):
		_, err := p.until(')')
		return part{match: nothing, width: 0}, err
	case p.take(">"):
		body, err := p.inside(depth)
		return part{match: atomic(body.match), width: body.width}, err
	case p.take("="), p.take("!"):
		negative := p.text[p.at-1] == '!'
		body, err := p.inside(depth)
		return part{match: ahead(body.match, negative), width: 0}, err
	case p.take("<="), p.take("<!"):
		negative := p.text[p.at-1] == '!'
		body, err := p.inside(depth)
		if err == nil && body.width < 0 {
			err = p.errorf("what is looked for behind must have a fixed width")
		}
		return part{match: behind(body.match, body.width, negative), width: 0}, err
	case p.take("("):
		return p.conditional(depth)
	}
	return p.scoped(depth)
}

// inside reads the rest of a group whose opening has been read.
func (p *parser) inside(depth int) (part, error) {
	body, err := p.alternation(depth + 1)
	if err != nil {
		return part{}, err
	}
	if !p.take(")") {
		return part{}, p.errorf("a ( is never closed")
	}
	return body, nil
}

// maxGroups is how many groups may capture.
const maxGroups = 100

func (p *parser) captured(depth int, name string) (part, error) {
	p.groups++
	index := p.groups
	if index > maxGroups {
		return part{}, p.errorf("more than %d groups", maxGroups)
	}
	if name != "" {
		if _, taken := p.names[name]; taken {
			return part{}, p.errorf("the group %q is there twice", name)
		}
		p.names[name] = index
	}
	p.open = append(p.open, index)
	body, err := p.inside(depth)
	p.open = p.open[:len(p.open)-1]
	return part{match: capture(index, body.match), width: body.width}, err
}

// find gives the index of a group that a name or number means.
func (p *parser) find(name string) (int, error) {
	index, ok := p.names[name]
	if n, err := strconv.Atoi(name); err == nil {
		index, ok = n, n > 0 && n <= p.groups
	}
	if !ok {
		return 0, p.errorf("there is no group %s before", name)
	}
	for _, o := range p.open {
		if o == index {
			return 0, p.errorf("the group %s refers to itself", name)
		}
	}
	return index, nil
}

func (p *parser) reference(name string) (part, error) {
	index, err := p.find(name)
	return part{match: back(index, p.flags.fold), width: -1}, err
}

// conditional reads "(?(group)yes|no)" behind its second parenthesis.
func (p *parser) conditional(depth int) (part, error) {
	name, err := p.until(')')
	if err != nil {
		return part{}, err
	}
	index, known := p.names[name]
	if n, err := strconv.Atoi(name); err == nil {
		index, known = n, n > 0 && n <= maxGroups // it may come later
	}
	if !known {
		return part{}, p.errorf("there is no group %s before", name)
	}
	p.tested = max(p.tested, index)
	yes, err := p.branch(depth + 1)
	if err != nil {
		return part{}, err
	}
	no := part{match: nothing, width: 0}
	if p.take("|") {
		if no, err = p.branch(depth + 1); err != nil {
			return part{}, err
		}
	}
	if !p.take(")") {
		return part{}, p.errorf("a ( is never closed")
	}
	width := yes.width
	if no.width != width {
		width = -1
	}
	return part{match: choice(index, yes.match, no.match), width: width}, nil
}

// scoped reads flags that hold inside a group: "(?i:…)", "(?-i:…)".
func (p *parser) scoped(depth int) (part, error) {
	before := p.flags
	on := true
	for p.at < len(p.text) {
		r := p.peek()
		p.at++
		switch {
		case r == '-' && on:
			on = false
		case r == ':':
			body, err := p.inside(depth)
			p.flags = before
			return body, err
		case r == ')':
			return part{}, p.errorf("flags for the whole expression must stand at its start")
		case !strings.ContainsRune("aimsux", r):
			return part{}, p.errorf("(?%c is not known", r)
		default:
			if err := p.flags.set(string(r), on); err != nil {
				return part{}, p.errorf("%w", err)
			}
		}
	}
	return part{}, p.errorf("a ( is never closed")
}
