package templates

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// File is a .taskcluster.yml whose frame is in order. It is safe for concurrent use.
type File struct {
	Name       string
	Version    int // 1, or 0 for the format before it
	Policy     Policy
	Reporting  string // checks-v1, or "" for commit statuses
	AutoCancel bool   // autoCancelPreviousChecks
	Hooks      []Hook
	Extras     Extras

	root  *yaml.Node // the document, for the lines of complaints
	data  *jsone.Object
	tasks *jsone.Template // {"tasks": …}, as the file is rendered as a whole; nil when there are none
}

// Parse reads the text of a .taskcluster.yml. Errors are *Error.
func Parse(src []byte, filename string) (*File, error) {
	f := &File{Name: filename, AutoCancel: true, Policy: Policy{PullRequests: "collaborators"}}
	if len(src) > MaxBytes {
		return nil, &Error{File: filename, Message: fmt.Sprintf("the file has %d bytes, more than the %d allowed; make it smaller", len(src), MaxBytes)}
	}
	if !utf8.Valid(src) {
		return nil, &Error{File: filename, Line: 1 + bytes.Count(src[:validPrefix(src)], []byte("\n")), Message: "the file is not UTF-8; save it as UTF-8"}
	}
	if err := f.read(src); err != nil {
		return nil, err
	}
	version, known := f.data.Get("version")
	check := f.checkVersion1
	switch {
	case !known:
		return nil, f.complain(1, "", "version is missing; add `version: 1` at the top")
	case version == 1.0:
		f.Version = 1
	case version == 0.0:
		check = f.checkVersion0
	default:
		return nil, f.complain(f.lineOf("version"), "version", "version must be 1")
	}
	if err := check(); err != nil {
		return nil, err
	}
	return f, nil
}

