package app

import (
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/metrics"
)

// TestMetricsOfGitHub sees a webhook of a push counted when it is handled, and how the bridge stands.
func TestMetricsOfGitHub(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	h.push("main", map[string]string{"a": "1"})
	h.expect("push: github-push")
	scrape := func() string {
		w := httptest.NewRecorder()
		h.server.metrics.Handler("", slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", metrics.Path, nil))
		return w.Body.String()
	}
	handled := regexp.MustCompile(`(?m)^treeline_webhook_lag_seconds_count\{event="push"\} [1-9]`)
	var text string
	h.until("the webhook is counted", func() bool { text = scrape(); return handled.MatchString(text) })
	for _, want := range []string{
		`treeline_webhooks_total{event="push",outcome="done"} `, `treeline_reading_up{reading="github"} 1`, `treeline_reading_up{reading="checks"} 1`,
		`treeline_github_repositories{state="enabled"} 1`, "treeline_webhooks_failed 0", `treeline_check_runs_waiting{state="due"} `, "treeline_github_reconcile_oldest_seconds ",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("a scrape has no %s", want)
		}
	}
}
