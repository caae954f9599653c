package optimize

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/value"
)

// references resolves task-reference and artifact-reference of one task (taskgraph-map 7).
type references struct {
	label, self, decision string
	dependencies          map[string]string // name → task id
	root, proxy           string
}

var (
	taskRef     = regexp.MustCompile(`<([^>]+)>`)
	artifactRef = regexp.MustCompile(`<([^/]+)/([^>]+)>`)
)

// resolve gives v with all references in it resolved; parts without any are shared with v.
func (r *references) resolve(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		return r.resolveMap(v)
	case []any:
		var out []any
		for i, e := range v {
			if !nests(e) {
				if out != nil {
					out = append(out, e)
				}
				continue
			}
			x, err := r.resolve(e)
			if err != nil {
				return nil, err
			}
			if out == nil && !same(x, e) {
				out = append(make([]any, 0, len(v)), v[:i]...)
			}
			if out != nil {
				out = append(out, x)
			}
		}
		if out != nil {
			return out, nil
		}
	}
	return v, nil
}

func (r *references) resolveMap(m map[string]any) (any, error) {
	if len(m) == 1 {
		if ref, ok := m["task-reference"]; ok {
			return r.task(ref)
		}
		if ref, ok := m["artifact-reference"]; ok {
			s, ok := ref.(string)
			if !ok {
				return nil, fmt.Errorf("artifact-reference must be a string, found %s", value.Kind(ref))
			}
			return r.fill(artifactRef, s, r.artifact)
		}
	}
	var out map[string]any
	for k, e := range m {
		if !nests(e) {
			continue
		}
		x, err := r.resolve(e)
		if err != nil {
			return nil, err
		}
		if same(x, e) {
			continue
		}
		if out == nil {
			out = make(map[string]any, len(m))
			for k, e := range m {
				out[k] = e
			}
		}
		out[k] = x
	}
	if out != nil {
		return out, nil
	}
	return m, nil
}

// nests reports whether there may be a reference in v.
func nests(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// same reports whether resolving left a value alone.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		return ok && value.Same(a, m)
	case []any:
		l, ok := b.([]any)
		return ok && len(a) == len(l) && (len(a) == 0 || &a[0] == &l[0])
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// task resolves what stands under task-reference: a text, or a mapping whose keys are texts.
func (r *references) task(ref any) (any, error) {
	switch ref := ref.(type) {
	case string:
		return r.fill(taskRef, ref, func(m []string) (string, error) { return r.id(m[1]) })
	case map[string]any:
		out := make(map[string]any, len(ref))
		for k, e := range ref {
			key, err := r.fill(taskRef, k, func(m []string) (string, error) { return r.id(m[1]) })
			if err != nil {
				return nil, err
			}
			if out[key], err = r.resolve(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("task-reference must be a string or a mapping, found %s", value.Kind(ref))
}

// id is the task id that <name> stands for; "<<>" stands for "<".
func (r *references) id(name string) (string, error) {
	switch name {
	case "<":
		return "<", nil
	case "self":
		return r.self, nil
	}
	return r.other(name)
}

func (r *references) other(name string) (string, error) {
	if name == "decision" {
		if r.decision == "" {
			return "DECISION-TASK", nil
		}
		return r.decision, nil
	}
	if id, ok := r.dependencies[name]; ok {
		return id, nil
	}
	return "", fmt.Errorf("<%s> refers to no dependency of the task (write <<> for a plain <)", name)
}

// artifact is the URL that <name/path> stands for.
func (r *references) artifact(m []string) (string, error) {
	if m[1] == "self" {
		return "", fmt.Errorf("%s: a task cannot refer to artifacts of its own", m[0])
	}
	id, err := r.other(m[1])
	if err != nil {
		return "", err
	}
	root := r.root
	if r.proxy != "" && !strings.HasPrefix(m[2], "public/") {
		root = r.proxy
	}
	return strings.TrimSuffix(root, "/") + "/api/queue/v1/task/" + id + "/artifacts/" + m[2], nil
}

// fill replaces each match of re in s.
func (r *references) fill(re *regexp.Regexp, s string, with func(match []string) (string, error)) (string, error) {
	if strings.IndexByte(s, '<') < 0 {
		return s, nil
	}
	var b strings.Builder
	at := 0
	for _, loc := range re.FindAllStringSubmatchIndex(s, -1) {
		m := make([]string, len(loc)/2)
		for i := range m {
			m[i] = s[loc[2*i]:loc[2*i+1]]
		}
		text, err := with(m)
		if err != nil {
			return "", err
		}
		b.WriteString(s[at:loc[0]])
		b.WriteString(text)
		at = loc[1]
	}
	b.WriteString(s[at:])
	return b.String(), nil
}
