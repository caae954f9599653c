package app

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/treeline-ci/treeline/app/github/timing"
	"github.com/treeline-ci/treeline/internal/otlptest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/trace/export"
)

// refuse is how a receiver that is down answers.
func refuse(context.Context, int) (int, string) { return http.StatusServiceUnavailable, "" }

// TestGitHubPushIsOneTrace follows a push from its webhook to what GitHub was told, into a receiver of OTLP that is down
// at first.
func TestGitHubPushIsOneTrace(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "")})
	receiver := otlptest.Start(t)
	var err error
	h.config.Traces, err = export.FromEnv(receiver.URL, func(name string) string {
		return map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "0"}[name]
	})
	h.must(err)
	receiver.Answer(refuse)
	h.traced()
	sha := h.push("main", map[string]string{"a": "1"})
	h.check(sha, "github-push", "")
	h.finish(true)
	h.check(sha, "Treeline (push)", "success")
	group := h.build("push").TaskGroupID
	receiver.Answer(nil)
	byName := map[string]*traces.Span{}
	h.until("the whole trace came", func() bool {
		spans := receiver.Spans(traceid.OfGroup(group).String())
		for _, s := range spans {
			byName[s.GetName()] = s
		}
		return byName["RUN acme.app"] != nil && byName["report github-push"] != nil && otlptest.Tree(spans) == nil
	})
	for _, want := range []string{"webhook push", "decision", "wait for a worker", "run", "report Treeline (push)"} {
		if byName[want] == nil {
			t.Errorf("there is no span %q", want)
		}
	}
	said := map[string]string{}
	for _, a := range byName["RUN acme.app"].GetAttributes() {
		said[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if said["vcs.ref.head.revision"] != sha || said["cicd.pipeline.result"] != "success" || !strings.HasSuffix(said["vcs.repository.url.full"], "/acme/app") || said["cicd.pipeline.run.id"] != group {
		t.Errorf("the push is %v", said)
	}
	if took := time.Duration(byName["webhook push"].GetEndTimeUnixNano() - byName["webhook push"].GetStartTimeUnixNano()); took <= 0 || took > time.Minute {
		t.Errorf("the webhook took %v", took)
	}
	if _, found, err := timing.Read(t.Context(), h.server.pool, "no group"); found || err != nil {
		t.Error(found, err)
	}
	pgtest.PrepareAll(t, h.server.pool, timing.Statements...)
	resp, err := http.Get(h.config.RootURL + "/api/trace/v1/task-group/" + group)
	h.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the API answers %s", resp.Status)
	}
}

// traced starts the server anew, with its configuration as it is now, and waits until it follows what traces are made of.
func (h *hub) traced() {
	h.stop()
	h.config.Listen, h.config.Listener = h.config.Listener.Addr().String(), nil
	h.start()
	h.until("the consumer of traces is known", func() bool {
		var n int
		h.must(h.server.pool.QueryRow(h.t.Context(), `SELECT count(*) FROM event_consumers WHERE name = 'traces'`).Scan(&n))
		return n == 1
	})
}
