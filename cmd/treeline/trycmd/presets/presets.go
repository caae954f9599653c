// Package presets reads and writes saved selections of tasks: those of the person, in a file of the user's,
// and those of the project, in the tree. A file is YAML, each name with what "treeline try" is to be asked:
//
//	unit-tests:
//	  description: What most changes need
//	  selector: fuzzy
//	  query: ["^test unit", "lint"]
//	  env: [MOZ_LOG=all:5]
package presets

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// FileName is the name of the project's file, below the directory of config.yml.
const FileName = "try-presets.yml"

// Preset is one saved selection. Its keys are the flags of the command of its selector.
type Preset struct {
	Description string   `yaml:"description,omitempty"`
	Owner       string   `yaml:"owner,omitempty"`
	Selector    string   `yaml:"selector"` // fuzzy, chooser or auto
	Query       []string `yaml:"query,omitempty"`
	And         bool     `yaml:"and,omitempty"`
	Exact       bool     `yaml:"exact,omitempty"`
	Tasks       []string `yaml:"tasks,omitempty"` // labels, besides what the queries find
	Kind        []string `yaml:"kind,omitempty"`
	Platform    []string `yaml:"platform,omitempty"`
	Attr        []string `yaml:"attr,omitempty"`
	TasksRegex  []string `yaml:"tasks-regex,omitempty"`
	Exclude     []string `yaml:"tasks-regex-exclude,omitempty"`
	Strategy    string   `yaml:"strategy,omitempty"`
	Full        bool     `yaml:"full,omitempty"`
	Env         []string `yaml:"env,omitempty"`
	Rebuild     int      `yaml:"rebuild,omitempty"`
	Artifact    bool     `yaml:"artifact,omitempty"`
	DisablePGO  bool     `yaml:"disable-pgo,omitempty"`
	Workers     []string `yaml:"worker-override,omitempty"`
	Routes      []string `yaml:"route,omitempty"`

	From string `yaml:"-"` // the file
}

// Set are presets by name.
type Set map[string]Preset

// MaxFile bounds a file, in bytes.
const MaxFile = 1 << 20

const maxName = 64 // bytes of a preset's name; a pattern that counted them would be long

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// CheckName refuses what cannot name a preset.
func CheckName(name string) error {
	if len(name) > maxName || !nameRule.MatchString(name) {
		return fmt.Errorf("%.80q cannot name a preset: take letters, digits and . _ -", name)
	}
	return nil
}

// Parse reads a file. The error names it, and line and remedy of what is wrong.
func Parse(file string, content []byte) (Set, error) {
	if len(content) > MaxFile {
		return nil, fmt.Errorf("%s: is larger than %d kB", file, MaxFile>>10)
	}
	set := Set{}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	if err := dec.Decode(&set); err != nil && len(bytes.TrimSpace(content)) > 0 {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		p := set[name]
		if p.Selector == "" {
			p.Selector = "fuzzy"
		}
		p.From = file
		set[name] = p
		errs = append(errs, p.check(name))
	}
	return set, errors.Join(errs...)
}

func (p Preset) check(name string) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("%s: %w", p.From, err)
	}
	if !slices.Contains([]string{"fuzzy", "chooser", "auto"}, p.Selector) {
		return fmt.Errorf("%s: %s: selector is %.40q; it may be fuzzy, chooser or auto", p.From, name, p.Selector)
	}
	if p.Rebuild < 0 {
		return fmt.Errorf("%s: %s: rebuild is %d; it counts runs", p.From, name, p.Rebuild)
	}
	return nil
}

// Files says where presets are.
type Files struct {
	User string // path on this machine
	Tree fs.FS  // nil: there is none
	Root string // of config.yml in the tree
}

// Read reads both files; a preset of the user's hides one of the project's with the same name.
func (f Files) Read() (Set, error) {
	all := Set{}
	if f.Tree != nil {
		name := strings.TrimPrefix(f.Root+"/"+FileName, "./")
		content, err := fs.ReadFile(f.Tree, name)
		if err == nil {
			var set Set
			set, err = Parse(name, content)
			maps.Copy(all, set)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	own, err := f.users()
	maps.Copy(all, own)
	return all, err
}

func (f Files) users() (Set, error) {
	content, err := os.ReadFile(f.User)
	if errors.Is(err, fs.ErrNotExist) {
		return Set{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("presets: %w", err)
	}
	return Parse(f.User, content)
}

// Get finds a preset.
func (f Files) Get(name string) (Preset, error) {
	all, err := f.Read()
	if err != nil {
		return Preset{}, err
	}
	p, ok := all[name]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(all)), ", ")
		if known == "" {
			known = "none"
		}
		return Preset{}, fmt.Errorf("there is no preset %.80q (known: %s)", name, known)
	}
	return p, nil
}

// Save writes a preset into the user's file, in the place of one of the same name.
func (f Files) Save(name string, p Preset) error {
	if err := CheckName(name); err != nil {
		return err
	}
	set, err := f.users()
	if err != nil {
		return err
	}
	set[name] = p
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(set); err != nil {
		return fmt.Errorf("presets: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(f.User), 0o700); err != nil {
		return fmt.Errorf("presets: %w", err)
	}
	fresh := f.User + ".new"
	if err := os.WriteFile(fresh, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("presets: %w", err)
	}
	return os.Rename(fresh, f.User)
}

// Under is what is asked when a command line names the preset: lists are added to each other, the preset's
// first; a single value of the command line wins; of variables, the command line's wins by name.
func (p Preset) Under(line Preset) Preset {
	out := p
	for _, l := range []struct {
		to   *[]string
		more []string
	}{
		{&out.Query, line.Query}, {&out.Tasks, line.Tasks}, {&out.Kind, line.Kind}, {&out.Platform, line.Platform}, {&out.Attr, line.Attr},
		{&out.TasksRegex, line.TasksRegex}, {&out.Exclude, line.Exclude}, {&out.Env, line.Env}, {&out.Workers, line.Workers}, {&out.Routes, line.Routes},
	} {
		*l.to = slices.Concat(*l.to, l.more)
	}
	out.And, out.Exact, out.Full = p.And || line.And, p.Exact || line.Exact, p.Full || line.Full
	out.Artifact, out.DisablePGO = p.Artifact || line.Artifact, p.DisablePGO || line.DisablePGO
	if line.Rebuild != 0 {
		out.Rebuild = line.Rebuild
	}
	if line.Strategy != "" {
		out.Strategy = line.Strategy
	}
	return out
}
