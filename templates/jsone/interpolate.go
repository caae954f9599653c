package jsone

import "strings"

// piece is one part of a text with interpolations: literal text, or an expression when program is set.
type piece struct {
	text    string // the literal text, or the expression's source
	program *program
}

// interpolate fills in the ${...} of a text; $${ stands for ${.
func (r *renderer) interpolate(text string, sc *scope) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var pieces []piece
	if known, ok := r.template.texts.Load(text); ok {
		pieces = known.([]piece)
	} else {
		pieces = split(text)
		r.template.texts.Store(text, pieces)
	}
	var b strings.Builder
	for _, p := range pieces {
		s := p.text
		if p.program != nil {
			var err error
			if s, err = r.fill(p, sc); err != nil {
				return "", err
			}
		}
		if err := r.text(len(s)); err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// split cuts a text into pieces. An expression that cannot be parsed is the last piece: the ones before it are
// evaluated first and may fail first.
func split(text string) []piece {
	var pieces []piece
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			return append(pieces, piece{text: text})
		}
		if i > 0 && text[i-1] == '$' {
			pieces = append(pieces, piece{text: text[:i-1] + "${"})
			text = text[i+2:]
			continue
		}
		pieces = append(pieces, piece{text: text[:i]})
		source := text[i+2:]
		p := parseUntil(source)
		if p.err != nil {
			return append(pieces, piece{program: p})
		}
		pieces = append(pieces, piece{text: source[:p.end], program: p})
		text = source[p.end+1:]
	}
}

// fill evaluates one ${...}.
func (r *renderer) fill(p piece, sc *scope) (string, error) {
	if p.program.err != nil {
		return "", p.program.err.fresh()
	}
	v, err := r.eval(p.program.node, sc)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case *list, *Object:
		return "", newError(TemplateError, "interpolation of '%s' produced an array or object", p.text)
	case *Function:
		return "", newError(TemplateError, "interpolation of '%s' produced a function; call it", p.text)
	default:
		s, _ := toText(v, 0)
		return s, nil
	}
}
