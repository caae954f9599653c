package actions_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/importer/actions"
)

const steps = `on: push
env: {LEVEL: workflow, SAID: "a $HOME 'b' \"c\""}
defaults: {run: {shell: bash}}
jobs:
  first:
    runs-on: ubuntu-latest
    env: {LEVEL: job}
    outputs:
      lines: ${{ steps.Out.outputs.lines }}
      plain: ${{ steps.Out.outputs.plain }}
      soft: ${{ steps.soft.outcome }}
    steps:
      - id: Out
        run: |
          echo "plain=a=b c" >> "$GITHUB_OUTPUT"
          { echo "lines<<EOF"; echo; echo "x=1"; echo two; echo EOF; echo "other=<<"; } >> $GITHUB_OUTPUT
          printf 'line=of a step\nvalue<<X\nl1\nl2\nX\n' >> $GITHUB_ENV
          mkdir -p bin; printf '#!/bin/sh\necho a tool\n' > bin/tool; chmod +x bin/tool; echo "$PWD/bin" >> $GITHUB_PATH
      - run: |
          echo '[${{ steps.Out.outputs.plain }}]' "[${{ steps.Out.outputs.lines }}] [$line] [$value]"; tool
          cat <<'END'
          ${{ steps.Out.outputs.other }} $LEVEL
          END
      - env: {LEVEL: "step of ${{ env.LEVEL }}", TWO: "${{ steps.Out.outputs.plain }}!"}
        run: echo "$LEVEL, ${{ env.LEVEL }}, ${{ env.TWO }}, $SAID"
      - id: soft
        continue-on-error: true
        run: exit 3
      - run: echo "${{ steps.soft.outcome }} ${{ steps.soft.conclusion }} ${{ steps.Out.outcome }} ${{ job.status }}"
      - if: steps.soft.outcome == 'failure'
        run: echo softly failed
      - id: never
        if: steps.soft.conclusion == 'failure'
        run: echo never
      - continue-on-error: true
        run: |
          false | cat
          echo never
      - shell: sh
        run: |
          false | cat
          echo "sh of ${{ steps.Out.outputs.plain }} $LEVEL"
      - shell: python3 {0}
        run: |
          import os
          print(os.environ["LEVEL"], "${{ steps.Out.outputs.plain }}", '$LEVEL \\')
      - working-directory: bin
        run: pwd | sed 's|.*/||'
      - uses: actions/checkout@v4
        with: {repository: "${{ env.SET_BY_NOBODY }}", ref: "${{ env.NOR_THIS }}"}
      - if: always()
        run: echo always
      - run: mkdir -p 'out put/deep'; echo 1 > 'out put/a b.txt'; echo 2 > 'out put/deep/c.txt'
      - uses: actions/upload-artifact@v4
        with: {name: kept, path: "out put/a b.txt\nout put/**/c.*"}
      - if: failure()
        run: echo never
      - id: bad
        run: exit 7
      - run: echo never
      - if: failure() && steps.Out.outcome == 'success' && steps.bad.outcome == 'failure'
        run: echo clean up, ${{ job.status }}, ${{ steps.never.outcome }}
`

const printed = `[a=b c] [
x=1
two] [of a step] [l1
l2]
a tool
<< $LEVEL
step of job, step of job, a=b c!, a $HOME 'b' "c"
failure success success success
softly failed
sh of a=b c job
job a=b c $LEVEL \
bin
always
clean up, failure, skipped
`

// TestScriptsDoWhatStepsDo runs the script that a job's steps become.
func TestScriptsDoWhatStepsDo(t *testing.T) {
	for _, program := range []string{"bash", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here", program)
		}
	}
	second := `  second:
    needs: first
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ needs.first.outputs.plain }} ${{ needs.first.outputs.lines }} ${{ needs.first.outputs.soft }} ${{ needs.first.result }}"
`
	r, err := actions.Convert(fstest.MapFS{".github/workflows/a.yml": {Data: []byte(steps + second)}}, project, actions.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Whole() {
		t.Errorf("%v", r.Remarks)
	}
	work := t.TempDir()
	out, err := run(t, r, "first", work)
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("it ends with %v", err)
	}
	if diff := cmp.Diff(printed, out); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	for _, name := range []string{"a b.txt", "deep/c.txt"} {
		if _, err := os.Stat(filepath.Join(work, "artifacts", "kept", name)); err != nil {
			t.Error(err)
		}
	}
	fetched := filepath.Join(work, "fetches", "needs", "first")
	if err := os.MkdirAll(fetched, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(work, "artifacts", "outputs.env"), filepath.Join(fetched, "outputs.env")); err != nil {
		t.Fatal(err)
	}
	if out, err = run(t, r, "second", work); err != nil || out != "a=b c \nx=1\ntwo failure success\n" {
		t.Errorf("the job behind it prints %q, %v", out, err)
	}
}

// inner are commands of the converter's own functions, which the log of a task does not have.
var inner = regexp.MustCompile(`_=|local|read -r|tar |shopt`)

// run runs the command of a task of the kind a, and returns what it prints.
func run(t *testing.T, r *actions.Result, name, dir string) (string, error) {
	t.Helper()
	type task struct {
		Worker struct{ Env map[string]string }
		Run    struct{ Command string }
	}
	var kind struct {
		Defaults task `yaml:"task-defaults"`
		Tasks    map[string]task
	}
	for _, f := range r.Files {
		if f.Name == "taskcluster/kinds/a/kind.yml" {
			if err := yaml.Unmarshal([]byte(f.Content), &kind); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-cx", kind.Tasks[name].Run.Command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TASK_WORKDIR="+dir, "MOZ_FETCHES_DIR="+filepath.Join(dir, "fetches"))
	for _, env := range []map[string]string{kind.Defaults.Worker.Env, kind.Tasks[name].Worker.Env} {
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "error") || inner.MatchString(line) {
			t.Errorf("%s has in its log: %s", name, line)
		}
	}
	return string(out), err
}