func validPrefix(src []byte) int {
	n := 0
	for n < len(src) {
		c, size := utf8.DecodeRune(src[n:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// read parses the YAML.
func (f *File) read(src []byte) (err error) {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(src))
	if err := decodeYAML(d, &doc); errors.Is(err, io.EOF) {
		return f.complain(1, "", "the file is empty; it needs at least `version: 1` and `tasks:`")
	} else if err != nil {
		return f.yamlError(err)
	}
	if err := decodeYAML(d, &more); err == nil {
		return f.complain(more.Line, "", "a second YAML document starts here; the file must have one")
	} else if !errors.Is(err, io.EOF) {
		return f.yamlError(err)
	}
	f.root = &doc
	data, err := jsone.DecodeYAML(&doc)
	if err != nil {
		e := &jsone.DecodeError{}
		if errors.As(err, &e) {
			return f.complain(e.Line, "", "%s", e.Message)
		}
		return f.complain(0, "", "%v", err)
	}
	o, ok := data.(*jsone.Object)
	if !ok {
		return f.complain(1, "", "the file must be a mapping with the keys version and tasks")
	}
	f.data = o
	return nil
}

// decodeYAML reads a document; a defect of the YAML library on strange input becomes an error.
func decodeYAML(d *yaml.Decoder, into *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", r)
		}
	}()
	return d.Decode(into)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlError takes the line out of the YAML library's text.
func (f *File) yamlError(err error) error {
	text, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	return f.complain(line, "", "this is not YAML: %s", text)
}

func (f *File) complain(line int, path, format string, args ...any) error {
	return &Error{File: f.Name, Line: line, Path: path, Message: fmt.Sprintf(format, args...)}
}

// checkKeys complains about a key that is not known, naming the one probably meant.
func (f *File) checkKeys(o *jsone.Object, path []jsone.Step, where string, known ...string) error {
	for key := range o.All() {
		if slices.Contains(known, key) {
			continue
		}
		hint := "known are " + strings.Join(known, ", ")
		for _, k := range known {
			if strings.EqualFold(k, key) {
				hint = "did you mean " + k + "?"
			}
		}
		return f.complain(f.lineAt(append(path, jsone.Step{Key: key, Index: -1, InKey: true})), strings.Join(keys(path), "."),
			"%s has no key %q; %s", where, key, hint)
	}
	return nil
}

func (f *File) checkVersion1() error {
	err := f.checkKeys(f.data, nil, "the file", "version", "policy", "reporting", "autoCancelPreviousChecks", "tasks", "hooks", "treeline")
	if err != nil {
		return err
	}
	if v, ok := f.data.Get("reporting"); ok {
		if v != "checks-v1" {
			return f.complain(f.lineOf("reporting"), "reporting", "reporting must be checks-v1, or be left out for commit statuses")
		}
		f.Reporting = "checks-v1"
	}
	if v, ok := f.data.Get("autoCancelPreviousChecks"); ok {
		if f.AutoCancel, ok = v.(bool); !ok {
			return f.complain(f.lineOf("autoCancelPreviousChecks"), "autoCancelPreviousChecks", "autoCancelPreviousChecks must be true or false")
		}
	}
	if err := f.readPolicy(); err != nil {
		return err
	}
	if err := f.readHooks(); err != nil {
		return err
	}
	if err := f.readExtras(); err != nil {
		return err
	}
	return f.readTasks()
}

func (f *File) readPolicy() error {
	v, ok := f.data.Get("policy")
	if !ok {
		return nil
	}
	o, ok := v.(*jsone.Object)
	if !ok {
		return f.complain(f.lineOf("policy"), "policy", "policy must be a mapping with pullRequests or allowComments")
	}
	if err := f.checkKeys(o, steps("policy"), "policy", "pullRequests", "allowComments"); err != nil {
		return err
	}
	for key, value := range o.All() {
		s, _ := value.(string)
		allowed := []string{"public", "public_restricted", "collaborators", "collaborators_quiet"}
		if key == "allowComments" {
			allowed = []string{"collaborators"}
			f.Policy.AllowComments = s
		} else {
			f.Policy.PullRequests = s
		}
		if !slices.Contains(allowed, s) {
			return f.complain(f.lineOf("policy", key), "policy."+key, "policy.%s must be one of: %s", key, strings.Join(allowed, ", "))
		}
	}
	return nil
}

func (f *File) readHooks() error {
	v, ok := f.data.Get("hooks")
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return f.complain(f.lineOf("hooks"), "hooks", "hooks must be a list of mappings with a name")
	}
	for i, item := range list {
		path := append(steps("hooks"), jsone.Step{Index: i})
		where := fmt.Sprintf("hooks[%d]", i)
		o, ok := item.(*jsone.Object)
		if !ok {
			return f.complain(f.lineAt(path), where, "a hook must be a mapping with a name")
		}
		if err := f.checkKeys(o, path, "a hook", "name", "context"); err != nil {
			return err
		}
		name, _ := o.Get("name")
		h := Hook{Line: o.Line(), Context: map[string]any{}}
		if h.Name, _ = name.(string); strings.Count(h.Name, "/") != 1 {
			return f.complain(f.lineAt(path), where+".name", "a hook's name must be of the form group/hook")
		}
		if c, ok := o.Get("context"); ok {
			context, ok := c.(*jsone.Object)
			if !ok {
				return f.complain(f.lineAt(path), where+".context", "a hook's context must be a mapping")
			}
			h.Context = context.Map()
		}
		f.Hooks = append(f.Hooks, h)
	}
	return nil
}

// readTasks checks what tasks is before it is rendered, and compiles it.
func (f *File) readTasks() error {
	v, ok := f.data.Get("tasks")
	if !ok {
		return nil
	}
	switch v := v.(type) {
	case *jsone.Object:
	case []any:
		for i, item := range v {
			if _, ok := item.(*jsone.Object); !ok {
				return f.complain(f.lineAt(append(steps("tasks"), jsone.Step{Index: i})), fmt.Sprintf("tasks[%d]", i),
					"a task must be a mapping (a task definition or JSON-e that makes one)")
			}
		}
	default:
		return f.complain(f.lineOf("tasks"), "tasks", "tasks must be a list of task definitions or JSON-e that makes one")
	}
	whole := &jsone.Object{}
	whole.Set("tasks", v)
	var err error
	if f.tasks, err = jsone.Compile(whole); err != nil {
		return f.complain(f.lineOf("tasks"), "tasks", "%v", err)
	}
	return nil
}
