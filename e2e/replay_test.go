package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
)

// ask runs the program in the machine's repository, against its server, and returns what it printed
// and its exit code.
func (m *machine) ask(args ...string) (out string, code int) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), program, args...)
	cmd.Dir, cmd.Env = m.repo(), os.Environ()
	for key, value := range m.env() {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return printed.String(), exit.ExitCode()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return printed.String(), 0
}

// keep writes a decision's public artifacts into a new directory.
func (m *machine) keep(decision string) string {
	m.t.Helper()
	dir := m.t.TempDir()
	for a, err := range m.client.Artifacts(m.t.Context(), decision, client.LatestRun) {
		if err != nil {
			m.t.Fatal(err)
		}
		name, public := strings.CutPrefix(a.Name, "public/")
		if !public || strings.HasPrefix(name, "logs/") {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(m.artifact(decision, a.Name)), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	return dir
}

func TestADecisionIsMadeAgainFromItsArtifacts(t *testing.T) {
	m := shared(t)
	native := git(t, m.repo(), "show", m.first+":.taskcluster.yml")
	for where, config := range map[string]string{"in the server": native + "\n# to be replayed\n", "on a worker": workerDecision + "\n# to be replayed\n"} {
		t.Run(where, func(t *testing.T) {
			m := shared(t)
			revision := m.onBranch("replay/"+strings.ReplaceAll(where, " ", "-"), "Decide "+where, map[string]string{".taskcluster.yml": config})
			decision := m.outcome(revision).GroupID
			m.green(revision, 2*time.Minute)
			ids := []string{decision}
			if list, err := m.tasks(t.Context(), decision); err != nil || len(list) < 2 {
				t.Fatal(list, err)
			} else if ids = append(ids, list[1].Status.TaskID); ids[1] == decision {
				ids[1] = list[0].Status.TaskID
			}
			// The repository stands at another commit, and has the revision.
			for _, id := range ids {
				if out, code := m.ask("taskgraph", "replay", id); code != 0 || !strings.HasPrefix(out, "equal: the decision "+decision+" at "+revision) {
					t.Fatalf("replay of %s: exit %d: %s", id, code, out)
				}
			}
			dir := m.keep(decision)
			if out, code := m.ask("taskgraph", "replay", "--artifacts", dir); code != 0 || !strings.HasPrefix(out, "equal: ") {
				t.Fatalf("from a directory: exit %d: %s", code, out)
			}
			file := filepath.Join(dir, "task-graph.json")
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, bytes.Replace(content, []byte(`"build-site"`), []byte(`"build-sight"`), 1), 0o644); err != nil {
				t.Fatal(err)
			}
			out, code := m.ask("taskgraph", "replay", "--artifacts", dir)
			for _, part := range []string{"not equal: 1 of ", "task-graph.json, line ", "build-sight", "likely cause: changed after the decision", "task-graph.json"} {
				if code != 1 || !strings.Contains(out, part) {
					t.Errorf("after tampering: exit %d, %q is not in:\n%s", code, part, out)
				}
			}
			// A tree of another revision is not the one that was decided about.
			if out, code := m.ask("taskgraph", "replay", decision, "--tree", "."); code != 1 || !strings.Contains(out, "another revision") {
				t.Errorf("of another tree: exit %d: %s", code, out)
			}
		})
	}
}

func TestADecisionsRecordAnswersWhyAndWhyNot(t *testing.T) {
	m := shared(t)
	revision := m.onBranch("why/read-me", "Touch the README", map[string]string{"README.md": "# Pebble\n\nWhy, see [the index](pages/index.md).\n"})
	decision := m.outcome(revision).GroupID
	m.green(revision, 2*time.Minute)
	list, err := m.tasks(t.Context(), decision)
	if err != nil {
		t.Fatal(err)
	}
	links := ""
	for _, one := range list {
		if one.Task.Metadata.Name == "docs-links" {
			links = one.Status.TaskID
		}
	}
	for _, c := range []struct {
		program string
		args    []string
		want    []string
	}{
		{"api", []string{"taskgraph", "explainTask", links}, []string{`"label": "docs-links"`, `"outcome": "created"`, `"taskId": "` + links + `"`}},
		{"api", []string{"taskgraph", "explainTask", decision, "--query", "label=build-site"}, []string{`"outcome": "removed"`, `"if": "if one of these files changed: `}},
		{"taskgraph", []string{"why", "--task-id", links}, []string{"docs-links: runs as task " + links, "from taskcluster/kinds/docs/kind.yml:", "changed file README.md matches", "would not run if nothing changed that matches"}},
		{"taskgraph", []string{"why", "--task-id", decision, "docs-links"}, []string{"docs-links: runs as task " + links, "changed "}},
		{"taskgraph", []string{"why-not", "--task-id", decision, "build-site"}, []string{"build-site: optimized away", "none of 1 changed files matches", "would run if one of these files changed: "}},
		{"taskgraph", []string{"why-not", "--task-id", decision, "build-sight"}, []string{"build-sight: no kind makes it", "is build-site meant?"}},
		{"taskgraph", []string{"explain", "--json", "--task-id", decision}, []string{`"docs-links": {`, `"outcome": "removed"`}},
	} {
		out, code := m.ask(append([]string{c.program}, c.args...)...)
		for _, part := range c.want {
			if code != 0 || !strings.Contains(out, part) {
				t.Errorf("%v: exit %d, %q is not in:\n%.3000s", c.args, code, part, out)
			}
		}
	}
}
