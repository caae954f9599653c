package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/client"
)

// testWhyCommand is part of TestRemoteCommands, which starts the server.
func testWhyCommand(t *testing.T) {
	first := strings.TrimSpace(must(t, "task", "create", "--queue", "cli/crowd", "--", "true"))
	second := strings.TrimSpace(must(t, "task", "create", "--queue", "cli/crowd", "--", "true"))
	if got := must(t, "task", "why", second); !strings.Contains(got, "1 task is before it, all of task group "+first) {
		t.Errorf("why: %s", got)
	}
	if got := must(t, "task", "priority", "high", second); !strings.Contains(got, "pending") {
		t.Errorf("priority: %s", got)
	}
	var w client.Why
	if err := json.Unmarshal([]byte(must(t, "task", "why", second, "--json")), &w); err != nil || w.Line == nil || w.Line.Place != 1 || w.Status.Priority != "high" {
		t.Errorf("why: %+v, %v", w, err)
	}
	if got := must(t, "group", "priority", "high", first); !strings.Contains(got, "1 tasks have priority high now") {
		t.Errorf("group priority: %s", got)
	}
	if got := must(t, "group", "weigh", "5", first); !strings.Contains(got, "weighs 5") {
		t.Errorf("weigh: %s", got)
	}
	if _, errs, code := treeline(t, "group", "weigh", "heavy", first); code == 0 || !strings.Contains(errs, "1 to 100") {
		t.Errorf("a weight that is no number: %d %s", code, errs)
	}
	if _, errs, code := treeline(t, "task", "priority", "normal", first); code == 0 || errs == "" {
		t.Errorf("a priority that is none: %d %s", code, errs)
	}
}
