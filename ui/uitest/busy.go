package uitest

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// Busy is the processor's time that the page's main thread has used for its tasks since it was asked for the first time.
// What other processes take is not in it.
func (tab *Tab) Busy(t testing.TB) time.Duration {
	t.Helper()
	if _, err := chromedp.Call(tab.ctx, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
		t.Fatalf("measure the main thread: %v", err)
	}
	result, err := chromedp.Call(tab.ctx, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		t.Fatalf("measure the main thread: %v", err)
	}
	for _, m := range result.Metrics {
		if m.Name == "TaskDuration" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	t.Fatal("the browser does not tell how busy the page's main thread is")
	return 0
}
