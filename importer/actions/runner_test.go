package actions_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/importer/actions"
)

// TestWhatIsKnownOfTheRunner: steps that ask for the system run where it is that one, and nowhere else.
func TestWhatIsKnownOfTheRunner(t *testing.T) {
	for runsOn, want := range map[string]string{
		"ubuntu-latest":               "Linux X64",
		"ubuntu-24.04-arm":            "Linux ARM64",
		"windows-2025":                "Windows X64",
		"windows-11-arm":              "Windows ARM64",
		"macos-latest":                "macOS ARM64",
		"macos-13":                    "macOS X64",
		"macos-15-intel":              "macOS X64",
		"[self-hosted, macOS, X64]":   "macOS X64",
		"[self-hosted, linux, ARM64]": "Linux ARM64",
		"the-farm":                    "Linux X64",
		"{group: big, labels: [windows-8-cores]}": "Windows X64",
		"${{ fromJSON(needs.x.outputs.where) }}":  "Linux X64", // the worker type linux is taken, which is said
	} {
		file := "on: push\njobs:\n  a:\n    runs-on: " + runsOn + `
    steps:
      - run: echo "it is ${{ runner.os }} ${{ runner.arch }}, $RUNNER_OS $RUNNER_ARCH"
      - if: runner.os == 'windows'
        run: echo only for Windows
      - if: ${{ !startsWith(runner.os, 'Win') && runner.environment != 'github-hosted' }}
        run: echo for the others
`
		r, err := actions.Convert(fstest.MapFS{".github/workflows/a.yml": {Data: []byte(file)}}, project, actions.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range r.Files {
			all.WriteString(f.Content)
		}
		system, arch, _ := strings.Cut(want, " ")
		for text, there := range map[string]bool{
			`it is ` + want + `, $RUNNER_OS`:          true,
			"export RUNNER_OS=" + system + "\n":       true,
			"export RUNNER_ARCH=" + arch + "\n":       true,
			"echo only for Windows":                   system == "Windows",
			"echo for the others":                     system != "Windows",
			"a script cannot ask that":                false,
			"Treeline has nothing that says the same": false,
		} {
			if strings.Contains(all.String(), text) != there {
				t.Errorf("%s: %q is there: %v\n%v", runsOn, text, !there, r.Remarks)
			}
		}
	}
}
