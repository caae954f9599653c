// Package promql reads the part of PromQL that dashboards and alerts are written in, so that a test can say what of it no
// server gives: selectors with matchers and ranges, functions, aggregations, arithmetic, comparison and set operators with
// their matching. It computes nothing. What it does not know is an error: a query that Prometheus would take and this
// package refuses has to be written more simply.
package promql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Selector is a metric that an expression names.
type Selector struct {
	Metric string
	Labels []string // of its matchers
	Range  bool     // over a range, as rate wants it
	In     string   // the innermost function around it; "" for none
}

// Query is an expression that was read.
type Query struct {
	Selectors []Selector
	Grouped   []string // labels of by, without, on, ignoring, group_left and group_right
}

// functions and how many arguments they take, the least and the most.
var functions = map[string][2]int{
	"rate": {1, 1}, "irate": {1, 1}, "increase": {1, 1}, "delta": {1, 1}, "deriv": {1, 1}, "changes": {1, 1}, "histogram_quantile": {2, 2},
	"max_over_time": {1, 1}, "min_over_time": {1, 1}, "avg_over_time": {1, 1}, "sum_over_time": {1, 1}, "absent": {1, 1}, "absent_over_time": {1, 1},
	"clamp_min": {2, 2}, "clamp_max": {2, 2}, "abs": {1, 1}, "ceil": {1, 1}, "floor": {1, 1}, "round": {1, 2}, "time": {0, 0}, "vector": {1, 1},
	"scalar": {1, 1}, "label_replace": {5, 5}, "sort_desc": {1, 1}, "predict_linear": {2, 2}, "timestamp": {1, 1},
}

// ranged are the functions whose argument is a range.
var ranged = []string{"rate", "irate", "increase", "delta", "deriv", "changes", "max_over_time", "min_over_time", "avg_over_time", "sum_over_time", "absent_over_time", "predict_linear"}

// aggregations; those with true have a parameter before the expression.
var aggregations = map[string]bool{"sum": false, "max": false, "min": false, "avg": false, "count": false, "group": false, "stddev": false, "topk": true, "bottomk": true, "quantile": true}

var tokens = regexp.MustCompile(`^(?:(\s+)|([a-zA-Z_:][a-zA-Z0-9_:]*)|((?:[0-9]+(?:ms|[smhdwy]))+|\$__\w+|\$\w+)|([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(==|!=|>=|<=|=~|!~|[-+*/%^<>=(){}\[\],:@]))`)

// parser walks over words.
type parser struct {
	words []string
	at    int
	in    []string // functions around the place
	query Query
}

// Parse reads an expression. Grafana's variables may stand where a duration does.
func Parse(text string) (*Query, error) {
	p := &parser{}
	for rest := text; rest != ""; {
		m := tokens.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q cannot be read from %q on", text, rest)
		}
		if m[1] == "" {
			p.words = append(p.words, m[0])
		}
		rest = rest[len(m[0]):]
	}
	if err := p.expression(); err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	if p.at < len(p.words) {
		return nil, fmt.Errorf("%q: %q is one too many", text, p.words[p.at])
	}
	return &p.query, nil
}

func (p *parser) peek() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

func (p *parser) take() string { w := p.peek(); p.at++; return w }

func (p *parser) want(word string) error {
	if got := p.take(); got != word {
		return fmt.Errorf("%q where %q belongs", got, word)
	}
	return nil
}

var operators = []string{"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"}

// expression reads operands with operators between; their order of precedence does not matter here.
func (p *parser) expression() error {
	for {
		if err := p.operand(); err != nil {
			return err
		}
		if !slices.Contains(operators, p.peek()) {
			return nil
		}
		p.take()
		if p.peek() == "bool" {
			p.take()
		}
		for slices.Contains([]string{"on", "ignoring", "group_left", "group_right"}, p.peek()) {
			word := p.take()
			if p.peek() != "(" && strings.HasPrefix(word, "group") {
				continue
			}
			if err := p.labels(); err != nil {
				return err
			}
		}
	}
}

// labels reads names in parentheses.
func (p *parser) labels() error {
	if err := p.want("("); err != nil {
		return err
	}
	for p.peek() != ")" {
		if !label.MatchString(p.peek()) {
			return fmt.Errorf("%q is no label", p.peek())
		}
		p.query.Grouped = append(p.query.Grouped, p.take())
		if p.peek() == "," {
			p.take()
		}
	}
	return p.want(")")
}

