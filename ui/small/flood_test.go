//go:build uilong

package small_test

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestAFloodOfMessages is 1,000 messages a second for ten seconds.
func TestAFloodOfMessages(t *testing.T) {
	site := uitest.New(t)
	tab := site.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/pulse-messages")
	tab.Click(t, "#listen")
	tab.Wait(t, `document.body.dataset.listening === "true"`)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		flood(t, site, 100)
		<-tick.C
	}
	began := time.Now()
	tab.Wait(t, `Number(document.body.dataset.seen) >= 10000 && document.body.dataset.kept === "500"`)
	t.Logf("all 10,000 are seen %v after the last; 500 are kept", time.Since(began).Round(time.Millisecond))
}
