package hg

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/push"
)

func TestStripsAreNoPushes(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture, pushlog bool) {
		f.commit("a")
		f.commit("b")
		f.push()
		f.want()
		f.commit("c")
		f.commit("d")
		f.push()
		f.want("default: d on b: d c")
		strip := func(revset string) { f.repo.Run("--config", "extensions.strip=", "strip", "-q", "--no-backup", revset) }

		t.Log("the tip is stripped: an old changeset is the head again")
		strip("tip")
		f.want()

		t.Log("stripped, and something else is pushed in its place before anybody looks")
		strip("tip")
		f.clone.Run("update", "-q", "-r", f.node("b"))
		f.commit("e")
		f.push("-r", ".")
		f.want("default: e on b: e")

		t.Log("a push next to another that is stripped")
		f.clone.Run("update", "-q", "-r", f.node("b"))
		f.commit("g")
		f.push("-r", ".")
		f.want("default: g on b: g")
		strip(f.node("e"))
		f.clone.Run("update", "-q", "-r", f.node("g"))
		f.commit("h")
		f.push("-r", ".")
		f.want("default: h on g: h")
	})
}

func (f *fixture) node(name string) string {
	for node, n := range f.names {
		if n == name {
			return node
		}
	}
	f.t.Fatalf("no changeset %s", name)
	return ""
}

func TestARepositoryThatIsMadeAnewIsTakenAsItIs(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture, pushlog bool) {
		for i := range 4 {
			f.commit(fmt.Sprint("old", i))
			f.push()
		}
		f.want()
		dir := filepath.Join(f.repo.Dir, ".hg")
		f.web.Stop()
		f.must(os.RemoveAll(dir))
		f.repo.Run("init")
		f.web.Start()
		f.clone = f.web.Clone()
		f.commit("new")
		f.push()
		if pushlog {
			for range lagLooks - 1 { // it may be a machine that lags behind
				f.want()
			}
		}
		f.want()
		f.commit("next")
		f.push()
		f.want("default: next on new: next")
		var generation int
		f.must(f.pool.QueryRow(t.Context(), `SELECT generation FROM hg_repositories`).Scan(&generation))
		if generation != 2 {
			t.Errorf("generation %d", generation)
		}
	})
}

// TestADayWithoutLooks has pushes come while no server looks, and others while the Mercurial server is away.
func TestADayWithoutLooks(t *testing.T) {
	t.Run("with a pushlog each push is decided", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, true, nil)
		f.want()
		const count = 130 // more than two pages
		f.repo.Run("debugbuilddag", fmt.Sprintf("+%d", 2*count))
		nodes := strings.Fields(f.repo.Run("log", "-r", "all()", "-T", "{node}\n"))
		day := time.Now().Add(-24 * time.Hour).Unix()
		f.writeLog(0, func(i int) ([]string, int64) {
			if i == count {
				return nil, 0
			}
			return nodes[2*i : 2*i+2], day + int64(i)*600
		})
		f.look()
		list, err := f.log.List(t.Context(), "mine", 0, 1000)
		f.must(err)
		if len(list) != count {
			t.Fatalf("%d pushes", len(list))
		}
		for i, p := range list { // newest first
			at := count - 1 - i
			if p.PushlogID != int64(at+1) || p.Revision != nodes[2*at+1] || len(p.Commits) != 2 || p.Time.Unix() != day+int64(at)*600 || p.State != push.Received {
				t.Fatalf("push %d: %+v", at, p)
			}
			if at > 0 && p.Base != nodes[2*at-1] {
				t.Errorf("push %d is on %s", at, p.Base)
			}
		}
		f.look()
		if again, err := f.log.List(t.Context(), "mine", 0, 1000); err != nil || len(again) != count {
			t.Errorf("%d pushes, %v", len(again), err)
		}

		t.Log("a machine that lags behind is asked, and then the others again")
		log := filepath.Join(f.repo.Dir, ".hg", "pushlog-test")
		text, err := os.ReadFile(log)
		f.must(err)
		lines := strings.SplitAfter(string(text), "\n")
		f.must(os.WriteFile(log, []byte(strings.Join(lines[:count-5], "")), 0o600))
		for range lagLooks - 1 {
			f.look()
		}
		f.must(os.WriteFile(log, text, 0o600))
		f.look()
		if again, err := f.log.List(t.Context(), "mine", 0, 1000); err != nil || len(again) != count {
			t.Errorf("%d pushes, %v", len(again), err)
		}
	})
	t.Run("without one what each head gained is a push", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, false, nil)
		f.commit("a")
		f.push()
		f.want()
		f.commit("b")
		f.push()
		f.commit("c")
		f.push()
		f.clone.Run("update", "-q", "-r", f.node("a"))
		f.clone.Run("branch", "-q", "other")
		f.commit("o")
		f.push()
		f.commit("p")
		f.push()
		f.want("default: c on a: c b", "other: p on a: p o")
	})
	t.Run("a server that is away is waited for", func(t *testing.T) {
		modes(t, func(t *testing.T, f *fixture, _ bool) {
			f.commit("a")
			f.push()
			f.want()
			f.web.Stop()
			f.want()
			status, err := f.servers[0].List(t.Context())
			f.must(err)
			if status[0].Failures == 0 || !strings.Contains(status[0].Error, "does not answer") || status[0].Next == nil {
				t.Errorf("%+v", status[0])
			}
			f.web.Start()
			f.commit("b")
			f.push()
			for _, w := range f.servers { // they are patient with it; time passes
				w.repos["mine"].host.said(time.Now(), true)
			}
			f.want("default: b on a: b")
			if status, err = f.servers[0].List(t.Context()); err != nil || status[0].Failures != 0 || status[0].Error != "" {
				t.Errorf("%+v %v", status[0], err)
			}
		})
	})
}

// writeLog writes a pushlog: each gives the changesets of a push and its date, until there are none.
func (f *fixture) writeLog(after int, each func(i int) ([]string, int64)) {
	f.t.Helper()
	var text strings.Builder
	for i := 0; ; i++ {
		nodes, date := each(i)
		if nodes == nil {
			break
		}
		line, err := json.Marshal(map[string]any{"id": after + i + 1, "user": "ada", "date": date, "nodes": nodes})
		f.must(err)
		text.Write(append(line, '\n'))
	}
	f.must(os.WriteFile(filepath.Join(f.repo.Dir, ".hg", "pushlog-test"), []byte(text.String()), 0o600))
}

func TestManyHeads(t *testing.T) {
	modes(t, func(t *testing.T, f *fixture, _ bool) {
		f.commit("a")
		f.push()
		f.want()
		var want []string
		for line := range strings.Lines(f.clone.Run("--config", "extensions.empty="+emptyMessage(t), "commitheads", "30")) {
			node, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			f.names[node] = name
			want = append(want, fmt.Sprintf("default: %s on a: %s", name, name))
		}
		f.push()
		f.want(want...)
		f.want()
	})
}

func TestWhatIsThereAtFirstMayBeDecided(t *testing.T) {
	for _, pushlog := range []bool{false, true} {
		f := newFixture(t, pushlog, func(r *Repository) { r.Backfill, r.Branches = 1, []string{"def*"} })
		f.commit("a")
		f.push()
		f.clone.Run("branch", "-q", "other")
		f.commit("o")
		f.clone.Run("update", "-q", "default")
		f.commit("b")
		f.push("-r", f.node("o"))
		f.push()
		f.want("default: b on a: b")
		f.clone.Run("update", "-q", "other")
		f.commit("p")
		f.push()
		f.want()
	}
}

// TestARepositoryGetsAPushlog has it followed by its heads until the server keeps a pushlog.
func TestARepositoryGetsAPushlog(t *testing.T) {
	t.Parallel()
	f := newFixture(t, true, func(r *Repository) { r.Pushlog = No })
	f.commit("a")
	f.push()
	f.want()
	f.commit("b")
	f.push()
	f.want("default: b on a: b")
	f.commit("c")
	f.push()
	for _, w := range f.servers {
		w.repos["mine"].Pushlog = Yes
	}
	f.want("default: c on b: c")
	p, err := f.log.Get(t.Context(), "mine", f.seen)
	f.must(err)
	if p.PushlogID != 3 {
		t.Errorf("%+v", p)
	}
	f.commit("d")
	f.push()
	f.want("default: d on c: d")
}
