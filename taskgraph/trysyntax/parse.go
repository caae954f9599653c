package trysyntax

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
)

// takes says how many values an option has behind it.
type takes int

const (
	nothing takes = iota
	one
	atMostOne // without one it means all
)

// option is one option of the syntax.
type option struct {
	names []string // the short one first, if there is one
	takes takes
	set   func(o *Options, value string) error
}

func options() []option {
	text := func(to func(*Options) *string) func(*Options, string) error {
		return func(o *Options, v string) error { *to(o) = v; return nil }
	}
	flag := func(to func(*Options) *bool) func(*Options, string) error {
		return func(o *Options, _ string) error { *to(o) = true; return nil }
	}
	count := func(to func(*Options) *int) func(*Options, string) error {
		return func(o *Options, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > tryconfig.MaxRebuild {
				return fmt.Errorf("must be a number from 1 to %d, not %q", tryconfig.MaxRebuild, clip(v))
			}
			*to(o) = n
			return nil
		}
	}
	mail := func(which string) func(*Options, string) error {
		return func(o *Options, _ string) error { o.Notifications = which; return nil }
	}
	return []option{
		{[]string{"-b", "--build"}, one, setBuild},
		{[]string{"-p", "--platform"}, atMostOne, text(func(o *Options) *string { return &o.Platforms })},
		{[]string{"-u", "--unittests"}, atMostOne, text(func(o *Options) *string { return &o.Unittests })},
		{[]string{"-t", "--talos"}, atMostOne, text(func(o *Options) *string { return &o.Talos })},
		{[]string{"-r", "--raptor"}, atMostOne, text(func(o *Options) *string { return &o.Raptor })},
		{[]string{"-i", "--interactive"}, nothing, flag(func(o *Options) *bool { return &o.Interactive })},
		{[]string{"-e", "--all-emails"}, nothing, mail(All)},
		{[]string{"-f", "--failure-emails"}, nothing, mail("failure")},
		{[]string{"-j", "--job"}, one, func(o *Options, v string) error { o.Jobs = append(o.Jobs, v); return nil }},
		{[]string{"--rebuild"}, one, count(func(o *Options) *int { return &o.Rebuild })},
		{[]string{"--rebuild-talos"}, one, count(func(o *Options) *int { return &o.RebuildTalos })},
		{[]string{"--rebuild-raptor"}, one, count(func(o *Options) *int { return &o.RebuildRaptor })},
		{[]string{"--setenv"}, one, setEnv},
		{[]string{"--gecko-profile"}, nothing, flag(func(o *Options) *bool { return &o.GeckoProfile })},
		{[]string{"--talos-profile", "--geckoProfile", "--spsProfile"}, nothing, flag(func(o *Options) *bool { return &o.GeckoProfile })},
		{[]string{"--tag"}, one, text(func(o *Options) *string { return &o.Tag })},
		{[]string{"--no-retry"}, nothing, flag(func(o *Options) *bool { return &o.NoRetry })},
		{[]string{"--include-nightly"}, nothing, flag(func(o *Options) *bool { return &o.IncludeNightly })},
		{[]string{"--artifact"}, nothing, flag(func(o *Options) *bool { return &o.Artifact })},
		{[]string{"-w", "--taskcluster-worker"}, nothing, flag(func(o *Options) *bool { return &o.TaskclusterWorker })},
	}
}

func setBuild(o *Options, v string) error {
	var other []string
	o.BuildTypes = nil
	for _, letter := range v {
		switch {
		case letter == 'o' && !has(o.BuildTypes, "opt"):
			o.BuildTypes = append(o.BuildTypes, "opt")
		case letter == 'd' && !has(o.BuildTypes, "debug"):
			o.BuildTypes = append(o.BuildTypes, "debug")
		case letter != 'o' && letter != 'd':
			other = append(other, string(letter))
		}
	}
	if len(other) > 0 {
		o.note("-b %s: %s left out: build types are the letters o (opt) and d (debug), as in -b do", clip(v), clip(strings.Join(other, " ")))
	}
	return nil
}

func setEnv(o *Options, v string) error {
	name, value, ok := strings.Cut(v, "=")
	if !ok || name == "" || strings.Contains(v, "\x00") {
		return fmt.Errorf("must be NAME=VALUE, not %q", clip(v))
	}
	if o.Env == nil {
		o.Env = map[string]string{}
	}
	o.Env[name] = value
	return nil
}

