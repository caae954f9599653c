package app

import (
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/push"
)

const levelsYML = `version: 1
tasks:
  - $if: tasks_for == "hg-push"
    then:
      taskId: ${ownTaskId}
      taskGroupId: ${ownTaskId}
      schedulerId: acme-level-${repository.level}
      taskQueueId: built-in/decision
      created: {$fromNow: ""}
      deadline: {$fromNow: 1 day}
      expires: {$fromNow: 28 days}
      metadata: {name: "Decision of ${push.pushlog_id}", description: "${push.comment}", owner: "${push.owner}", source: "${repository.url}"}
      scopes: ["assume:${repository.role}:branch:${push.branch}"]
      payload: {root: taskcluster}
`

const levelsConfig = `trust-domain: acme
task-priority: low
workers: {aliases: {build: {provisioner: 'acme-{level}', implementation: generic-worker, os: linux, worker-type: linux}}}
taskgraph: {repositories: {mine: {name: mine}}}
`

const levelsKind = `loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
tasks:
  work:
    worker-type: build
    description: Waits for a worker that never comes.
    worker: {max-run-time: 60, command: [['true']], mounts: [{cache-name: things, directory: things}]}
    routes: [index.acme.v2.PROJECT.latest.work, index.acme.cache.level-LEVEL.things]
`

// leveled is a server that follows repositories of several levels, all of a trust domain.
type leveled struct {
	t      *testing.T
	server *App
	repos  map[string]*hgtest.Repo
	webs   map[string]*hgtest.Server
}

func newLeveled(t *testing.T) *leveled {
	return newLeveledAt(t, func(address string) string { return address })
}

// newLeveledAt is newLeveled with the repositories at other addresses than their servers'.
func newLeveledAt(t *testing.T, at func(address string) string) *leveled {
	return newLevels(t, map[string]int{"low": 1, "high": 3}, at)
}

// newLevels starts a server with an empty repository for each name.
func newLevels(t *testing.T, levels map[string]int, at func(address string) string, change ...func(*Config)) *leveled {
	t.Helper()
	l := &leveled{t: t, repos: map[string]*hgtest.Repo{}, webs: map[string]*hgtest.Server{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	l.must(err)
	dir := t.TempDir()
	secrets, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	l.must(err)
	config := Config{
		Listener: listener, RootURL: "http://" + listener.Addr().String(), DatabaseURL: pgtest.URL(t), DataDir: filepath.Join(dir, "objects"), Secrets: secrets,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for name, level := range levels {
		l.repos[name] = hgtest.Init(t, name)
		l.webs[name] = l.repos[name].Serve()
		config.Remote = append(config.Remote, Repository{Name: name, Kind: push.Mercurial, URL: at(l.webs[name].URL), Level: level, DefaultBranch: "default", Mercurial: Mercurial{TrustDomain: "acme"}})
	}
	for _, c := range change {
		c(&config)
	}
	l.server, err = Start(t.Context(), config)
	l.must(err)
	t.Cleanup(func() { l.must(l.server.Stop(t.Context())) })
	for name := range l.repos { // the first look takes what is there
		l.until(name+" is looked at", func() bool {
			list, err := l.server.hg.List(t.Context())
			l.must(err)
			return len(list) == len(levels) && !slices.ContainsFunc(list, func(r hg.Status) bool { return r.Looked == nil })
		})
	}
	return l
}

func (l *leveled) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *leveled) until(what string, is func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			l.t.Fatalf("not within a minute: %s", what)
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-l.t.Context().Done():
			l.t.Fatal(what)
		}
	}
}

// decided commits files, and returns what became of the push.
func (l *leveled) decided(name, message string, files map[string]string) push.Push {
	l.t.Helper()
	node := l.repos[name].Commit(message, files)
	// As a hint does it, so that a look that is on does not hide it; and without the tag, which is of the same second.
	_, err := l.server.pool.Exec(l.t.Context(), `UPDATE hg_repositories SET hints = hints + 1, next_look = '-infinity', etag = ''`)
	l.must(err)
	l.server.hg.Wake()
	var p push.Push
	l.until("push "+message, func() bool {
		var err error
		p, err = l.server.push.ByRevision(l.t.Context(), name, node)
		return err == nil && p.State != push.Received && p.State != push.Deciding
	})
	return p
}

func treeOf(name, level string) map[string]string {
	return map[string]string{
		".taskcluster.yml": levelsYML, "taskcluster/config.yml": levelsConfig,
		"taskcluster/kinds/work/kind.yml": strings.NewReplacer("PROJECT", name, "LEVEL", level).Replace(levelsKind),
	}
}