var (
	label  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	number = regexp.MustCompile(`^[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?$`)
	metric = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
)

func (p *parser) operand() error {
	word := p.peek()
	_, aggregates := aggregations[word]
	_, called := functions[word]
	switch {
	case word == "":
		return fmt.Errorf("it ends where something belongs")
	case word == "-" || word == "+":
		p.take()
		return p.operand()
	case word == "(":
		p.take()
		if err := p.expression(); err != nil {
			return err
		}
		return p.want(")")
	case number.MatchString(word) || word[0] == '"' || word[0] == '\'':
		p.take()
		return nil
	case aggregates:
		return p.aggregation()
	case called:
		return p.call()
	case word == "{" || metric.MatchString(word):
		return p.selector()
	}
	return fmt.Errorf("%q is no metric, function or number", word)
}

func (p *parser) aggregation() error {
	name := p.take()
	grouping := func() error {
		if p.peek() != "by" && p.peek() != "without" {
			return nil
		}
		p.take()
		return p.labels()
	}
	if err := grouping(); err != nil {
		return err
	}
	n, err := p.arguments("")
	if err != nil {
		return err
	}
	if want := map[bool]int{false: 1, true: 2}[aggregations[name]]; n != want {
		return fmt.Errorf("%s takes %d arguments, not %d", name, want, n)
	}
	return grouping()
}

func (p *parser) call() error {
	name := p.take()
	n, err := p.arguments(name)
	if err != nil {
		return err
	}
	if bounds := functions[name]; n < bounds[0] || n > bounds[1] {
		return fmt.Errorf("%s has %d arguments", name, n)
	}
	return nil
}

// arguments reads those of a function, or of an aggregation when it has no name, and counts them.
func (p *parser) arguments(function string) (n int, err error) {
	if err := p.want("("); err != nil {
		return 0, err
	}
	p.in = append(p.in, function)
	defer func() { p.in = p.in[:len(p.in)-1] }()
	for p.peek() != ")" {
		if err := p.expression(); err != nil {
			return n, err
		}
		n++
		if p.peek() != "," {
			break
		}
		p.take()
	}
	return n, p.want(")")
}

func (p *parser) selector() error {
	s := Selector{}
	for i := len(p.in) - 1; i >= 0 && s.In == ""; i-- {
		s.In = p.in[i]
	}
	if p.peek() != "{" {
		s.Metric = p.take()
	}
	if p.peek() == "{" {
		if err := p.matchers(&s); err != nil {
			return err
		}
	}
	if p.peek() == "[" {
		p.take()
		if !duration.MatchString(p.take()) {
			return fmt.Errorf("%s has no duration as its range", s.Metric)
		}
		if err := p.want("]"); err != nil {
			return err
		}
		s.Range = true
	}
	if p.peek() == "offset" {
		p.take()
		if !duration.MatchString(p.take()) {
			return fmt.Errorf("%s has no duration as its offset", s.Metric)
		}
	}
	if over := len(p.in) > 0 && slices.Contains(ranged, p.in[len(p.in)-1]); over != s.Range {
		return fmt.Errorf("%s: a range stands in functions over time, and nowhere else", s.Metric)
	}
	p.query.Selectors = append(p.query.Selectors, s)
	return nil
}

var duration = regexp.MustCompile(`^(?:(?:[0-9]+(?:ms|[smhdwy]))+|\$__\w+|\$\w+)$`)

func (p *parser) matchers(s *Selector) error {
	p.take()
	for p.peek() != "}" {
		name, operator, value := p.take(), p.take(), p.take()
		if !label.MatchString(name) || !slices.Contains([]string{"=", "!=", "=~", "!~"}, operator) || value == "" || value[0] != '"' && value[0] != '\'' {
			return fmt.Errorf("%s%s%s is no matcher", name, operator, value)
		}
		if strings.HasSuffix(operator, "~") {
			if _, err := regexp.Compile(strings.Trim(value, `"'`)); err != nil && !strings.Contains(value, "$") {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		s.Labels = append(s.Labels, name)
		if p.peek() == "," {
			p.take()
		}
	}
	return p.want("}")
}
