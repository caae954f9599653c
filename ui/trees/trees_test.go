package trees_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/ui/trees"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), trees.Statements()...) }

func TestTrees(t *testing.T) {
	site := uitest.New(t)
	site.Repository(t, "web")
	site.Repository(t, "api")
	admin, dev := site.Browser(t), site.Browser(t)
	admin.SignIn(t, uitest.Admin, uitest.AdminToken)
	dev.SignIn(t, uitest.Dev, uitest.DevToken)
	set := func(b *uitest.Browser, path string, form url.Values) *uitest.Document {
		t.Helper()
		for _, n := range b.Get(t, "/profile").Find("[name=csrf]") {
			form.Set("csrf", uitest.Attr(n, "value"))
		}
		return b.Post(t, path, form)
	}
	t.Run("a tree of which nothing was said is open", func(t *testing.T) {
		if got := dev.Get(t, "/trees").Text("#trees-list .status"); got != "open\nopen" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("closing needs a reason and the scope", func(t *testing.T) {
		if d := set(admin, "/trees/web", url.Values{"state": {"closed"}, "message": {"kept text"}}); d.Status != http.StatusBadRequest || !strings.Contains(d.Body, `value="kept text"`) {
			t.Errorf("without a reason: %d", d.Status)
		}
		if d := set(dev, "/trees/web", url.Values{"state": {"closed"}, "reason": {"x"}}); d.Status != http.StatusForbidden {
			t.Errorf("without the scope: %d", d.Status)
		}
		if d := dev.Get(t, "/trees/web"); !strings.Contains(d.Text(".lack"), "trees:update:web") {
			t.Error("the missing scope is not told")
		}
	})
	t.Run("closed: in the header of all pages, in the history, for programs", func(t *testing.T) {
		d := set(admin, "/trees/web", url.Values{"state": {"closed"}, "reason": {"builds are broken"}, "message": {"back at noon"}})
		if d.Status != http.StatusOK || !strings.Contains(d.Text("#history"), "builds are broken") || !strings.Contains(d.Text("#history"), uitest.Admin) {
			t.Errorf("got %d %q", d.Status, d.Text("#history"))
		}
		if got := site.Browser(t).Get(t, "/tasks/groups").Text("#tree-marks"); got != "web: closed" {
			t.Errorf("the header says %q", got)
		}
		var answer struct{ Trees []trees.Tree }
		if err := json.Unmarshal([]byte(site.Browser(t).Get(t, "/ui/api/trees?repo=web").Body), &answer); err != nil || len(answer.Trees) != 1 || answer.Trees[0].State != trees.Closed || answer.Trees[0].Reason != "builds are broken" {
			t.Errorf("got %+v, %v", answer, err)
		}
		if d := set(admin, "/trees/none", url.Values{"state": {"open"}}); d.Status != http.StatusNotFound {
			t.Errorf("an unknown tree: %d", d.Status)
		}
	})
	t.Run("a change shows in another browser at once", func(t *testing.T) {
		tab := site.Tab(t)
		tab.Go(t, "/trees/api")
		tab.Inspect(t, "tree")
		tab.Go(t, "/tasks/groups")
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		began := time.Now()
		set(admin, "/trees/api", url.Values{"state": {"approval"}, "reason": {"release week"}})
		tab.Wait(t, `document.querySelector("#tree-marks").textContent.includes("api: approval required")`)
		took := time.Since(began)
		t.Logf("seen in another browser after %v", took.Round(time.Millisecond))
		if took > 4*time.Second { // 2 s, twice on a shared machine
			t.Errorf("it took %v", took)
		}
		set(admin, "/trees/web", url.Values{"state": {"open"}})
		tab.Wait(t, `!document.querySelector("#tree-marks").textContent.includes("web")`)
		tab.Go(t, "/trees")
		tab.Inspect(t, "trees")
	})
}
