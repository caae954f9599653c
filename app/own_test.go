package app_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
)

// ownFiles are those of this repository by which Treeline decides about itself.
func ownFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, at := range []string{".taskcluster.yml", ".cron.yml", "taskcluster"} {
		err := filepath.WalkDir(filepath.Join("..", at), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			files[strings.TrimPrefix(filepath.ToSlash(name), "../")] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// own is a server that watches a repository with this one's files, and what its decisions made.
type own struct {
	t      *testing.T
	dir    string
	client *client.Client
	known  map[string]bool // groups
}

func (o *own) git(args ...string) {
	o.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C", o.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func (o *own) commit(files map[string]string) {
	o.t.Helper()
	for name, text := range files {
		to := filepath.Join(o.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			o.t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			o.t.Fatal(err)
		}
	}
	o.git("add", "-A")
	o.git("commit", "-qm", "a change")
}

// decided waits for the next group's decision to end well, and returns the names of the tasks that it made.
func (o *own) decided() []string {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	state := "there is none"
	for ; ; <-time.After(50 * time.Millisecond) {
		if ctx.Err() != nil {
			o.t.Fatalf("not within a minute: a decision; %s", state)
		}
		for g, err := range o.client.Groups(ctx) {
			if err != nil {
				o.t.Fatal(err)
			}
			if o.known[g.TaskGroupID] {
				continue
			}
			var names []string
			for one, err := range o.client.GroupTasks(ctx, g.TaskGroupID) {
				if err != nil {
					o.t.Fatal(err)
				}
				if one.Status.TaskID == g.TaskGroupID {
					state = string(one.Status.State)
				} else {
					names = append(names, one.Task.Metadata.Name)
				}
			}
			switch state {
			case "failed", "exception":
				o.t.Fatalf("the decision is %s", state)
			case "completed":
				o.known[g.TaskGroupID] = true
				slices.Sort(names)
				return names
			}
		}
	}
}

// Treeline decides about itself: what a push of this repository needs, and what its nightly runs.
func TestTreelineDecidesAboutItself(t *testing.T) {
	o := &own{t: t, dir: filepath.Join(t.TempDir(), "treeline"), known: map[string]bool{}}
	if err := os.Mkdir(o.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	files := ownFiles(t)
	o.git("init", "-q", "-b", "main")
	o.commit(files)
	s := apptest.Start(t, func(c *app.Config) { c.Repositories = []app.LocalRepository{{Name: "treeline", Path: o.dir}} })
	var err error
	if o.client, err = client.New(client.Config{RootURL: s.URL, Credentials: s.Root}); err != nil {
		t.Fatal(err)
	}
	kinds := map[string][]string{"push": {}, "nightly": {}}
	item := regexp.MustCompile(`(?m)^  ([a-z]+):\n    description:`)
	for name, text := range files {
		if path.Base(name) != "kind.yml" {
			continue
		}
		kind, into := path.Base(path.Dir(name)), "push"
		if kind == "nightly" {
			into = "nightly"
		}
		for _, m := range item.FindAllStringSubmatch(text, -1) {
			kinds[into] = append(kinds[into], kind+"-"+m[1])
		}
	}
	for _, names := range kinds {
		slices.Sort(names)
	}
	if diff := cmp.Diff(kinds["push"], o.decided()); diff != "" || len(kinds["push"]) < 10 {
		t.Errorf("the first push makes other tasks than there are: %s", diff)
	}
	o.commit(map[string]string{"docs/README.md": "# New words\n"})
	if diff := cmp.Diff([]string{"docs-links"}, o.decided()); diff != "" {
		t.Errorf("a change of a page: %s", diff)
	}
	o.commit(map[string]string{"triage/triage.go": "package triage\n"})
	if diff := cmp.Diff([]string{"build-linux", "lint-go", "test-rooms"}, o.decided()); diff != "" {
		t.Errorf("a change of a room: %s", diff)
	}
	if _, err := o.client.RunCron(t.Context(), "treeline", "nightly", "", "by hand", nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kinds["nightly"], o.decided()); diff != "" {
		t.Errorf("the nightly: %s", diff)
	}
}

// Each folder with tests is of a task of a push, and the nightly runs targets of the Makefile that there are.
func TestTreelineLeavesNoTestOut(t *testing.T) {
	var patterns []string
	for name, text := range ownFiles(t) {
		if path.Base(name) != "kind.yml" {
			continue
		}
		for _, m := range regexp.MustCompile(`\./([a-z0-9/]+?)(/\.\.\.)?(?:[ )\n]|$)`).FindAllStringSubmatch(text, -1) {
			patterns = append(patterns, "^"+m[1]+map[bool]string{true: "(/|$)", false: "$"}[m[2] != ""])
		}
		makefile, err := os.ReadFile("../Makefile")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bmake ([a-z-]+)`).FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s: the Makefile has no %s", name, m[1])
			}
		}
	}
	all := regexp.MustCompile(strings.Join(patterns, "|"))
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && (base == "node_modules" || base == "testdata" || base != ".." && strings.HasPrefix(base, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != ".." {
				return filepath.SkipDir // a module of its own
			}
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "../")
		if !strings.HasSuffix(base, "_test.go") || dir == ".." {
			return nil
		}
		if !seen[dir] && !all.MatchString(dir) {
			t.Errorf("no task of a push tests %s: add it to taskcluster/kinds/test/kind.yml", dir)
		}
		seen[dir] = true
		return nil
	})
	if err != nil || len(seen) < 100 {
		t.Errorf("%d folders: %v", len(seen), err)
	}
}
