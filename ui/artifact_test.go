package ui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func TestArtifacts(t *testing.T) {
	s := uitest.New(t)
	id := s.Task(t, task.Running)
	s.Artifact(t, id, "public/report.html", "text/html", "<script>alert(document.cookie)</script>")
	s.Artifact(t, id, "public/odd name#?%2F.txt", "text/plain", "odd")
	s.Artifact(t, id, "private/secret.txt", "text/plain", "for few")
	for name, a := range map[string]queue.NewArtifact{
		"public/bad-link":  {StorageType: queue.StorageLink, Artifact: "public/none"},
		"public/way-in":    {StorageType: queue.StorageLink, Artifact: "private/secret.txt"},
		"public/elsewhere": {StorageType: queue.StorageReference, URL: "https://example.com/x"},
		"public/not-made":  {StorageType: queue.StorageError, Reason: "file-missing-on-worker", Message: "there is no such file"},
	} {
		a.ContentType, a.Expires = "text/plain", task.At(time.Now().Add(time.Hour))
		if _, err := s.Queue.CreateArtifact(t.Context(), id, 0, name, a); err != nil {
			t.Fatal(err)
		}
	}
	visitor, admin := s.Browser(t), s.Browser(t)
	admin.SignIn(t, uitest.Admin, uitest.AdminToken)
	base := "/tasks/" + id + "/runs/0/"

	t.Run("a hostile page comes without rights and is not shown", func(t *testing.T) {
		d := visitor.Get(t, base+"public/report.html")
		if !strings.Contains(d.Header.Get("Content-Security-Policy"), "sandbox") || !strings.HasPrefix(d.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("got status %d, headers %v", d.Status, d.Header)
		}
	})
	t.Run("names are kept however odd", func(t *testing.T) {
		page := visitor.Get(t, "/tasks/"+id+"?tab=artifacts")
		for _, a := range page.Find("table.list a") {
			if href := uitest.Attr(a, "href"); strings.Contains(href, "odd") && !strings.Contains(href, "/logs/") {
				if d := visitor.Get(t, href); d.Body != "<html>odd</html>" && !strings.Contains(d.Body, "odd") {
					t.Errorf("%s: got status %d: %s", href, d.Status, d.Body)
				}
				return
			}
		}
		t.Error("the artifact is not listed")
	})
	for _, c := range []struct {
		name string
		who  *uitest.Browser
		want int
	}{
		{"private/secret.txt", visitor, http.StatusForbidden}, {"private/secret.txt", admin, http.StatusOK},
		{"public/way-in", visitor, http.StatusForbidden}, {"public/way-in", admin, http.StatusOK},
		{"public/bad-link", visitor, http.StatusNotFound}, {"public/not-made", visitor, http.StatusNotFound},
		{"logs/private/secret.txt", visitor, http.StatusForbidden}, {"logs/private/secret.txt", admin, http.StatusOK},
	} {
		who := "a visitor"
		if c.who == admin {
			who = "an administrator"
		}
		t.Run(who+" at "+c.name, func(t *testing.T) {
			if d := c.who.Get(t, base+c.name); d.Status != c.want {
				t.Errorf("got status %d, want %d: %s", d.Status, c.want, d.Text(".error-message"))
			}
		})
	}
	t.Run("the script is told to look elsewhere for a log that lives elsewhere", func(t *testing.T) {
		if d := visitor.Get(t, "/ui/api/logs/"+id+"/0/public/elsewhere"); d.Status != http.StatusGone {
			t.Errorf("got status %d: %s", d.Status, d.Body)
		}
		if got := visitor.Get(t, base+"logs/public/elsewhere").Text("#log"); !strings.Contains(got, "another server") {
			t.Errorf("got %q", got)
		}
	})
}
