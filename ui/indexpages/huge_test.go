//go:build uilong

package indexpages_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// nothing is a reader of zeros.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestAnArtifactOfTwoGigabytes is refused politely by the preview; its download streams, and parts of it can be asked
// for.
func TestAnArtifactOfTwoGigabytes(t *testing.T) {
	const size = 2 << 30
	site := uitest.New(t)
	id := site.Task(t, task.Running)
	site.Publish(t, id, "public/huge.json", "application/json", io.LimitReader(nothing{}, size))
	b := site.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	began := time.Now()
	d := b.Get(t, "/tasks/"+id+"/artifacts/public/huge.json")
	t.Logf("the page of an artifact of 2 GB: %v", time.Since(began))
	if d.Status != http.StatusOK || !strings.Contains(d.Text("#preview"), "larger than the 4 MB up to which there is a preview") {
		t.Errorf("got %d %q", d.Status, d.Text("#preview"))
	}
	if got := b.Get(t, "/ui/artifact/"+id+"/0/public/huge.json").Status; got != http.StatusRequestEntityTooLarge {
		t.Errorf("its content in a page: %d", got)
	}
	if got := b.Part(t, "/tasks/"+id+"/runs/0/public/huge.json", "bytes=2147483640-"); got.Status != http.StatusPartialContent || len(got.Body) != 8 {
		t.Errorf("its end: %d, %d bytes", got.Status, len(got.Body))
	}
	began = time.Now()
	got, err := b.Size(t, "/tasks/"+id+"/runs/0/public/huge.json")
	if err != nil || got != size {
		t.Errorf("downloaded %d bytes, %v", got, err)
	}
	t.Logf("downloaded in %v", time.Since(began))
}
