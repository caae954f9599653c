package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// workflows are what a repository had at GitHub: outputs and artifacts that go from job to job, variables of three levels
// and of steps, steps that follow a failure or may fail, another language in a step, an action of the repository.
var workflows = map[string]string{
	".github/workflows/ci.yml": `name: CI
on:
  push:
    branches: ["**"]
env:
  WHO: workflow
jobs:
  build:
    runs-on: ubuntu-latest
    outputs:
      greeting: ${{ steps.say.outputs.greeting }}
      lines: ${{ steps.say.outputs.lines }}
    env:
      WHERE: job
    steps:
      - uses: actions/checkout@v4
      - id: say
        run: |
          cd /
          echo "greeting=hello from $WHO and $WHERE, ${{ github.event_name }}" >> "$GITHUB_OUTPUT"
          { echo "lines<<END"; echo one; echo two; echo END; } >> "$GITHUB_OUTPUT"
      - run: test "$(git rev-parse HEAD)" = "$GITHUB_SHA" && test -f two.go
      - run: |
          echo "LATER=a b" >> "$GITHUB_ENV"
          mkdir -p bin && printf '#!/bin/sh\necho called\n' > bin/called && chmod +x bin/called
          echo "$PWD/bin" >> "$GITHUB_PATH"
      - run: mkdir -p out/deep && called > out/deep/called && echo "$LATER" > out/later
      - uses: actions/upload-artifact@v4
        with: {name: made, path: out/}
  test:
    needs: build
    runs-on: ubuntu-latest
    strategy:
      matrix:
        part: [1, 2]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/download-artifact@v4
        with: {name: made, path: in}
      - run: test "$(cat in/deep/called)" = called && test "$(cat in/later)" = "a b"
      - run: test "${{ needs.build.outputs.greeting }}" = "hello from workflow and job, push"
      - run: test '${{ needs.build.outputs.lines }}' = "$(printf 'one\ntwo')" && test '${{ needs.build.result }}' = success
      - run: import sys; sys.exit(int(${{ matrix.part }}) > 2 or '${{ needs.build.outputs.greeting }}'[:5] != 'hello')
        shell: python3 {0}
      - id: soft
        run: exit 3
        continue-on-error: true
      - if: steps.soft.outcome != 'failure' || steps.soft.conclusion != 'success' || runner.os != 'Linux'
        run: exit 4
      - uses: ./.github/actions/check
        with: {file: in/later}
      - if: failure()
        run: touch /nonexistent/this/must/not/run
      - if: always()
        run: echo "part ${{ matrix.part }} of ${{ github.ref_name }}"
`,
	".github/actions/check/action.yml": `name: Check
inputs: {file: {required: true}}
runs:
  using: composite
  steps:
    - run: test -s "${{ inputs.file }}"
      shell: bash
`,
}

// importWorkflows brings a repository over from GitHub Actions, and sees the same done.
func importWorkflows(t *testing.T, m *machine) {
	t.Helper()
	repo := m.repo()
	git(t, repo, "checkout", "-q", "-f", "--detach", m.first)
	git(t, repo, "rm", "-q", "-r", "taskcluster", ".taskcluster.yml")
	for name, content := range workflows {
		name = filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := m.run("import", "github-actions"); code != 0 {
		t.Fatalf("exit status %d:\n%s", code, out)
	}
	revision := commit(t, repo, "Away from GitHub Actions", nil)
	git(t, repo, "branch", "imported", revision)
	if diff := cmp.Diff([]string{"ci-build", "ci-test-1", "ci-test-2"}, m.green(revision, 2*time.Minute)); diff != "" {
		t.Error(diff)
	}
}
