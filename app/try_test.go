package app

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
)

// madeBy returns the names of the tasks of a push besides its decision, and the parameters of that.
func (l *leveled) madeBy(p push.Push) (names []string, parameters map[string]any) {
	l.t.Helper()
	group, err := l.server.queue.ListGroup(l.t.Context(), p.TaskGroupID, 0, "")
	l.must(err)
	for _, i := range group.Tasks {
		if i.Status.TaskID != p.TaskGroupID {
			names = append(names, i.Task.Metadata.Name)
		}
	}
	slices.Sort(names)
	_, content, err := l.server.objects.Open(l.t.Context(), queue.ObjectName(p.TaskGroupID, 0, "public/parameters.yml"))
	l.must(err)
	defer content.Close()
	text, err := io.ReadAll(content)
	l.must(err)
	l.must(yaml.Unmarshal(text, &parameters))
	return names, parameters
}

// A try repository of Mercurial runs what its pushes ask for, at its own level, whatever they ask for.
func TestAMercurialTryRunsWhatItsPushesAskFor(t *testing.T) {
	l := newLevels(t, map[string]int{"try": 1}, strings.Clone)
	tree := treeOf("try", "1")
	tree["taskcluster/kinds/work/kind.yml"] += "    attributes: {job_try_name: work, run_on_projects: [all]}\n"
	with := func(message, file string) map[string]string {
		out := map[string]string{"try_task_config.json": file, "note": message}
		for name, text := range tree {
			out[name] = text
		}
		return out
	}
	const none = `{"version": 1, "tasks": []}`
	for _, c := range []struct {
		message, file, want, code, at string
	}{
		{"nothing", none, "", "", ""},
		{"Bug 1\n\ntry: -j work", none, "work-work", "try-notes", "try_task_config.json:0"},
		{"by file", `{"tasks": ["work-work"], "rebuild": 2}`, "work-work work-work", "", ""},
		{"by file, a level that is not its own", `{"version": 2, "parameters": {"level": "3"}}`, "", "bad-try", "try_task_config.json:1"},
		{"Bug 2\ntry: -p linux --rebuild x", none, "", "bad-try", "commit message:2"},
	} {
		t.Run(c.message, func(t *testing.T) {
			p := l.decided("try", c.message, with(c.message, c.file))
			code, at := "", ""
			if p.Error != nil {
				code, at = p.Error.Code, fmt.Sprintf("%s:%d", p.Error.File, p.Error.Line)
			}
			if diff := cmp.Diff([]string{c.code, c.at}, []string{code, at}); diff != "" {
				t.Fatalf("%+v: %s", p.Error, diff)
			}
			if c.code == "bad-try" {
				return
			}
			names, parameters := l.madeBy(p)
			if diff := cmp.Diff(c.want, strings.Join(names, " ")); diff != "" || parameters["level"] != "1" || parameters["project"] != "try" || parameters["target_tasks_method"] != "try_tasks" {
				t.Errorf("%s %v", diff, parameters)
			}
		})
	}
}

// Branches that the operator calls try have level 1, in .taskcluster.yml and in the decision; the others
// have their repository's.
func TestBranchesThatTheOperatorCallsTryHaveLevelOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pebble")
	if _, err := sample.Create(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	l := newLevels(t, nil, strings.Clone, func(c *Config) {
		c.Repositories = []LocalRepository{{Name: "pebble", Path: dir}}
		c.Remote = append(c.Remote, Repository{Name: "pebble", TryBranches: []string{"try/**"}})
	})
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for branch, want := range map[string]string{"try/me/one": "1 try_tasks pebble-level-1", "later": "3 default pebble-level-3"} {
		git("checkout", "-q", "-b", branch, "main")
		git("commit", "-q", "--allow-empty", "-m", "On "+branch)
		head := git("rev-parse", "HEAD")
		var p push.Push
		l.until("the push of "+branch, func() bool {
			var err error
			p, err = l.server.push.ByRevision(t.Context(), "pebble", head)
			return err == nil && p.State != push.Received && p.State != push.Deciding
		})
		if p.State != push.Decided {
			t.Fatalf("%s: %s %+v", branch, p.State, p.Error)
		}
		_, parameters := l.madeBy(p)
		d, err := l.server.queue.Task(t.Context(), p.TaskGroupID)
		l.must(err)
		if got := strings.Join([]string{parameters["level"].(string), parameters["target_tasks_method"].(string), d.SchedulerID}, " "); got != want {
			t.Errorf("%s: %s, want %s", branch, got, want)
		}
	}
}
