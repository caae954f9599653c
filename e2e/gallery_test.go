//go:build gallery

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestGallery takes the pictures of the documentation, of a real server in which a few commits have run. "make gallery"
// runs it; GALLERY names the folder.
func TestGallery(t *testing.T) {
	dir := os.Getenv("GALLERY")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := newInstance(filepath.Join(home, "gallery"), "", 2).in(t)
	m.start()
	m.first = git(t, m.repo(), "rev-parse", "HEAD")
	m.green(m.first, 3*time.Minute)
	broken := commit(t, m.repo(), "Tables: first form", brokenCase)
	list := m.resolved(broken, 3*time.Minute)
	var failed client.GroupTask
	for _, l := range list {
		if l.Status.State == "failed" {
			failed = l
		}
	}
	id, group := failed.Status.TaskID, failed.Status.TaskGroupID
	site := &uitest.Site{URL: strings.TrimSuffix(m.url("/"), "/")}
	tab := site.Tab(t)
	env := m.env()
	tab.SignIn(t, env["TASKCLUSTER_CLIENT_ID"], env["TASKCLUSTER_ACCESS_TOKEN"])
	repo := m.repoName()
	for _, p := range []struct{ name, path, shows string }{
		{"home", "/", "h1"},
		{"jobs", "/jobs?repo=" + repo + "&selectedTaskRun=" + id + ".0", ".panel .error-line, .panel .tail, .panel pre"},
		{"push", "/push/" + repo + "/" + broken, "h1"},
		{"task", "/tasks/" + id, "h1"},
		{"log", "/tasks/" + id + "/runs/0/logs/public/logs/live.log", ".ln"},
		{"timeline", "/tasks/groups/" + group + "?view=timeline", "canvas"},
		{"graph", "/tasks/groups/" + group + "?view=graph", "svg"},
		{"create", "/tasks/create?from=" + id, "h1"},
		{"try", "/config-debug?repo=" + repo, "h1"},
		{"hooks", "/hooks", "h1"},
		{"workers", "/worker-manager/local%2Fwork", "h1"},
		{"access", "/auth/explain?client=" + "static%2Ftreeline%2Fworker" + "&scope=queue:claim-work:local/work", "h1"},
	} {
		for _, look := range []struct {
			name          string
			width, height int64
			dark          bool
		}{{"light", 1280, 800, false}, {"dark", 1280, 800, true}, {"narrow", 390, 800, false}} {
			tab.Size(t, look.width, look.height)
			tab.Dark(t, look.dark)
			tab.Go(t, p.path)
			tab.Wait(t, `document.querySelector("`+p.shows+`") !== null && document.querySelector("[aria-busy=true]") === null`)
			tab.Rest(t)
			tab.Picture(t, filepath.Join(dir, p.name+"-"+look.name+".webp"))
		}
	}
}
