package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a directory.
const (
	maxFiles = 5000
	maxFile  = 16 << 20 // bytes
	maxAll   = 256 << 20
)

// Read reads all .yml and .yaml files below a directory, except those that begin with a dot. The error
// is Problems when the files can be read and say what they should not.
func Read(dir fs.FS) (*Tree, error) {
	names, err := list(dir)
	if err != nil {
		return nil, err
	}
	r := &reader{tree: &Tree{}, names: map[string]Place{}}
	total := 0
	for _, name := range names {
		text, err := readFile(dir, name)
		if err != nil {
			return nil, err
		}
		if total += len(text); total > maxAll {
			return nil, fmt.Errorf("%s: the files have more than %d bytes together; split the directory", name, maxAll)
		}
		r.file(name, text)
	}
	r.finish()
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return r.tree, nil
}

func list(dir fs.FS) ([]string, error) {
	var names []string
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && (path.Ext(name) == ".yml" || path.Ext(name) == ".yaml"):
			names = append(names, name)
		}
		if len(names) > maxFiles {
			return fmt.Errorf("there are more than %d files", maxFiles)
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = errors.New("there is no .yml file; \"treeline admin import\" makes the first ones")
	}
	return names, err
}

func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	err = errors.Join(err, f.Close())
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: it has more than %d bytes; split it", name, maxFile)
	}
	return text, err
}

type reader struct {
	tree     *Tree
	problems Problems
	names    map[string]Place // what has been said already, such as "client x"
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (r *reader) file(name string, text []byte) {
	if !utf8.Valid(text) {
		r.problems = append(r.problems, Problem{Place{name, 1}, "", "it is no UTF-8; save it as such"})
		return
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			r.problems = append(r.problems, unreadable(name, err))
		}
		return
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		r.problems = append(r.problems, Problem{Place{name, 1}, "", "it has several documents; keep one, without ---"})
		return
	}
	top := at{doc.Content[0], name, "", &r.problems}
	sections := map[string]func(at){
		"managed": r.managed, "banner": func(a at) { r.tree.Banner = r.once(a, "banner", a.text()) },
		"repositories": r.repositories, "grants": r.grants, "roles": r.roles, "clients": r.clients, "hooks": r.hooks,
		"worker-pools": r.pools, "secrets": r.secrets, "denylist": r.denylist, "checks": r.checks,
	}
	known := []string{"managed", "banner", "repositories", "grants", "roles", "clients", "hooks", "worker-pools", "secrets", "denylist", "checks"}
	found := top.mapping(known...)
	for _, k := range known {
		if section, ok := found[k]; ok && section.Tag != "!!null" {
			sections[k](section)
		}
	}
}

func unreadable(name string, err error) Problem {
	text, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = text[len(m[0]):]
	}
	return Problem{Place{name, line}, "", "it is no YAML: " + text + "; look at the indentation and at quotes nearby"}
}

// once refuses what has been said before, in this file or another.
func (r *reader) once(a at, what, value string) string {
	if before, ok := r.names[what]; ok {
		a.wrong("it is there already, at %s:%d; keep one", before.File, before.Line)
	} else {
		r.names[what] = a.place()
	}
	return value
}

// plain makes a decoded YAML value what JSON would have given; ok is false for what JSON cannot say.
func plain(v any) (out any, ok bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if v[k], ok = plain(e); !ok {
				return nil, false
			}
		}
		return v, true
	case map[any]any:
		return nil, false
	case []any:
		for i, e := range v {
			if v[i], ok = plain(e); !ok {
				return nil, false
			}
		}
		return v, true
	case time.Time:
		return v.UTC().Format(time.RFC3339), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	default:
		return v, true
	}
}

func hasAny[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }
