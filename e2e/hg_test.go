package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// hgTree is a repository whose pushes make a decision and a task.
func hgTree() map[string]string {
	return map[string]string{
		".taskcluster.yml": `version: 1
tasks:
  - taskId: ${ownTaskId}
    taskGroupId: ${ownTaskId}
    schedulerId: acme-level-${repository.level}
    taskQueueId: built-in/decision
    created: {$fromNow: ""}
    deadline: {$fromNow: 1 day}
    expires: {$fromNow: 28 days}
    metadata: {name: "Decision ${tasks_for}", description: "-", owner: "${push.owner}", source: "${repository.url}"}
    scopes: ["assume:${repository.role}:branch:${push.branch}"]
    payload: {root: taskcluster}
`,
		"taskcluster/config.yml": `trust-domain: acme
task-priority: low
workers: {aliases: {small: {provisioner: 'acme-{level}', implementation: generic-worker, os: linux, worker-type: nobody}}}
taskgraph: {repositories: {acme: {name: acme}}}
`,
		"taskcluster/kinds/work/kind.yml": `loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
tasks:
  work: {worker-type: small, description: Waits for a worker that never comes., worker: {max-run-time: 60, command: [['true']]}}
`,
	}
}

// TestMercurialPushesAreDecidedOnceWhoeverDies pushes to two Mercurial servers, one with a pushlog, while one or the
// other of two Treelines is killed all the time.
func TestMercurialPushesAreDecidedOnceWhoeverDies(t *testing.T) {
	pool := pgtest.Empty(t)
	r := &replicas{upgrade: upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}, pool: pool}
	r.db(program, "upgrade")
	r.ports, r.up = []int{freePort(t), freePort(t)}, make([]*server, 2)
	root := fmt.Sprintf("http://127.0.0.1:%d", r.ports[0])

	config := "repositories:\n"
	clones, webs := map[string]*hgtest.Repo{}, map[string]*hgtest.Server{}
	for _, name := range []string{"logged", "plain"} {
		repo := hgtest.Init(t, name)
		repo.Commit("begin", hgTree())
		args := hgtest.Pushable()
		if name == "logged" {
			args = append(args, hgtest.Pushlog(t)...)
		}
		r.hook(repo, name, root)
		webs[name] = repo.Serve(args...)
		clones[name] = webs[name].Clone()
		config += fmt.Sprintf("  - {name: %s, kind: hg, url: '%s', level: 1, poll: 5s, trust-domain: acme, bookmarks: [main], hook-secrets: ['env:HG_HOOK_SECRET']}\n", name, webs[name].URL)
	}
	file := filepath.Join(t.TempDir(), "repositories.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r.args = []string{"--claim-timeout", "20s"}
	r.env = []string{"TREELINE_REPOSITORIES=" + file, "TREELINE_ROOT_URL=" + root, "HG_HOOK_SECRET=" + hookSecret}
	t.Cleanup(func() {
		for i := range r.up {
			r.kill(i)
		}
	})
	r.startReplica(0)
	r.startReplica(1)
	r.until("the first looks", func(context.Context) error {
		if n := r.scan(`SELECT count(*) FROM hg_repositories WHERE generation = 1`); n != 2 {
			return fmt.Errorf("%d of 2", n)
		}
		return nil
	})

	stop, died := make(chan struct{}), make(chan int)
	go func() { // one is dead or coming up, the other may be at anything
		n := 0
		defer func() { died <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(1200+n*537%1500) * time.Millisecond):
			}
			_ = r.up[n%2].cmd.Process.Kill()
			<-r.up[n%2].exited
			r.startReplica(n % 2)
		}
	}()
	expected := map[string]map[string]bool{"logged": {}, "plain": {}} // all changesets that were pushed
	pushes := 0
	for i := range 4 {
		for name, clone := range clones {
			commit := func(what string) {
				expected[name][clone.Commit(fmt.Sprintf("%s %d ☃", what, i), map[string]string{fmt.Sprintf("%s-%d", what, i): name})] = true
			}
			clone.Run("update", "-q", "-C", "default")
			commit("one")
			switch i % 4 {
			case 1:
				commit("two")
			case 2: // two heads, which the next merges
				clone.Run("update", "-q", "-r", ".^")
				commit("other")
			case 3:
				clone.Run("merge", "-q", "--tool", ":local", "-r", "head() and not .")
				commit("merge")
			}
			clone.Push(webs[name])
		}
		pushes++
	}
	close(stop)
	t.Logf("servers were killed %d times", <-died)
	r.until("the server that takes hints answers", func(ctx context.Context) error {
		resp, err := http.Get(root + "/api/hg/v1/ping")
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	})
	for name, clone := range clones {
		expected[name][clone.Commit("last", map[string]string{"last": name})] = true
		clone.Push(webs[name])
	}
	pushes++

	r.until("all is decided", func(ctx context.Context) error {
		for name, all := range expected {
			rows, err := pool.Query(ctx, `SELECT DISTINCT c->>'revision' FROM pushes, jsonb_array_elements(commits) c WHERE repository = $1 AND state = 'decided'`, name)
			if err != nil {
				return err
			}
			seen, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			if len(seen) != len(all) {
				return fmt.Errorf("%s: %d of %d changesets are decided", name, len(seen), len(all))
			}
		}
		if n := r.scan(`SELECT count(*) FROM pushes WHERE state <> 'decided'`); n > 0 {
			return fmt.Errorf("%d pushes are not decided", n)
		}
		return nil
	})
	if n := r.scan(`SELECT count(DISTINCT pushlog_id) FROM pushes WHERE repository = 'logged'`); n != pushes {
		t.Errorf("%d pushes of the pushlog are recorded, of %d", n, pushes)
	}
	if n := r.scan(`SELECT count(*) FROM pushes WHERE repository = 'logged'`); n != pushes+1 { // one of them had two heads
		t.Errorf("%d heads of the pushlog are recorded, of %d", n, pushes+1)
	}
	if n := r.scan(`SELECT count(*) - count(DISTINCT (repository, revision)) FROM pushes`); n != 0 {
		t.Errorf("%d pushes are recorded twice", n)
	}
	made := r.scan(`SELECT count(*) FROM tasks`)
	if n := r.scan(`SELECT count(*) FROM pushes`); made != 2*n {
		t.Errorf("%d pushes have %d tasks, a decision and a task each", n, made)
	}
	if n := r.scan(`SELECT count(*) FROM hg_repositories WHERE hints = 0`); n != 0 {
		t.Error("no hook reached a server")
	}
	r.kill(1)
	out, err := r.command(program, "hg", "status").CombinedOutput()
	if err == nil {
		t.Errorf("without credentials the repositories are listed:\n%s", out)
	}
	list, err := r.connect(r.up[0]).WithPatience(time.Minute).HgRepositories(t.Context())
	if err != nil || len(list) != 2 || list[0].Cursor != int64(pushes) || list[1].Pushlog == nil || *list[1].Pushlog {
		t.Errorf("%+v %v", list, err)
	}
}

