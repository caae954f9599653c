package app

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/trees"
)

func TestTheRestOfThePages(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	a := startForHooks(t, "", func(c *Config) {
		c.Notify.SMTP = mail.Config{Host: server.Host, Port: server.Port, CA: server.CA, From: "ci@example.com"}
	})
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.RootURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	t.Run("every method of the API has a page", func(t *testing.T) {
		_, text := get("/references/references.json")
		var bundle []struct {
			Filename string
			Content  struct {
				ServiceName string
				Entries     []struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(text), &bundle); err != nil {
			t.Fatal(err)
		}
		methods := 0
		for _, f := range bundle {
			if !strings.HasPrefix(f.Filename, "references/") {
				continue
			}
			for i, e := range f.Content.Entries {
				methods++
				if i%7 != 0 { // all are made by the same code; the list below has each
					continue
				}
				if status, page := get("/docs/" + f.Content.ServiceName + "/" + e.Name); status != http.StatusOK || !strings.Contains(page, e.Name) {
					t.Errorf("%s.%s: %d", f.Content.ServiceName, e.Name, status)
				}
			}
			if len(f.Content.Entries) == 0 {
				continue
			}
			of := ""
			if strings.HasSuffix(f.Filename, "exchanges.json") {
				of = "?of=exchanges"
			}
			_, list := get("/docs/" + f.Content.ServiceName + of)
			for _, e := range f.Content.Entries {
				if !strings.Contains(list, `href="/docs/`+f.Content.ServiceName+`/`+e.Name+`"`) {
					t.Errorf("%s has no link to %s", f.Content.ServiceName, e.Name)
				}
			}
		}
		if t.Logf("%d methods and exchanges", methods); methods < 150 {
			t.Errorf("only %d methods", methods)
		}
	})
	t.Run("the status is what the heartbeat says", func(t *testing.T) {
		beat, _ := get("/__heartbeat__")
		if status, page := get("/status"); status != beat || !strings.Contains(page, "The server can work.") || !strings.Contains(page, "RabbitMQ") {
			t.Errorf("got %d and %d", status, beat)
		}
	})
	t.Run("who pushes to a closed tree is told, with the reason", func(t *testing.T) {
		ctx := t.Context()
		for deadline := time.Now().Add(20 * time.Second); ; {
			list, err := a.feed.Consumers(ctx)
			if err == nil && slices.ContainsFunc(list, func(c event.Consumer) bool { return c.Name == "tree-pushes" }) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("pushes are not followed: %v, %v", list, err)
			}
		}
		if err := a.push.Register(ctx, push.Repository{Name: "tree", Kind: "git-local", URL: "file:///srv/tree", Path: "/srv/tree", Level: 1, DefaultBranch: "main"}); err != nil {
			t.Fatal(err)
		}
		if err := a.trees().Set(ctx, "ann", trees.Tree{Repository: "tree", State: trees.Closed, Reason: "the builds are broken"}); err != nil {
			t.Fatal(err)
		}
		p := push.Push{Repository: "tree", Branch: "main", Revision: strings.Repeat("ab", 20), Author: "Ada", Email: "ada@example.com", Message: "In spite of it"}
		if _, _, err := a.push.Record(ctx, p, ""); err != nil {
			t.Fatal(err)
		}
		a.feed.Wake()
		m := server.Wait(t, 1)[0]
		if m.To != "ada@example.com" || m.Subject() != "The tree tree is closed" || !strings.Contains(m.Text, "the builds are broken") || !strings.Contains(m.Text, "/trees/tree") {
			t.Errorf("%s to %s:\n%s", m.Subject(), m.To, m.Text)
		}
	})
}
