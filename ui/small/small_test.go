package small_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func send(t *testing.T, b *uitest.Browser, path string, form url.Values) *uitest.Document {
	t.Helper()
	for _, n := range b.Get(t, "/profile").Find("[name=csrf]") {
		form.Set("csrf", uitest.Attr(n, "value"))
	}
	return b.Post(t, path, form)
}

func TestSmallPages(t *testing.T) {
	site := uitest.New(t)
	admin, dev := site.Browser(t), site.Browser(t)
	admin.SignIn(t, uitest.Admin, uitest.AdminToken)
	dev.SignIn(t, uitest.Dev, uitest.DevToken)

	t.Run("caches: wished for, listed, taken back", func(t *testing.T) {
		d := send(t, admin, "/purge-caches", url.Values{"pool": {"proj-web/linux"}, "cache": {"checkouts"}})
		if d.Status != http.StatusOK || !strings.Contains(d.Text("table"), "proj-web/linux") {
			t.Fatalf("got %d %q", d.Status, d.Text("main"))
		}
		if list, err := site.Purges.Requests(t.Context(), "proj-web/linux", time.Time{}); err != nil || len(list) != 1 {
			t.Errorf("got %v, %v", list, err)
		}
		if d := send(t, dev, "/purge-caches", url.Values{"pool": {"proj-web/linux"}, "cache": {"other"}}); d.Status != http.StatusForbidden {
			t.Errorf("without the scope: %d", d.Status)
		}
		if d := send(t, admin, "/purge-caches", url.Values{"pool": {"nopool"}, "cache": {"x"}}); d.Status != http.StatusBadRequest || !strings.Contains(d.Body, `value="nopool"`) {
			t.Errorf("a bad pool: %d", d.Status)
		}
		d = send(t, admin, "/purge-caches", url.Values{"pool": {"proj-web/linux"}, "cache": {"checkouts"}, "act": {"remove"}})
		if strings.Contains(d.Text("main"), "checkouts") {
			t.Errorf("taken back: %q", d.Text("main"))
		}
		if list, err := site.Purges.Requests(t.Context(), "proj-web/linux", time.Time{}); err != nil || len(list) != 0 {
			t.Errorf("got %v, %v", list, err)
		}
	})
	t.Run("the denylist: denied, listed, allowed again", func(t *testing.T) {
		d := send(t, admin, "/notify/denylist", url.Values{"type": {"email"}, "address": {"noreply@example.com"}})
		if d.Status != http.StatusOK || !strings.Contains(d.Text("table"), "noreply@example.com") {
			t.Fatalf("got %d %q", d.Status, d.Text("main"))
		}
		if d := dev.Get(t, "/notify/denylist"); d.Status != http.StatusForbidden || strings.Contains(d.Body, "noreply@") {
			t.Errorf("without the scope: %d", d.Status)
		}
		d = send(t, admin, "/notify/denylist", url.Values{"type": {"email"}, "address": {"noreply@example.com"}, "act": {"remove"}})
		if strings.Contains(d.Text("main"), "noreply@example.com") {
			t.Errorf("allowed again: %q", d.Text("main"))
		}
	})
	t.Run("the status is what the heartbeat says", func(t *testing.T) {
		d, beat := admin.Get(t, "/status"), admin.Get(t, "/__heartbeat__")
		if d.Status != beat.Status || d.Text("#beat") != "200" || !strings.Contains(d.Text("#health"), "can work") || !strings.Contains(d.Text("#services"), "object works") {
			t.Errorf("got %d and %d: %q %q", d.Status, beat.Status, d.Text("#health"), d.Text("#services"))
		}
	})
	t.Run("the status tells programs the same, and operators more", func(t *testing.T) {
		var told struct {
			Healthy  bool
			Services []struct{ Name string }
			Feed     []struct{ Name string }
			Version  map[string]string
		}
		d := admin.Get(t, "/status.json")
		if err := json.Unmarshal([]byte(d.Body), &told); err != nil || d.Status != http.StatusOK || !told.Healthy || len(told.Services) == 0 {
			t.Errorf("%d %v: %.300s", d.Status, err, d.Body)
		}
	})
	t.Run("the reference: every method has a page, a search finds them, they can be tried", func(t *testing.T) {
		d := admin.Get(t, "/docs/api?q=ping+object")
		if hits := d.Find("#hits tbody a"); len(hits) != 1 || uitest.Attr(hits[0], "href") != "/docs/object/ping" {
			t.Errorf("got %q", d.Text("#hits"))
		}
		for _, a := range admin.Get(t, "/docs/object").Find("#methods tbody a") {
			if d := admin.Get(t, uitest.Attr(a, "href")); d.Status != http.StatusOK || d.Text("h1") == "" {
				t.Errorf("%s: %d", uitest.Attr(a, "href"), d.Status)
			}
		}
		d = send(t, admin, "/docs/object/ping", url.Values{})
		if !strings.Contains(d.Text("#answer"), "answered 200") || !strings.Contains(d.Text("#answer"), `"alive": true`) {
			t.Errorf("got %q", d.Text("#answer"))
		}
		d = send(t, dev, "/docs/object/startDownload", url.Values{"arg-name": {"some/thing"}, "body": {`{"acceptDownloadMethods": {"simple": true}}`}})
		if !strings.Contains(d.Text("#answer"), "answered 403") || !strings.Contains(d.Text("#answer"), "/api/object/v1/start-download/some%2Fthing") {
			t.Errorf("without the scope: %q", d.Text("main"))
		}
		if d := admin.Get(t, "/docs/object/nothing"); d.Status != http.StatusNotFound {
			t.Errorf("got %d", d.Status)
		}
	})
	t.Run("messages that fit the bindings", func(t *testing.T) {
		site.Task(t, task.Failed)
		var all string
		for deadline := time.Now().Add(15 * time.Second); !strings.Contains(all, "task-failed") && time.Now().Before(deadline); {
			all = admin.Get(t, "/pulse-messages").Text("#pulse-rows code")
		}
		some := admin.Get(t, "/pulse-messages?bindings="+url.QueryEscape(`[{"exchange": "exchange/taskcluster-queue/v1/task-failed", "routingKeyPattern": "primary.#"}]`)).Text("#pulse-rows code")
		if !strings.Contains(all, "task-pending") || !strings.Contains(some, "task-failed") || strings.Contains(some, "task-pending") {
			t.Errorf("all %q, some %q", all, some)
		}
		if d := admin.Get(t, "/pulse-messages?bindings=[1"); d.Status != http.StatusBadRequest {
			t.Errorf("got %d", d.Status)
		}
	})
	t.Run("in a browser", func(t *testing.T) {
		tab := site.Tab(t)
		tab.SignIn(t, uitest.Admin, uitest.AdminToken)
		tab.Go(t, "/pulse-messages")
		tab.Click(t, "#listen")
		tab.Wait(t, `document.body.dataset.listening === "true"`)
		flood(t, site, 700)
		tab.Wait(t, `Number(document.body.dataset.seen) >= 700 && document.body.dataset.kept === "500"`)
		tab.Inspect(t, "pulse")
		for name, path := range map[string]string{"purge-caches": "/purge-caches", "denylist": "/notify/denylist", "status": "/status", "docs": "/docs/api", "docs-method": "/docs/object/startDownload"} {
			tab.Go(t, path)
			tab.Inspect(t, name)
		}
	})
}

// flood appends messages that listeners get.
func flood(t *testing.T, site *uitest.Site, n int) {
	t.Helper()
	events := make([]event.Event, n)
	for i := range events {
		events[i] = event.Event{Kind: "notification", Topic: "a.b.c", Payload: []byte(`{"hello": "listeners"}`)}
	}
	if err := pg.Tx(t.Context(), site.Pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, events...) }); err != nil {
		t.Fatal(err)
	}
	site.Feed.Wake()
}
