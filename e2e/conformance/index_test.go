package conformance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
)

// TestIssue6266WhoeverMakesATaskLearnsThatItCannotBeIndexed: with the peer such a task is made, and never
// found in the index.
func TestIssue6266WhoeverMakesATaskLearnsThatItCannotBeIndexed(t *testing.T) {
	s := serve(t)
	c := browser()
	defer c.CloseIdleConnections()
	create := func(route string) (int, string, string) {
		body := target{}.lively(map[string]any{
			"taskQueueId": "abc/abc", "created": sampleTime, "deadline": sampleTime, "payload": map[string]any{}, "routes": []any{"notify.x", route},
			"metadata": map[string]any{"name": "n", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
		})
		got, err := s.send(t, c, request{method: "PUT", path: "/api/queue/v1/task/" + slug.New(), header: jsonHeader(), body: reader(body)})
		var e struct{ Code, Message string }
		if err != nil || json.Unmarshal(got.body, &e) != nil {
			t.Fatalf("%d %s %v", got.status, got.body, err)
		}
		return got.status, e.Code, e.Message
	}
	for _, route := range []string{"index.project/main.latest", "index.", "index.a..b", "index.a b"} {
		status, code, message := create(route)
		if status != http.StatusBadRequest || code != "InputError" || !strings.Contains(message, "routes[1]") || !strings.Contains(message, "words of letters") {
			t.Errorf("%s: %d %s %s", route, status, code, message)
		}
	}
	for _, route := range []string{"index.project.main.latest", "statuses", "tc-treeherder.v2.x/y"} {
		if status, _, message := create(route); status != http.StatusOK {
			t.Errorf("%s: %d %s", route, status, message)
		}
	}
}
