package starter_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/local/starter"
)

func files(names ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for _, name := range names {
		name, content, _ := strings.Cut(name, "=")
		out[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return out
}

// commands are the jobs found, one a line.
func commands(found []starter.Finding) string {
	var out strings.Builder
	for _, f := range found {
		for _, j := range f.Jobs {
			out.WriteString(j.Kind + "-" + j.Name + ": " + j.Command + "\n")
		}
	}
	return out.String()
}

func TestWhatIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"a Go module", files("go.mod="), "build-go: go build ./...\ntest-go: go test ./...\nlint-go: go vet ./...\n"},
		{"crates without a lock file", files("Cargo.toml="), "build-rust: cargo build --workspace --all-targets\ntest-rust: cargo test --workspace\n"},
		{"a package with no script that tests", files(`package.json={"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}`), "build-node: npm install\n"},
		{"a package with tests alone", files("package.json={}", "src/a.test.js="), "test-node: node --test\n"},
		{"pnpm", files(`package.json={"scripts":{"build":"b","lint":"l"},"dependencies":{"a":"1"}}`, "pnpm-lock.yaml="),
			"build-node: pnpm install --frozen-lockfile && pnpm run build\nlint-node: pnpm install --frozen-lockfile && pnpm run lint\n"},
		{"a package file that is broken", files("package.json={", "x.sh="), "lint-shell: git ls-files '*.sh' | while read -r script; do echo \"$script\"; bash -n \"$script\" || exit 1; done\n"},
		{"Python with unittest", files("setup.cfg=", "tests/test_a.py="), "lint-python: python3 -m compileall -q -x '(^|/)\\.' .\ntest-python: python3 -m unittest discover -s tests\n"},
		{"Python in a package", files("pyproject.toml=[build-system]\n[tool.pytest.ini_options]", "a.py="),
			"lint-python: python3 -m compileall -q -x '(^|/)\\.' .\ntest-python: python3 -m venv .venv && . .venv/bin/activate && pip install --quiet -e . pytest && python3 -m pytest\n"},
		{"makefile targets, and what looks like them", files("Makefile=.PHONY: test\nlib := x\nall : y\nCHECK = test: no\ntest:: x\n\tlint: no\n"), "build-make: make all\ntest-make: make test\n"},
		{"a makefile with no usual target", files("makefile=program: x.c\n"), "build-make: make\n"},
		{"configure", files("configure="), "build-make: ./configure && make\ntest-make: ./configure && make check\n"},
		{"CMake", files("CMakeLists.txt=project(x)"), "build-cmake: cmake -S . -B \"$TASK_WORKDIR/build\" && cmake --build \"$TASK_WORKDIR/build\" --parallel\n"},
		{"tests of others are not ours", files("node_modules/a/x.sh=", ".hidden/x.sh="), "test-hello: git log -1 && ls -l\n"},
		{"a test script alone", files("test/run=#!/bin/sh"), "test-shell: sh test/run\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			used, _ := starter.Inspect(c.files, "")
			if diff := cmp.Diff(c.want, commands(used)); diff != "" {
				t.Error(diff)
			}
		})
	}
	used, besides := starter.Inspect(files("go.mod=", "Makefile=test:", "a.sh="), "")
	if len(used) != 1 || len(besides) != 2 || besides[0].Template != "make" {
		t.Errorf("%+v %+v", used, besides)
	}
}

func TestRemotes(t *testing.T) {
	for remote, want := range map[string][2]string{
		"git@github.com:me/x.git":                {"GitHub", "https://github.com/me/x"},
		"https://user:secret@github.com/me/x/":   {"GitHub", "https://github.com/me/x"},
		"ssh://git@gitlab.example.org:2222/a/b":  {"GitLab", "https://gitlab.example.org/a/b"},
		"https://hg.mozilla.org/mozilla-central": {"hg.mozilla.org", "https://hg.mozilla.org/mozilla-central"},
		"https://git.example.org/x":              {"git.example.org", "https://git.example.org/x"},
		"/srv/git/x.git":                         {"", ""},
		"../x":                                   {"", ""},
		"":                                       {"", ""},
	} {
		forge, address := starter.ReadRemote(remote)
		if diff := cmp.Diff(want, [2]string{forge, address}); diff != "" {
			t.Errorf("%s: %s", remote, diff)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string][2]string{
		"mine": {"mine", "mine"}, "My.Tool-2": {"my_tool_2", "my-tool-2"}, "2048": {"p2048", "p2048"}, "---": {"p", "p"}, "Ünïcode": {"n_code", "n-code"},
		"a-very-long-name-of-a-repository": {"a_very_long_name_of_a_repository", "a-very-long-name-of-a"},
	} {
		p := starter.Project{Name: name}
		if diff := cmp.Diff(want, [2]string{p.Prefix(), p.TrustDomain()}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// FuzzFiles: whatever a repository is called and holds, the files are YAML that says what was found.
func FuzzFiles(f *testing.F) {
	f.Add("mine", "main", "test: x", "{}")
	f.Add(`we"ird: {`, "a'b", "a b c:\n\td", `{"scripts":{"test":"x"}}`)
	f.Fuzz(func(t *testing.T, name, branch, makefile, packages string) {
		p := starter.Project{Name: name, DefaultBranch: branch, Type: "git", Remote: "https://example.org/" + name}
		p.Findings, _ = starter.Inspect(files("Makefile="+makefile, "package.json="+packages), "")
		atGitHub := p
		atGitHub.App = true
		for _, file := range append(p.Files(), atGitHub.Files()...) {
			var v map[string]any
			if err := yaml.Unmarshal([]byte(file.Content), &v); err != nil {
				t.Errorf("%s: %v\n%s", file.Name, err, file.Content)
			}
		}
	})
}
