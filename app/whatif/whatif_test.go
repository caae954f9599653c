package whatif_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/app/whatif"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/ui/debug"
	"github.com/treeline-ci/treeline/ui/prose"
)

var update = flag.Bool("update", false, "write testdata/events.golden")

// bench is a laboratory with the sample project, once as a local repository and once as if it were at GitHub.
type bench struct {
	*whatif.Lab
	repo *localgit.Repo
	head string
	log  *push.Log
}

const hub, hubRole = "garden-pebble", "repo:github.com/garden/pebble"

func newBench(t *testing.T, change func(*whatif.Lab)) *bench {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pebble")
	if _, err := sample.Create(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	repo, err := localgit.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	pool := pgtest.DB(t)
	record := push.New(pool, func() {}, slog.New(slog.DiscardHandler))
	for _, r := range []push.Repository{
		{Name: "pebble", Kind: push.LocalGit, URL: "https://tc.example.com/git/pebble", Path: dir, Level: 3, DefaultBranch: "main"},
		{Name: hub, Kind: push.GitHub, URL: "https://github.com/garden/pebble.git", Level: 3, DefaultBranch: "main"},
	} {
		if err := record.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	heads, err := repo.Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forge := intake.LocalForge(repo)
	l := whatif.Lab{
		Push: record, Pool: pool, RootURL: "https://tc.example.com",
		Open: func(context.Context, push.Repository) (intake.Forge, error) { return forge, nil },
		At: func(ctx context.Context, _ push.Repository, revision string) (intake.Tree, error) {
			return forge.Tree(ctx, revision)
		},
		Expand: func(_ context.Context, scopes []string) ([]string, error) {
			if strings.HasPrefix(scopes[0], "assume:repo:local/") {
				return append(scopes, "*"), nil
			}
			return append(scopes, "trusted-by:"+scopes[0]), nil
		},
	}
	if change != nil {
		change(&l)
	}
	return &bench{Lab: whatif.New(l), repo: repo, head: heads["main"], log: record}
}

func (b *bench) try(t *testing.T, r debug.Request) debug.Outcome {
	t.Helper()
	o, err := b.Try(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// fixtures are 40 events, by name.
func fixtures() map[string]templates.Event {
	now := time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)
	all := map[string]templates.Event{}
	add := func(name, tasksFor string, body map[string]any) {
		all[name] = templates.Event{TasksFor: tasksFor, Event: body, RootURL: "https://tc.example.com", Now: now, Seed: "what-if " + name}
	}
	person := map[string]any{"login": "ada"}
	repository := map[string]any{"name": "pebble", "clone_url": "https://github.com/garden/pebble.git", "default_branch": "main", "owner": person}
	pushTo := func(ref, message string, commits int) map[string]any {
		list := []any{}
		for i := range commits {
			list = append(list, map[string]any{"id": fmt.Sprint(i), "message": fmt.Sprintf("part %d", i), "added": []any{fmt.Sprintf("f%d", i)}})
		}
		return map[string]any{"ref": ref, "before": "b", "after": "a", "repository": repository, "sender": person, "pusher": map[string]any{"name": "ada", "email": "ada@example.com"}, "commits": list, "head_commit": map[string]any{"id": "a", "message": message}}
	}
	for _, branch := range []string{"main", "next", "release/1.0", "users/ada/x", "try"} {
		add("push "+branch, "github-push", pushTo("refs/heads/"+branch, "Change", 2))
	}
	for i := range 5 {
		add(fmt.Sprintf("push of %d commits", i), "github-push", pushTo("refs/heads/main", "Change", i))
	}
	for _, message := range []string{"[ci only docs]", "{$eval: x}", "näme with ünicode ☃", "multi\nline\n\nbody", `"quoted" 'text'`} {
		add("push with message "+message[:4], "github-push", pushTo("refs/heads/main", message, 1))
	}
	for _, tag := range []string{"v1", "v2.0-rc1", "nightly"} {
		add("tag "+tag, "github-push", pushTo("refs/tags/"+tag, "Tag", 0))
	}
	for _, action := range []string{"opened", "reopened", "synchronize", "assigned", "closed", "labeled"} {
		for _, tasksFor := range []string{"github-pull-request", "github-pull-request-untrusted"} {
			add(tasksFor+" "+action, tasksFor, map[string]any{"action": action, "number": 7.0, "repository": repository, "sender": person, "pull_request": map[string]any{
				"number": 7.0, "title": "Change", "draft": action == "labeled", "user": person,
				"base": map[string]any{"ref": "main", "sha": "b", "repo": repository}, "head": map[string]any{"ref": "change", "sha": "h", "repo": map[string]any{"clone_url": "https://github.com/ada/pebble.git"}},
			}})
		}
	}
	for _, comment := range []string{"try", "try --all", "help"} {
		add("comment "+comment, "github-issue-comment", map[string]any{"action": "created", "taskcluster_comment": comment, "repository": repository, "sender": person, "issue": map[string]any{"number": 7.0}})
	}
	for _, action := range []string{"published", "created", "edited"} {
		for _, pre := range []bool{true, false} {
			add(fmt.Sprintf("release %s %v", action, pre), "github-release", map[string]any{"action": action, "repository": repository, "sender": person, "release": map[string]any{"tag_name": "v1", "prerelease": pre, "target_commitish": "main"}})
		}
	}
	add("push without commits list", "github-push", map[string]any{"ref": "refs/heads/main", "after": "a", "repository": repository, "sender": person})
	return all
}

// C3.
func TestRendersAsTheServiceDoes(t *testing.T) {
	b := newBench(t, nil)
	source, err := os.ReadFile("testdata/events.yml")
	if err != nil {
		t.Fatal(err)
	}
	file, err := templates.Parse(source, ".taskcluster.yml")
	if err != nil {
		t.Fatal(err)
	}
	events := fixtures()
	if len(events) != 40 {
		t.Fatalf("%d fixtures", len(events))
	}
	var summary strings.Builder
	for _, name := range sorted(events) {
		e := events[name]
		body, err := json.Marshal(e.Event)
		if err != nil {
			t.Fatal(err)
		}
		// The moment and the seed are the page's; both sides get the same.
		shown, err := b.Event(t.Context(), hub, "", "new/github-push")
		if err != nil {
			t.Fatal(err)
		}
		o := b.try(t, debug.Request{Repository: hub, Occasion: "new/github-push", Event: string(body), TasksFor: e.TasksFor, Files: map[string]string{".taskcluster.yml": string(source)}})
		e.Seed, e.OwnTaskID, e.Context = shown.Seed, shown.Own, map[string]any{"ownTaskId": shown.Own}
		fmt.Fprintf(&summary, "%s:", name)
		want, err := file.Render(e)
		if err != nil {
			if len(o.Mistakes) != 1 || !strings.Contains(err.Error(), strings.TrimSuffix(strings.Split(o.Mistakes[0].Message, " (at ")[0], ".")) {
				t.Errorf("%s: the service says %v, the page %+v", name, err, o.Mistakes)
			}
			fmt.Fprintf(&summary, " line %d: %s\n", o.Mistakes[0].Line, o.Mistakes[0].Message)
			continue
		}
		if len(want) != len(o.Tasks) {
			t.Errorf("%s: the service makes %d tasks, the page shows %d (%+v)", name, len(want), len(o.Tasks), o.Mistakes)
			continue
		}
		for i, task := range want {
			text, err := prose.YAML(task.Definition)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(timeless(text), timeless(o.Tasks[i].Definition)); diff != "" || o.Tasks[i].ID != task.ID {
				t.Errorf("%s, %s against %s: %s", name, task.ID, o.Tasks[i].ID, diff)
			}
			fmt.Fprintf(&summary, " %q", task.Definition.Metadata.Name)
		}
		summary.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile("testdata/events.golden", []byte(summary.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile("testdata/events.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), summary.String()); diff != "" {
		t.Error(diff)
	}
}

func sorted(m map[string]templates.Event) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// timeless takes the moments out, which are now.
func timeless(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		for _, key := range []string{"created:", "deadline:", "expires:"} {
			if strings.HasPrefix(strings.TrimSpace(line), key) {
				line = key + "\n"
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// C4.
func TestAnUntrustedPullRequestHasNoTrustedScope(t *testing.T) {
	b := newBench(t, nil)
	trusted := b.try(t, debug.Request{Repository: hub, Occasion: "new/github-pull-request"})
	stranger := b.try(t, debug.Request{Repository: hub, Occasion: "new/github-pull-request-untrusted"})
	if trusted.Role != hubRole+":pull-request" || stranger.Role != hubRole+":pull-request-untrusted" {
		t.Errorf("%s, %s", trusted.Role, stranger.Role)
	}
	for _, s := range stranger.Scopes {
		if !strings.Contains(s, ":pull-request-untrusted") {
			t.Errorf("the stranger's task would have %s", s)
		}
	}
	if !strings.Contains(stranger.Parameters, "level: \"1\"") && stranger.Graph != nil {
		t.Error(stranger.Parameters)
	}
	t.Run("an edited event widens nothing", func(t *testing.T) {
		body := `{"ref": "refs/heads/main", "pull_request": {"head": {"ref": "main"}, "base": {"ref": "main"}}}`
		o := b.try(t, debug.Request{Repository: hub, Occasion: "new/github-pull-request-untrusted", Event: body})
		if o.Role != stranger.Role {
			t.Errorf("%s", o.Role)
		}
	})
}

func TestTheGraphOfAnEditedTree(t *testing.T) {
	b := newBench(t, nil)
	plain := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push"})
	if plain.Graph == nil || len(plain.Graph.Kinds) < 4 || len(plain.Changes) != 0 || len(plain.Mistakes) != 0 {
		t.Fatalf("%+v", plain.Mistakes)
	}
	kind, err := b.File(t.Context(), "pebble", "", "taskcluster/kinds/lint/kind.yml")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	o := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push", Files: map[string]string{"taskcluster/kinds/lint/kind.yml": strings.Replace(kind, "description: Parses", "description: Reads", 1)}})
	t.Logf("an edited kind is tried in %v", time.Since(began).Round(time.Millisecond))
	if len(o.Changes) == 0 || o.Changes[0].Kind != "changed" || !strings.Contains(o.Changes[0].Labels, "lint") {
		t.Errorf("%+v %+v", o.Changes, o.Mistakes)
	}
	t.Run("every task says why", func(t *testing.T) {
		for _, l := range o.Graph.Labels {
			if l.Because == "" {
				t.Errorf("%s says nothing", l.Label)
			}
		}
	})
	t.Run("one task says all", func(t *testing.T) {
		o := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push", Why: o.Graph.Labels[0].Label})
		if !strings.Contains(o.Graph.Why, o.Graph.WhyOf) || o.Graph.WhyOf == "" {
			t.Errorf("%q", o.Graph.Why)
		}
	})
	t.Run("a fault has its line", func(t *testing.T) {
		o := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push", Files: map[string]string{"taskcluster/kinds/lint/kind.yml": kind + "\ntasks: []\n"}})
		if len(o.Mistakes) == 0 || o.Mistakes[0].File != "taskcluster/kinds/lint/kind.yml" {
			t.Errorf("%+v", o.Mistakes)
		}
	})
	t.Run("a new kind", func(t *testing.T) {
		o := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push", Files: map[string]string{"taskcluster/kinds/more/kind.yml": strings.ReplaceAll(strings.ReplaceAll(kind, "lint", "more"), "symbol: sh", "symbol: mo")}})
		if !slices.ContainsFunc(o.Changes, func(c debug.Change) bool { return c.Kind == "added" && strings.Contains(c.Labels, "more") }) {
			t.Errorf("%+v %+v", o.Changes, o.Mistakes)
		}
	})
	t.Run("other parameters", func(t *testing.T) {
		o := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push", Parameters: "level: '2'\n"})
		if !strings.Contains(o.Parameters, "level: \"2\"") && !strings.Contains(o.Parameters, "level: '2'") {
			t.Error(o.Parameters, o.Mistakes)
		}
	})
}

func TestAPushThatWasMade(t *testing.T) {
	b := newBench(t, nil)
	p, _, err := b.log.Record(t.Context(), push.Push{Repository: "pebble", Branch: "main", Revision: b.head, Author: "Ada", Email: "ada@example.com", Message: "Begin"}, "")
	if err != nil {
		t.Fatal(err)
	}
	found, err := b.Bench(t.Context(), "pebble", "")
	if err != nil || found.Occasions[0].ID != "push/1" || !found.Occasions[0].Real || !slices.Contains(found.Files, "taskcluster/config.yml") {
		t.Fatalf("%+v %v", found, err)
	}
	o := b.try(t, debug.Request{Repository: "pebble", Occasion: "push/1"})
	if len(o.Tasks) != 1 || o.Tasks[0].ID != intake.DecisionTaskID(p) || o.Role != "repo:local/pebble:branch:main" {
		t.Errorf("%+v", o)
	}
}

// What is tried is bounded, whatever it asks for.
func TestHostileConfigurations(t *testing.T) {
	b := newBench(t, func(l *whatif.Lab) { l.Limit, l.Memory = 2*time.Second, 256<<20 })
	deep := "version: 1\ntasks:\n  $map: {$eval: 'range(0, 100000)'}\n  each(a):\n    $map: {$eval: 'range(0, 100000)'}\n    each(b): {taskId: x}\n"
	aliases := "version: 1\na: &a [x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		aliases += fmt.Sprintf("b%d: &b%d [*%s, *%s, *%s, *%s, *%s, *%s, *%s, *%s]\n", i, i, prev(i), prev(i), prev(i), prev(i), prev(i), prev(i), prev(i), prev(i))
	}
	star := "def more(config, tasks):\n    out = []\n    for i in range(1000000000):\n        out.append('x' * 1000 + str(i))\n    return out\n"
	config, err := b.File(t.Context(), "pebble", "", "taskcluster/kinds/lint/kind.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string]string{
		"a template of a galaxy": {".taskcluster.yml": deep},
		"aliases of aliases":     {".taskcluster.yml": aliases},
		"starlark without end":   {"taskcluster/pebble.star": star, "taskcluster/kinds/lint/kind.yml": config},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			o := b.try(t, debug.Request{Repository: "pebble", Occasion: "new/git-push", Files: files})
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(o.Mistakes) == 0 && o.Beyond == "" {
				t.Errorf("nobody complains: %+v", o.Tasks)
			}
		})
	}
}

func prev(i int) string {
	if i == 0 {
		return "a"
	}
	return fmt.Sprintf("b%d", i-1)
}

func TestStatements(t *testing.T) {
	pool := pgtest.DB(t)
	for _, s := range whatif.Statements() {
		if _, err := pool.Exec(t.Context(), "PREPARE "+strings.ReplaceAll(s.Name, ".", "_")+" AS "+s.Text); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

func TestQuickstart(t *testing.T) {
	b := newBench(t, nil)
	for repository, occasions := range map[string][]string{
		"pebble": {"git-push", "cron"}, hub: {"github-push", "github-pull-request", "github-pull-request-untrusted", "cron"},
	} {
		s, err := b.Starter(t.Context(), repository)
		if err != nil || len(s.Files) < 2 || !slices.Contains(s.There, ".taskcluster.yml") {
			t.Fatalf("%s: %+v %v", repository, s, err)
		}
		files := map[string]string{}
		for _, f := range s.Files {
			files[f.Name] = f.Content
		}
		for _, o := range occasions {
			// The kinds that are there do not go with its config.yml, and roles are not its business.
			if got := b.try(t, debug.Request{Repository: repository, Occasion: "new/" + o, Files: files}); len(got.Tasks) != 1 {
				t.Errorf("%s: on %s the quickstart's configuration makes %d tasks: %+v", repository, o, len(got.Tasks), got.Mistakes)
			}
		}
	}
	s, err := b.Starter(t.Context(), hub)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.try(t, debug.Request{Repository: hub, Occasion: "new/github-tag", Files: map[string]string{".taskcluster.yml": s.Files[0].Content}}); len(got.Tasks) != 0 {
		t.Errorf("a tag makes %+v", got.Tasks)
	}
}
