// Package licences knows whose work is in a build of Treeline and under which terms: the Go modules that
// are linked into the program, the Go standard library among them, and the npm packages that are bundled
// into its pages. Releases get their bill of materials and their notices from it, the check of licences its
// list.
package licences

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Program is the package of the program whose modules are looked for.
const Program = "./cmd/treeline"

// Standard is the path that stands for the Go standard library.
const Standard = "std"

// Kinds of modules.
const (
	Go  = "go"
	NPM = "npm"
)

// Module is somebody else's work.
type Module struct {
	Kind     string // Go or NPM
	Path     string
	Version  string
	Sum      string   // h1:… of go.sum, or sha512-… of package-lock.json; empty for the standard library
	Licences []string // SPDX identifiers, sorted; empty when none was recognized
	Texts    []Text   // its files of licences and notices
}

// Text is one file of a module that states its terms.
type Text struct{ Name, Body string }

// Platform is what a program is built for.
type Platform struct{ OS, Arch string }

// String is such as linux/amd64.
func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Linked returns every Go module of which something is linked into the program on any of the platforms, sorted by
// path. root is the directory of Treeline's own module; the modules must have been downloaded.
func Linked(ctx context.Context, root string, platforms ...Platform) ([]Module, error) {
	found := map[string]Module{}
	for _, p := range platforms {
		out, err := goTool(ctx, root, []string{"GOOS=" + p.OS, "GOARCH=" + p.Arch, "CGO_ENABLED=0"},
			"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{with or .Replace .}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}{{end}}", Program)
		if err != nil {
			return nil, fmt.Errorf("licences: what is linked on %s: %w", p, err)
		}
		for line := range strings.Lines(out) {
			path, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			version, dir, ok := strings.Cut(rest, " ")
			if _, known := found[path]; known || !ok {
				continue
			}
			if found[path], err = read(Module{Kind: Go, Path: path, Version: version}, dir); err != nil {
				return nil, err
			}
		}
	}
	return withStandard(ctx, root, found)
}

// OfBinary returns the modules that the program in the file says it was built from, with their sums.
func OfBinary(ctx context.Context, root, file string) ([]Module, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("licences: %w", err)
	}
	args := []string{"list", "-m", "-f", "{{.Path}} {{.Dir}}"}
	for _, d := range info.Deps {
		args = append(args, d.Path)
	}
	dirs := map[string]string{}
	if len(info.Deps) > 0 {
		out, err := goTool(ctx, root, nil, args...)
		if err != nil {
			return nil, fmt.Errorf("licences: where the modules of %s are: %w", file, err)
		}
		for line := range strings.Lines(out) {
			path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
			dirs[path] = dir
		}
	}
	found := map[string]Module{}
	for _, d := range info.Deps {
		m := d
		if d.Replace != nil {
			m = d.Replace
		}
		if found[d.Path], err = read(Module{Kind: Go, Path: m.Path, Version: m.Version, Sum: m.Sum}, dirs[d.Path]); err != nil {
			return nil, err
		}
	}
	return withStandard(ctx, root, found)
}

// withStandard adds the standard library, and sorts.
func withStandard(ctx context.Context, root string, found map[string]Module) ([]Module, error) {
	goroot, err := goTool(ctx, root, nil, "env", "GOROOT")
	if err != nil {
		return nil, fmt.Errorf("licences: %w", err)
	}
	if found[Standard], err = read(Module{Kind: Go, Path: Standard, Version: strings.TrimPrefix(runtime.Version(), "go")}, strings.TrimSpace(goroot)); err != nil {
		return nil, err
	}
	list := make([]Module, 0, len(found))
	for _, m := range found {
		list = append(list, m)
	}
	return sorted(list), nil
}

func sorted(list []Module) []Module {
	slices.SortFunc(list, func(a, b Module) int {
		return strings.Compare(a.Kind+" "+a.Path+" "+a.Version, b.Kind+" "+b.Path+" "+b.Version)
	})
	return list
}

func goTool(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "GOFLAGS=", "GOWORK=off"), env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// locked is what is read of package-lock.json, version 3.
type locked struct {
	Packages map[string]struct {
		Version   string `json:"version"`
		Integrity string `json:"integrity"`
		License   string `json:"license"`
		Dev       bool   `json:"dev"`
	} `json:"packages"`
}

// Bundled returns the npm packages that the pages are made of: those of package-lock.json in the directory that are
// not for development alone. They must have been installed (make ui).
func Bundled(dir string) ([]Module, error) {
	text, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return nil, fmt.Errorf("licences: %w", err)
	}
	var lock locked
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("licences: %s: %w", filepath.Join(dir, "package-lock.json"), err)
	}
	var list []Module
	for place, p := range lock.Packages {
		i := strings.LastIndex(place, "node_modules/")
		if i < 0 || p.Dev {
			continue
		}
		m, err := read(Module{Kind: NPM, Path: place[i+len("node_modules/"):], Version: p.Version, Sum: p.Integrity}, filepath.Join(dir, filepath.FromSlash(place)))
		if err != nil {
			return nil, fmt.Errorf("%w (make ui installs the packages)", err)
		}
		if len(m.Licences) == 0 && p.License != "" {
			m.Licences = []string{p.License} // it ships no text: what the registry says
		}
		list = append(list, m)
	}
	return sorted(list), nil
}

// named are the names of files that state terms.
var named = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|unlicense)([.-].*)?$`)

// most is how long a text may be, in bytes.
const most = 1 << 20

// read fills in what the module's directory says.
func read(m Module, dir string) (Module, error) {
	if dir == "" {
		return m, fmt.Errorf("licences: %s %s is not on this machine: run go mod download", m.Path, m.Version)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return m, fmt.Errorf("licences: %s: %w", m.Path, err)
	}
	for _, e := range entries {
		if e.IsDir() || !named.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := readFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return m, fmt.Errorf("licences: %s: %w", m.Path, err)
		}
		m.Texts = append(m.Texts, Text{Name: e.Name(), Body: text})
		if id := Identify(text); id != "" && !slices.Contains(m.Licences, id) {
			m.Licences = append(m.Licences, id)
		}
	}
	slices.Sort(m.Licences)
	return m, nil
}

func readFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was read only
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = errors.New(name + " is too long for the terms of a licence")
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}
