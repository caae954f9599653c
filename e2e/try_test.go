package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
)

// tryConfig is what makes the branches try/… of the sample ones that say themselves what they run.
const tryConfig = "try:\n  branches: ['try/**']\n"

// jobNames gives the sample's lint tasks the names that try syntax knows jobs by.
func jobNames(kind string) string {
	return strings.Replace(kind, "attributes: {retrigger: true}", "attributes: {retrigger: true, job_try_name: sh}", 1)
}

// TestAPushToTryRunsWhatItAsksFor pushes to branches that config.yml calls try: with try syntax, with
// try_task_config.json, with neither, and with mistakes in both; decided in the server and by a worker.
func TestAPushToTryRunsWhatItAsksFor(t *testing.T) {
	for _, c := range []struct {
		name, message, file string
		worker              bool
		want                []string // tasks
		code, at            string   // of what the page says
		says                []string
	}{
		{name: "syntax", message: "Bug 1 - mend it\n\ntry: -j sh --rebuild 2", want: []string{"lint-shell"}},
		{name: "odd-syntax", message: "Bug 1\n\ntry: -j sh,py --wat", want: []string{"lint-shell"},
			code: "try-notes", at: "commit message:3", says: []string{"the option --wat is not known and left out", `no job of the graph is called "py"`}},
		{name: "bad-syntax", message: "Bug 1\n\ntry: -b", code: "bad-try", at: "commit message:3", says: []string{"try: -b needs a value behind it"}},
		{name: "file", file: `{"version": 2, "parameters": {"try_task_config": {"tasks": ["test-cases-*"], "env": {"A": "b"}}}}`,
			want: []string{"test-cases-1", "test-cases-2"}},
		{name: "odd-file", file: `{"tasks": ["lint-shell", "lint-shel"], "rebuild": 2}`, want: []string{"lint-shell", "lint-shell"},
			code: "try-notes", at: "try_task_config.json", says: []string{`there is no task "lint-shel" in the graph`, `is "lint-shell" meant?`}},
		{name: "bad-file", file: "{\n\"version\": 2,\n\"parameters\": {\"level\": \"3\"}}", code: "bad-try", at: "try_task_config.json:3", says: []string{"parameters.level cannot be set here"}},
		{name: "nothing", message: "Only the decision", want: []string{}},
		{name: "syntax-on-a-worker", message: "Bug 1\n\ntry: -j sh --wat", worker: true, want: []string{"lint-shell"},
			code: "try-notes", at: "commit message:3", says: []string{"the option --wat is not known"}},
		{name: "bad-file-on-a-worker", file: "{\n\"tasks\": 1}", worker: true, code: "bad-try", at: "try_task_config.json:2", says: []string{"tasks is 1, expected a list of strings"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := shared(t)
			show := func(file string) string { return git(t, m.repo(), "show", m.first+":"+file) + "\n" }
			files := map[string]string{
				"taskcluster/config.yml":          show("taskcluster/config.yml") + tryConfig,
				"taskcluster/kinds/lint/kind.yml": jobNames(show("taskcluster/kinds/lint/kind.yml")),
			}
			if c.file != "" {
				files["try_task_config.json"] = c.file
			}
			if c.worker {
				files[".taskcluster.yml"] = workerDecision
			}
			message := c.message
			if message == "" {
				message = "Try it"
			}
			revision := m.onBranch("try/me/"+c.name, message, files)
			p := m.outcome(revision)
			if c.code != "" {
				shown := m.errorOn(revision)
				for _, want := range append(c.says, `<code class="error-place">`+c.at+`</code>`, c.code) {
					if !strings.Contains(shown, want) {
						t.Errorf("the page does not say %q but:\n%s", want, shown)
					}
				}
				if danger := strings.HasPrefix(shown, " danger"); danger != (c.code == "bad-try") {
					t.Errorf("danger %v:\n%s", danger, shown)
				}
			} else if p.Error != nil {
				t.Errorf("the push says %+v", p.Error)
			}
			if c.want == nil {
				if p.State != push.Failed {
					t.Errorf("the push is %s", p.State)
				}
				return
			}
			if diff := cmp.Diff(c.want, m.green(revision, 2*time.Minute)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("and other branches take nothing from the file", func(t *testing.T) {
		m := shared(t)
		revision := m.onBranch("no-try", "Mend it\n\ntry: -j none", map[string]string{"try_task_config.json": `{"tasks": 1}`, "bin/pebble": git(t, m.repo(), "show", m.first+":bin/pebble") + "\n# mended\n"})
		if got := m.green(revision, 2*time.Minute); len(got) < 4 {
			t.Errorf("%v", got)
		}
	})
}