// Parse reads the try syntax of a commit message; ok is false when it has none. The error holds a
// *graph.Error for each thing that is wrong.
func Parse(message string) (o Options, ok bool, err error) {
	syntax, line := Find(message)
	if syntax == "" {
		return Options{}, false, nil
	}
	o = Options{Platforms: All, Unittests: All, Talos: None, Raptor: None, Rebuild: 1, RebuildTalos: 1, RebuildRaptor: 1, line: line}
	if len(syntax) > MaxLength {
		return Options{}, true, fault(line, "is longer than %d bytes", MaxLength)
	}
	words, err := split(strings.ToValidUTF8(syntax, "\uFFFD"))
	if err != nil {
		return Options{}, true, fault(line, "%v", err)
	}
	p := &parser{o: &o, known: options(), words: words}
	p.run()
	if err := errors.Join(p.errs...); err != nil {
		return Options{}, true, err
	}
	return o, true, nil
}

type parser struct {
	o     *Options
	known []option
	words []string
	errs  []error
}

func (p *parser) fail(format string, args ...any) {
	p.errs = append(p.errs, fault(p.o.line, format, args...))
}

func (p *parser) run() {
	p.words[0] = strings.TrimPrefix(p.words[0], "try:") // "try:-b o" is what somebody means who forgot the blank
	if p.words[0] == "" {
		p.words = p.words[1:]
	}
	var left []string
	for len(p.words) > 0 {
		word := p.next()
		switch {
		case len(word) < 2 || word[0] != '-':
			left = append(left, word)
		case strings.HasPrefix(word, "--"):
			p.long(word)
		default:
			p.short(word)
		}
	}
	if len(left) > 0 {
		p.o.note("%q is left out: it belongs to no option", clip(strings.Join(left, " ")))
	}
}

func (p *parser) next() string {
	word := p.words[0]
	p.words = p.words[1:]
	return word
}

// long reads --name, --name=value, --name value, and a beginning of a name that fits one alone.
func (p *parser) long(word string) {
	name, value, given := strings.Cut(word, "=")
	var fits []string
	var found option
	for _, o := range p.known {
		for _, n := range o.names {
			if n == name {
				p.take(o, name, value, given)
				return
			}
			if strings.HasPrefix(n, name) && strings.HasPrefix(n, "--") && len(name) > 2 {
				fits, found = append(fits, n), o
			}
		}
	}
	switch len(fits) {
	case 0:
		p.unknown(name)
	case 1:
		p.take(found, fits[0], value, given)
	default:
		p.fail("%s can be %s: write the one that is meant", clip(name), strings.Join(fits, " or "))
	}
}

// short reads -x, -xvalue, -x=value, -x value, and several without values in one word, -ie.
func (p *parser) short(word string) {
	for rest := word[1:]; rest != ""; {
		name := "-" + rest[:1]
		rest = rest[1:]
		o, ok := p.find(name)
		if !ok {
			p.unknown("-" + string([]rune(word[len(word)-len(rest)-1:])[0]))
			return
		}
		if o.takes != nothing {
			value, equals := strings.CutPrefix(rest, "=")
			p.take(o, name, value, rest != "" || equals)
			return
		}
		p.take(o, name, "", false)
	}
}

func (p *parser) find(name string) (option, bool) {
	for _, o := range p.known {
		if has(o.names, name) {
			return o, true
		}
	}
	return option{}, false
}

// take applies an option; its value is given, or may be the next word.
func (p *parser) take(o option, name, value string, given bool) {
	if given && o.takes == nothing {
		p.fail("%s has no value, but %q is given", name, clip(value))
		return
	}
	if !given && o.takes != nothing {
		follows := len(p.words) > 0 && (p.words[0] == "" || p.words[0][0] != '-' || number(p.words[0]))
		switch {
		case follows:
			value = p.next()
		case o.takes == atMostOne:
			value = All
		default:
			p.fail("%s needs a value behind it", name)
			return
		}
	}
	if err := o.set(p.o, value); err != nil {
		p.fail("%s %v", name, err)
	}
}

func (p *parser) unknown(name string) {
	var names []string
	for _, o := range p.known {
		names = append(names, o.names...)
	}
	hint := ""
	if near := graph.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("; is %s meant?", near)
	}
	p.o.note("the option %s is not known and left out%s", clip(name), hint)
}

// number reports whether a word that begins with a dash is a number below 0.
func number(word string) bool {
	_, err := strconv.ParseFloat(word, 64)
	return err == nil && len(word) > 1
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