const hookSecret = "a-secret-of-some-length"

// hook puts the hook, as the program prints it, into a repository.
func (r *replicas) hook(repo *hgtest.Repo, name, root string) {
	r.Helper()
	dir := r.TempDir()
	script, secret := filepath.Join(dir, "hook.py"), filepath.Join(dir, "secret")
	text, err := exec.Command(program, "hg", "hook", "--script").Output()
	lines, more := exec.Command(program, "hg", "hook", "--repository", name, "--server", root, "--path", script).Output()
	hgrc := strings.ReplaceAll(string(lines), "/etc/mercurial/treeline.secret", secret)
	err = errors.Join(err, more, os.WriteFile(script, text, 0o600), os.WriteFile(secret, []byte(hookSecret), 0o600), os.WriteFile(filepath.Join(repo.Dir, ".hg", "hgrc"), []byte(hgrc), 0o600))
	if err != nil {
		r.Fatal(err)
	}
}

// startReplica starts a server, which may be killed before it answers.
func (r *replicas) startReplica(i int) {
	s := &server{out: &output{}, exited: make(chan error, 1), rootURL: fmt.Sprintf("http://127.0.0.1:%d", r.ports[i])}
	s.cmd = r.command(program, append([]string{"serve", "--listen", fmt.Sprintf("127.0.0.1:%d", r.ports[i])}, r.args...)...)
	s.cmd.Env = append(s.cmd.Env, r.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		r.Error(err)
		return
	}
	r.up[i] = s
	go func() { s.exited <- s.cmd.Wait() }()
}
