package debug_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// house is a whole server that watches the sample project.
func house(t *testing.T) *uitest.Site {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "pebble")
	if _, err := sample.Create(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	server := apptest.Start(t, func(c *app.Config) {
		c.Repositories = []app.LocalRepository{{Path: repo}}
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.StaticClients = []auth.StaticClient{{ClientID: uitest.Admin, AccessToken: uitest.AdminToken, Scopes: []string{"*"}}}
	})
	return &uitest.Site{URL: server.URL}
}

func TestConfigurationsAreTried(t *testing.T) {
	s := house(t)
	tab := s.Tab(t)
	t.Run("only who may read the repository sees it", func(t *testing.T) {
		tab.Expect("403")
		tab.Go(t, "/config-debug?repo=pebble")
		if text := tab.Text(t, "main"); !strings.Contains(text, "localgit:fetch:pebble") {
			t.Error(text)
		}
	})
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	t.Run("a push, and the file as it is", func(t *testing.T) {
		tab.Go(t, "/tcyaml-debug?repo=pebble")
		tab.Wait(t, `location.pathname === "/config-debug" && document.body.dataset.tried !== undefined`)
		if text := tab.Text(t, "#tasks"); !strings.Contains(text, "Decision task") || !strings.Contains(text, "repo:local/pebble:branch:main") {
			t.Error(text)
		}
		if n := tab.Count(t, "#graph .kind-graph rect"); n < 4 {
			t.Errorf("%d kinds", n)
		}
		if text := tab.Text(t, "#changes"); !strings.Contains(text, "Nothing differs") {
			t.Error(text)
		}
		tab.Inspect(t, "debug")
	})
	t.Run("an edited kind shows at once what differs and why", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(document.querySelector("#file").value = "taskcluster/kinds/lint/kind.yml", document.querySelector("#file").dispatchEvent(new Event("change")), true)`)
		tab.Wait(t, `document.body.dataset.file === "taskcluster/kinds/lint/kind.yml"`)
		uitest.Eval[bool](t, tab, `(treelineDebug.editor.setText(treelineDebug.editor.text().replace("Parses", "Reads")), true)`)
		tab.Wait(t, `document.querySelector("#changes").innerText.includes("lint-shell")`)
		tab.Wait(t, `document.querySelectorAll("#graph .label-list li").length > 3`)
		uitest.Eval[bool](t, tab, `(document.querySelector("#graph .label-list button").click(), true)`)
		tab.Wait(t, `document.querySelector("#why-text") !== null`)
		tab.Inspect(t, "debug-edited")
		uitest.Eval[bool](t, tab, `(treelineDebug.editor.setText("tasks: {shell: {run: {command: [}}\n"), true)`)
		tab.Wait(t, `document.querySelector("#mistakes")?.innerText.includes("taskcluster/kinds/lint/kind.yml")`)
	})
	t.Run("edits survive the page", func(t *testing.T) {
		tab.Go(t, "/config-debug?repo=pebble&file=taskcluster/kinds/lint/kind.yml")
		tab.Wait(t, `document.body.dataset.editor !== undefined && treelineDebug.editor.text().includes("command: [}")`)
		uitest.Eval[bool](t, tab, `(document.querySelector("#drop-draft").click(), true)`)
		tab.Wait(t, `document.body.dataset.tried !== undefined && globalThis.treelineDebug?.editor.text().includes("Parses")`)
	})
	t.Run("the quickstart says what it found", func(t *testing.T) {
		tab.Go(t, "/quickstart?repo=pebble")
		if text := tab.Text(t, "main"); !strings.Contains(text, "kind.yml already") || tab.Count(t, ".quick-file") < 2 {
			t.Error(text)
		}
		tab.Inspect(t, "quickstart")
		tab.Click(t, "#try-starter")
		tab.Wait(t, `document.body.dataset.tried !== undefined && !document.querySelector("#changes").innerText.includes("Nothing differs")`)
	})
}
