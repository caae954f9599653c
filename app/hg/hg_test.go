package hg

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/push"
)

// fixture is a repository behind hg serve, a clone from which is pushed, and two servers that follow it.
type fixture struct {
	t       *testing.T
	pool    *pgxpool.Pool
	log     *push.Log
	repo    *hgtest.Repo // that is served
	web     *hgtest.Server
	clone   *hgtest.Repo
	servers [2]*Watch
	seen    int64             // pushes that said has shown
	names   map[string]string // of changesets
}

func newFixture(t *testing.T, pushlog bool, change func(*Repository)) *fixture {
	t.Helper()
	f := &fixture{t: t, pool: pgtest.DB(t), names: map[string]string{"": "-"}}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	f.log = push.New(f.pool, func() {}, log)
	f.repo = hgtest.Init(t, "mine")
	args := hgtest.Pushable()
	if pushlog {
		args = append(args, hgtest.Pushlog(t)...)
	}
	f.web = f.repo.Serve(args...)
	f.clone = f.web.Clone()
	reader, err := forge.Open(f.web.URL, forge.Options{})
	f.must(err)
	r := Repository{Name: "mine", URL: f.web.URL, Reader: reader, Pushlog: Auto, Bookmarks: []string{"main", "topic/*"}}
	if change != nil {
		change(&r)
	}
	f.must(f.log.Register(t.Context(), push.Repository{Name: "mine", Kind: push.Mercurial, URL: f.web.URL, Level: 1, DefaultBranch: "default"}))
	for i := range f.servers {
		f.servers[i] = New(Deps{Pool: f.pool, Push: f.log, Decide: func() {}, Repositories: []Repository{r}, Log: log})
		f.must(f.servers[i].note(t.Context()))
	}
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// look has both servers look until nothing is due, both at once.
func (f *fixture) look() {
	f.t.Helper()
	f.must(f.servers[0].hint(f.t.Context(), []string{"mine"}))
	var both sync.WaitGroup
	for _, w := range f.servers {
		both.Go(func() {
			if err := w.Round(f.t.Context()); err != nil {
				f.t.Error(err)
			}
		})
	}
	both.Wait()
}

// commit makes a changeset in the clone; name is what said calls it.
func (f *fixture) commit(name string, files ...string) {
	f.t.Helper()
	content := map[string]string{}
	for _, file := range append(files, "f-"+name) {
		content[file] = name
	}
	f.names[f.clone.Commit(name, content)] = name
}

func (f *fixture) push(args ...string) {
	f.t.Helper()
	f.clone.Push(f.web, args...)
}

// said looks, and tells of the pushes that were recorded since it was asked last.
func (f *fixture) said() []string {
	f.t.Helper()
	f.look()
	list, err := f.log.List(context.WithoutCancel(f.t.Context()), "mine", 0, 1000)
	f.must(err)
	var said []string
	for _, p := range slices.Backward(list) {
		if p.ID <= f.seen {
			continue
		}
		f.seen = p.ID
		var commits []string
		for _, c := range p.Commits {
			commits = append(commits, f.name(c.Revision))
		}
		line := fmt.Sprintf("%s: %s on %s: %s", p.Branch, f.name(p.Revision), f.name(p.Base), strings.Join(commits, " "))
		if p.State != push.Received {
			line += " " + string(p.State)
		}
		said = append(said, line)
	}
	return said
}

func (f *fixture) name(node string) string {
	if name, ok := f.names[node]; ok {
		return name
	}
	return node
}

func (f *fixture) want(want ...string) {
	f.t.Helper()
	said := f.said()
	slices.Sort(said) // heads of one second have no order
	if diff := cmp.Diff(want, said); diff != "" {
		f.t.Error(diff)
	}
}

// modes runs a test with a pushlog and without.
func modes(t *testing.T, run func(t *testing.T, f *fixture, pushlog bool)) {
	for _, pushlog := range []bool{false, true} {
		t.Run(map[bool]string{false: "without a pushlog", true: "with a pushlog"}[pushlog], func(t *testing.T) {
			t.Parallel()
			run(t, newFixture(t, pushlog, nil), pushlog)
		})
	}
}

func TestEveryPushIsRecordedOnce(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture, pushlog bool) {
		f.commit("a")
		f.push()
		f.want() // what is there at first is no push
		f.commit("b")
		f.commit("c")
		f.push()
		f.want("default: c on a: c b")
		f.want()

		t.Log("two heads in one push")
		f.commit("d")
		f.clone.Run("update", "-q", "-r", ".^")
		f.commit("e")
		f.push()
		f.want("default: d on c: d", "default: e on c: e")

		t.Log("a merge of them, after a restart")
		f.web.Stop()
		f.web.Start()
		f.clone.Run("merge", "-q")
		f.commit("m")
		f.push()
		f.want("default: m on e: m")

		t.Log("a bookmark that is new, with a changeset; then one that is moved to an old one")
		f.clone.Run("bookmark", "main")
		f.commit("n")
		f.push("-B", "main")
		f.want("main: n on m: n")
		f.clone.Run("bookmark", "-f", "-r", ".^", "topic/x")
		f.push("-r", "0", "-B", "topic/x")
		f.want("topic/x: m on e: m")
		f.clone.Run("bookmark", "-f", "-r", ".^", "ignored")
		f.push("-r", "0", "-B", "ignored")
		f.want()
		f.clone.Run("update", "-q", "-r", ".")

		t.Log("a branch with a space, and its end")
		f.clone.Run("branch", "-q", "a branch")
		f.commit("s")
		f.push()
		f.want("a branch: s on n: s")
		f.clone.Run("commit", "-q", "--close-branch", "-m", "close")
		f.names[f.clone.Tip()] = "t"
		f.push()
		f.want("a branch: t on s: t ignored")

		t.Log("UTF-8 and no message")
		f.clone.Run("update", "-q", "-r", "branch(default) and head()")
		f.names[f.clone.Commit("Änderung ☃\n\nzwei", map[string]string{"u": "1"})] = "u"
		f.clone.Run("--config", "extensions.empty="+emptyMessage(t), "commitempty")
		f.names[f.clone.Tip()] = "v"
		f.push()
		f.want("default: v on n: v u")
		p, err := f.log.Get(t.Context(), "mine", f.seen)
		f.must(err)
		if p.Message != "" || p.Commits[1].Message != "Änderung ☃\n\nzwei" {
			t.Errorf("%q %+v", p.Message, p.Commits)
		}
		if diff := cmp.Diff([]string{"empty", "u"}, p.FilesChanged); diff != "" {
			t.Error(diff)
		}
		if pushlog != (p.PushlogID > 0) || pushlog != (p.Email == "pusher@example.com") {
			t.Errorf("%+v", p)
		}
	})
}
