package actions

import (
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/bash"
)

// commands are actions that are a program with arguments: the script calls it, and the worker must have it.
var commands = map[string]func(s *script, st *step) string{
	"golangci/golangci-lint-action":       program("golangci-lint", "golangci-lint run", "args", "working-directory"),
	"psf/black":                           program("black", "black", "options:--check --diff", "src:."),
	"pre-commit/action":                   program("pre-commit", "pre-commit run --show-diff-on-failure --color=always", "extra_args:--all-files"),
	"ludeeus/action-shellcheck":           program("shellcheck", "find . -name '*.sh' -not -path './.git/*' -exec shellcheck {} +"),
	"actions-rs/cargo":                    program("cargo", "cargo", "command", "args"),
	"actions-rs/clippy-check":             program("cargo clippy", "cargo clippy", "args"),
	"astral-sh/ruff-action":               program("ruff", "ruff", "args:check", "src:."),
	"chartboost/ruff-action":              program("ruff", "ruff", "args:check", "src:."),
	"goreleaser/goreleaser-action":        program("goreleaser", "goreleaser", "args:release"),
	"crate-ci/typos":                      program("typos", "typos", "files:."),
	"codespell-project/actions-codespell": program("codespell", "codespell", "path:."),
	"dominikh/staticcheck-action":         program("staticcheck", "staticcheck ./..."),
	"golang/govulncheck-action":           program("govulncheck", "govulncheck", "go-package:./..."),
	"embarkstudios/cargo-deny-action":     program("cargo-deny", "cargo deny check"),
	"rustsec/audit-check":                 program("cargo-audit", "cargo audit"),
	"actions-rs/audit-check":              program("cargo-audit", "cargo audit"),
	"davidanson/markdownlint-cli2-action": program("markdownlint-cli2", "markdownlint-cli2", "globs:'*.md'"),
	"ibiqlik/action-yamllint":             program("yamllint", "yamllint", "file_or_dir:."),
	"pypa/cibuildwheel":                   program("cibuildwheel", "cibuildwheel", "package-dir:.", "output-dir"),
	"nick-fields/retry":                   program("", "", "command"),
	"nick-invision/retry":                 program("", "", "command"),
}

// program makes the command line: name:default of inputs, or the plain name of one that may be left out.
func program(needs, line string, inputs ...string) func(*script, *step) string {
	return func(s *script, st *step) string {
		out, with := line, st.n.At("with")
		if n := with.At("install-only"); n != nil {
			if only, ok := st.with("install-only"); only == "true" {
				s.line("# needs %s: the worker must have it on its PATH", needs)
				s.f.note(st.n, "sets up "+needs, "the worker must have it on its PATH")
				return ""
			} else if !ok {
				s.f.check(n, "with install-only of "+st.n.At("uses").Str(), "the program is run; take the line away if it was only to be there")
			}
		}
		var read []string
		for _, in := range inputs {
			name, otherwise, _ := strings.Cut(in, ":")
			read = append(read, name)
			v := otherwise
			if n := with.At(name); n != nil {
				v, _ = s.fill(st.scope, n, n.Str(), true)
			}
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			switch name {
			case "working-directory":
				out = "cd " + bash.Quoted(v) + "\n" + out
			case "output-dir":
				out += " --output-dir " + bash.Quoted(v)
			default:
				out = strings.TrimSpace(out + " " + v)
			}
		}
		for _, k := range with.Names() {
			if !slices.Contains(read, k) && !slices.Contains([]string{"version", "token", "github-token", "toolchain", "distribution", "python-version", "repo-token", "install-only"}, k) {
				s.f.check(with.At(k), "with "+k+" of "+st.n.At("uses").Str(), "give it to the command if it matters")
			}
		}
		if needs != "" {
			s.f.note(st.n, "uses "+st.n.At("uses").Str(), "the worker must have "+needs+" on its PATH")
		}
		return out
	}
}
