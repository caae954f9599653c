// Package starter looks at a repository and writes a configuration to begin with: a .taskcluster.yml, and the
// config.yml and kinds of taskcluster/ that build and test what it found. It runs nothing of the repository.
package starter

import (
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Job is one task that the configuration asks for.
type Job struct {
	Kind        string   `json:"kind"` // build, test or lint
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Command     string   `json:"command"`
	Caches      []string `json:"caches,omitempty"` // of tools, as run.use-caches names them
}

// Finding is a kind of project that a repository holds.
type Finding struct {
	Template string `json:"template"`
	Because  string `json:"because"` // the file that says so
	Jobs     []Job  `json:"jobs"`
}

// tree is a repository's files, read gently: what cannot be read is not there.
type tree struct{ fs.FS }

const maxRead = 1 << 20

func (t tree) has(name string) bool {
	info, err := fs.Stat(t, name)
	return err == nil && !info.IsDir()
}

func (t tree) first(names ...string) string {
	for _, name := range names {
		if t.has(name) {
			return name
		}
	}
	return ""
}

func (t tree) read(name string) string {
	info, err := fs.Stat(t, name)
	if err != nil || info.Size() > maxRead {
		return ""
	}
	b, err := fs.ReadFile(t, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// matches lists files near the top whose names match one of the patterns.
func (t tree) matches(patterns ...string) []string {
	var found []string
	for _, p := range patterns {
		for _, dir := range []string{"", "*/", "*/*/"} {
			names, err := fs.Glob(t, dir+p)
			if err == nil {
				found = append(found, names...)
			}
		}
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(name string) bool {
		top, _, _ := strings.Cut(name, "/")
		return strings.HasPrefix(top, ".") || top == "node_modules" || top == "vendor" || top == "third_party" || top == "target" || top == "build"
	})
}

// template is a kind of project: how it is found, and what is to be done with it.
type template struct {
	name string
	find func(tree) (because string, jobs []Job)
}

// templates are all, in the order in which they are tried; the ones after "make" are for projects in which none
// before it is found.
func templates() []template {
	return []template{
		{"go", findGo}, {"rust", findRust}, {"node", findNode}, {"python", findPython},
		{"cmake", findCMake}, {"make", findMake}, {"shell", findShell}, {"generic", findGeneric},
	}
}

// Names lists the templates.
func Names() []string {
	var out []string
	for _, t := range templates() {
		out = append(out, t.name)
	}
	return out
}

// Inspect finds what a repository holds. With a name, only that template is tried. The second result names what
// was found besides and is not used.
func Inspect(files fs.FS, name string) (used []Finding, besides []Finding) {
	t := tree{files}
	for _, k := range templates() {
		if name != "" && k.name != name {
			continue
		}
		because, jobs := k.find(t)
		if because == "" {
			continue
		}
		f := Finding{Template: k.name, Because: because, Jobs: jobs}
		fallback := slices.Contains([]string{"make", "shell", "generic"}, k.name)
		switch {
		case fallback && len(used) > 0 && k.name == "generic":
		case fallback && len(used) > 0:
			besides = append(besides, f)
		default:
			used = append(used, f)
		}
	}
	return used, besides
}

func findGo(t tree) (string, []Job) {
	if !t.has("go.mod") {
		return "", nil
	}
	return "go.mod", []Job{
		{Kind: "build", Name: "go", Description: "Builds all packages.", Command: "go build ./..."},
		{Kind: "test", Name: "go", Description: "Runs the tests of all packages.", Command: "go test ./..."},
		{Kind: "lint", Name: "go", Description: "Looks for mistakes that compile.", Command: "go vet ./..."},
	}
}

func findRust(t tree) (string, []Job) {
	if !t.has("Cargo.toml") {
		return "", nil
	}
	locked := ""
	if t.has("Cargo.lock") {
		locked = " --locked"
	}
	cache := []string{"cargo"}
	return "Cargo.toml", []Job{
		{Kind: "build", Name: "rust", Description: "Builds all crates.", Command: "cargo build --workspace --all-targets" + locked, Caches: cache},
		{Kind: "test", Name: "rust", Description: "Runs the tests of all crates.", Command: "cargo test --workspace" + locked, Caches: cache},
	}
}

func findNode(t tree) (string, []Job) {
	var p struct {
		Scripts                       map[string]string
		Dependencies, DevDependencies map[string]string
	}
	if !t.has("package.json") || json.Unmarshal([]byte(t.read("package.json")), &p) != nil {
		return "", nil
	}
	run, install := "npm", "npm install"
	switch {
	case t.has("pnpm-lock.yaml"):
		run, install = "pnpm", "pnpm install --frozen-lockfile"
	case t.has("yarn.lock"):
		run, install = "yarn", "yarn install --frozen-lockfile"
	case t.has("package-lock.json"):
		install = "npm ci"
	}
	before := install + " && "
	if len(p.Dependencies)+len(p.DevDependencies) == 0 {
		before = ""
	}
	var jobs []Job
	for _, script := range []struct{ kind, name, what string }{
		{"build", "build", "Builds the package."}, {"test", "test", "Runs the package's tests."}, {"lint", "lint", "Lints the sources."},
	} {
		if text := p.Scripts[script.name]; text != "" && !strings.Contains(text, "no test specified") {
			jobs = append(jobs, Job{Kind: script.kind, Name: "node", Description: script.what, Command: before + run + " run " + script.name, Caches: []string{"npm"}})
		}
	}
	if p.Scripts["test"] == "" || strings.Contains(p.Scripts["test"], "no test specified") {
		if len(t.matches("*.test.js", "*.test.mjs", "test-*.js")) > 0 {
			jobs = append(jobs, Job{Kind: "test", Name: "node", Description: "Runs the tests.", Command: before + "node --test", Caches: []string{"npm"}})
		}
	}
	if len(jobs) == 0 {
		jobs = []Job{{Kind: "build", Name: "node", Description: "Installs what the package depends on.", Command: install, Caches: []string{"npm"}}}
	}
	return "package.json", jobs
}

var pytest = regexp.MustCompile(`(?m)^\s*"?pytest\b|\[tool\.pytest|\[pytest\]|\[tool:pytest\]`)

func findPython(t tree) (string, []Job) {
	because := t.first("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini")
	tests := t.matches("test_*.py", "*_test.py")
	if because == "" {
		if len(tests) == 0 {
			return "", nil
		}
		because = tests[0]
	}
	var install []string
	for _, name := range []string{"requirements.txt", "requirements-dev.txt", "dev-requirements.txt", "test-requirements.txt"} {
		if t.has(name) {
			install = append(install, "-r "+name)
		}
	}
	if strings.Contains(t.read("pyproject.toml"), "[build-system]") || t.has("setup.py") {
		install = append(install, "-e .")
	}
	test := "python3 -m unittest discover"
	if t.first("pytest.ini", "conftest.py", "tests/conftest.py") != "" || pytest.MatchString(t.read("pyproject.toml")+t.read("setup.cfg")+t.read("tox.ini")+t.read("requirements-dev.txt")+t.read("requirements.txt")) {
		install = append(install, "pytest")
		test = "python3 -m pytest"
	} else if len(tests) > 0 {
		if dir := path.Dir(tests[0]); dir != "." && !t.has(dir+"/__init__.py") {
			test += " -s " + dir
		}
		if strings.HasSuffix(tests[0], "_test.py") {
			test += " -p '*_test.py'"
		}
	}
	before := ""
	if len(install) > 0 {
		before = "python3 -m venv .venv && . .venv/bin/activate && pip install --quiet " + strings.Join(install, " ") + " && "
	}
	jobs := []Job{{Kind: "lint", Name: "python", Description: "Compiles every file.", Command: "python3 -m compileall -q -x '(^|/)\\.' ."}}
	if len(tests) > 0 || test == "python3 -m pytest" {
		jobs = append(jobs, Job{Kind: "test", Name: "python", Description: "Runs the tests.", Command: before + test, Caches: []string{"pip"}})
	}
	return because, jobs
}

func findCMake(t tree) (string, []Job) {
	if !t.has("CMakeLists.txt") {
		return "", nil
	}
	build := `cmake -S . -B "$TASK_WORKDIR/build" && cmake --build "$TASK_WORKDIR/build" --parallel`
	jobs := []Job{{Kind: "build", Name: "cmake", Description: "Configures and builds.", Command: build}}
	if strings.Contains(t.read("CMakeLists.txt"), "enable_testing") || strings.Contains(t.read("CMakeLists.txt"), "CTest") {
		jobs = append(jobs, Job{Kind: "test", Name: "cmake", Description: "Builds and runs the tests.", Command: build + ` && ctest --test-dir "$TASK_WORKDIR/build" --output-on-failure`})
	}
	return "CMakeLists.txt", jobs
}

var target = regexp.MustCompile(`(?m)^([A-Za-z0-9_.-]+(?: +[A-Za-z0-9_.-]+)*)[ \t]*::?(?:[^=:]|$)`)

func findMake(t tree) (string, []Job) {
	file := t.first("GNUmakefile", "makefile", "Makefile")
	configure := ""
	if t.has("configure") {
		configure = "./configure && "
		if file == "" {
			file = "configure"
		}
	}
	if file == "" {
		return "", nil
	}
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(t.read(file), -1) {
		for _, name := range strings.Fields(m[1]) {
			targets[name] = true
		}
	}
	first := func(names ...string) string {
		for _, name := range names {
			if targets[name] {
				return name
			}
		}
		return ""
	}
	build := configure + strings.TrimSpace("make "+first("build", "all"))
	jobs := []Job{{Kind: "build", Name: "make", Description: "Builds what the makefile builds.", Command: build}}
	if configure != "" && len(targets) == 0 {
		targets["check"] = true // made by configure, as everywhere
	}
	if name := first("test", "check", "tests"); name != "" {
		jobs = append(jobs, Job{Kind: "test", Name: "make", Description: "Runs the makefile's tests.", Command: configure + "make " + name})
	}
	if name := first("lint", "vet"); name != "" {
		jobs = append(jobs, Job{Kind: "lint", Name: "make", Description: "Runs the makefile's lint.", Command: configure + "make " + name})
	}
	return file, jobs
}

func findShell(t tree) (string, []Job) {
	scripts := t.matches("*.sh")
	test := t.first("test.sh", "run-tests.sh", "run_tests.sh", "test/run", "tests/run", "test/run.sh", "tests/run.sh", "script/test", "bin/test")
	if len(scripts) == 0 && test == "" {
		return "", nil
	}
	var jobs []Job
	because := test
	if len(scripts) > 0 {
		because = scripts[0]
		jobs = append(jobs, Job{Kind: "lint", Name: "shell", Description: "Parses every shell script.",
			Command: `git ls-files '*.sh' | while read -r script; do echo "$script"; bash -n "$script" || exit 1; done`})
	}
	if test != "" {
		shell := "sh"
		if line, _, _ := strings.Cut(t.read(test), "\n"); strings.Contains(line, "bash") {
			shell = "bash"
		}
		jobs = append(jobs, Job{Kind: "test", Name: "shell", Description: "Runs the tests.", Command: shell + " " + test})
	}
	return because, jobs
}

func findGeneric(tree) (string, []Job) {
	return "nothing else", []Job{{Kind: "test", Name: "hello", Description: "Shows what was checked out: put your own command in its place.", Command: "git log -1 && ls -l"}}
}