func TestALevelReachesOnlyWhatIsItsOwn(t *testing.T) {
	l := newLeveled(t)
	for name, level := range map[string]string{"low": "1", "high": "3"} {
		p := l.decided(name, "its own\n\nmore", treeOf(name, level))
		if p.State != push.Decided {
			t.Fatalf("%s: %s %+v", name, p.State, p.Error)
		}
		group, err := l.server.queue.ListGroup(t.Context(), p.TaskGroupID, 0, "")
		l.must(err)
		got := map[string]string{}
		for _, i := range group.Tasks {
			got[i.Task.Metadata.Name] = i.Task.TaskQueueID + " " + i.Task.SchedulerID + " " + strings.Join(i.Task.Scopes, " ")
		}
		role := "repo:" + strings.TrimPrefix(l.webs[name].URL, "http://") + ":branch:default"
		want := map[string]string{
			"Decision of 1": "built-in/decision acme-level-" + level + " assume:" + role,
			"work-work":     "acme-" + level + "/linux acme-level-" + level + " generic-worker:cache:acme-level-" + level + "-things",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if d, err := l.server.queue.Task(t.Context(), p.TaskGroupID); err != nil || d.Metadata.Description != "its own\n\nmore" || d.Metadata.Owner != "ada@example.com" {
			t.Errorf("%+v %v", d.Metadata, err)
		}
	}
	high := "repo:" + strings.TrimPrefix(l.webs["high"].URL, "http://")
	kind := treeOf("low", "1")["taskcluster/kinds/work/kind.yml"]
	for _, c := range []struct{ name, file, text, lacks string }{
		{"a pool", "taskcluster/config.yml", strings.ReplaceAll(levelsConfig, "acme-{level}", "acme-3"), "acme-3/linux"},
		{"the index of another project", "taskcluster/kinds/work/kind.yml", treeOf("high", "1")["taskcluster/kinds/work/kind.yml"], "index.acme.v2.high."},
		{"the index of caches", "taskcluster/kinds/work/kind.yml", treeOf("low", "3")["taskcluster/kinds/work/kind.yml"], "index.acme.cache.level-3."},
		{"a cache", "taskcluster/kinds/work/kind.yml", kind + "    scopes: [generic-worker:cache:acme-level-3-things]\n", "generic-worker:cache:acme-level-3-things"},
		{"a docker cache", "taskcluster/kinds/work/kind.yml", kind + "    scopes: [docker-worker:cache:acme-level-3-things]\n", "docker-worker:cache:acme-level-3-things"},
		{"a secret", "taskcluster/kinds/work/kind.yml", kind + "    scopes: [secrets:get:project/acme/level-3/key]\n", "secrets:get:project/acme/level-3/key"},
		{"a scheduler", ".taskcluster.yml", strings.ReplaceAll(levelsYML, "acme-level-${repository.level}", "acme-level-3"), "queue:scheduler-id:acme-level-3"},
		{"a pool, in .taskcluster.yml", ".taskcluster.yml", strings.ReplaceAll(levelsYML, "built-in/decision", "acme-3/linux"), "acme-3/linux"},
		{"the role of another repository", ".taskcluster.yml", strings.ReplaceAll(levelsYML, "${repository.role}", high), "assume:" + high},
	} {
		t.Run("level 1 does not reach "+c.name, func(t *testing.T) {
			files := treeOf("low", "1")
			files[c.file] = c.text
			p := l.decided("low", c.name, files)
			if p.State != push.Failed || p.Error == nil || p.Error.Code != "insufficient-scopes" || !strings.Contains(p.Error.Message+p.Error.Detail, c.lacks) {
				t.Errorf("%s %+v", p.State, p.Error)
			}
		})
	}
	t.Run("DONTBUILD makes no task but the decision", func(t *testing.T) {
		p := l.decided("low", "words only DONTBUILD", treeOf("low", "1"))
		group, err := l.server.queue.ListGroup(t.Context(), p.TaskGroupID, 0, "")
		if err != nil || p.State != push.Decided || len(group.Tasks) != 1 {
			t.Errorf("%s %+v %d tasks, %v", p.State, p.Error, len(group.Tasks), err)
		}
	})
	t.Run("a level that is lowered takes away", func(t *testing.T) {
		r, err := l.server.push.Repository(t.Context(), "high")
		l.must(err)
		r.Level = 1
		l.must(l.server.levelRoles(t.Context(), r, "acme"))
		held, err := l.server.auth.Expand(t.Context(), []string{"assume:" + high + ":branch:default"})
		l.must(err)
		if text := strings.Join(held, "\n"); strings.Contains(text, "level-3") || strings.Contains(text, "acme-3/") || !strings.Contains(text, "acme-1/") {
			t.Errorf("%s", text)
		}
	})
}
