package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEventsCommands(t *testing.T) {
	startRemote(t)
	id := strings.TrimSpace(must(t, "task", "create", "--queue", cliQueue, "--", "true"))
	must(t, "task", "wait", id)
	var kinds []string
	var last struct {
		Position json.Number
		Kind     string
		TaskID   string
	}
	for line := range strings.Lines(must(t, "events", "watch", "--json", "--after", "0", "--task", id, "--limit", "3")) {
		if err := json.Unmarshal([]byte(line), &last); err != nil || last.TaskID != id {
			t.Fatalf("%s: %v", line, err)
		}
		kinds = append(kinds, last.Kind)
	}
	if got := strings.Join(kinds, " "); got != "task-defined task-pending task-running" {
		t.Errorf("the first events are %s", got)
	}
	out := must(t, "events", "watch", "--after", string(last.Position), "--task", id, "--kind", "task-completed", "--limit", "1")
	if !strings.Contains(out, "task-completed") || !strings.Contains(out, id+" run 0") {
		t.Errorf("it goes on with %s", out)
	}
	var got struct {
		Head      int
		Consumers []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(must(t, "events", "consumers", "--json")), &got); err != nil || got.Head < 4 || len(got.Consumers) == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if out := must(t, "events", "consumers"); !strings.Contains(out, got.Consumers[0].Name) {
		t.Errorf("the consumers are %s", out)
	}
}

// Who follows the feed reads what is wrong with a push, as its page says it.
func TestAnEventOfAPushSaysWhatIsWrongWithIt(t *testing.T) {
	for event, want := range map[string]string{
		`{"payload": {"repository": "try", "id": 7, "state": "failed", "error": {"code": "bad-try", "message": "try: -b needs a value\nmore", "file": "commit message", "line": 3}}}`: "try 7 failed: commit message:3: try: -b needs a value",
		`{"payload": {"repository": "try", "id": 7, "state": "failed", "error": {"code": "x", "message": "no revision"}}}`:                                                            "try 7 failed: no revision",
		`{"payload": {"repository": "try", "id": 7, "state": "decided"}}`:                                                                                                             "try 7 decided",
		`{"payload": {}}`: "try",
		`{`:               "try",
	} {
		if got := pushSubject(json.RawMessage(event), "try"); got != want {
			t.Errorf("%s: %s", event, got)
		}
	}
}
