package ui_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestStream reads the stream as a page does: what happens to a repository comes, what happens
// elsewhere does not, and a broken stream goes on where it was.
func TestStream(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	s.Repository(t, "other")
	head, err := s.Feed.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := s.Record(t, push.Push{Repository: "other"})
	s.Decide(t, elsewhere, uitest.Job{State: task.Pending, Name: "x"})
	p := s.Record(t, push.Push{Repository: "sample"})
	group, ids := s.Decide(t, p, uitest.Job{State: task.Completed, Name: "build"})

	lines := follow(t, fmt.Sprintf("%s/ui/api/stream?repo=sample&after=%d", s.URL, head), "")
	var kinds []string
	var last string
	for len(kinds) == 0 || kinds[len(kinds)-1] != "task-completed" {
		id, m := next(t, lines)
		last = id
		if m.Repo == "other" || m.Repo == "" && m.GroupID != group {
			t.Errorf("got a message of another repository: %+v", m)
		}
		if m.Task != nil && m.Task.ID == ids[0] || m.Repo != "" {
			kinds = append(kinds, m.Kind)
		}
	}
	want := []string{"push-created", "push-changed", "task-defined", "task-pending", "task-running", "task-completed"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Queue.Rerun(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	_, m := next(t, follow(t, fmt.Sprintf("%s/ui/api/stream?repo=sample&after=%d", s.URL, head), last))
	if m.Kind != "task-pending" || m.Task == nil || m.Task.Run != 1 || m.Task.State != "pending" {
		t.Errorf("the stream went on with %+v, want the rerun", m)
	}
}

type message struct {
	Kind, GroupID, Repo string
	Task                *struct {
		ID, State string
		Run       int
	}
}

func follow(t *testing.T, address, last string) *bufio.Scanner {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("got type %q, status %d", got, response.StatusCode)
	}
	timer := time.AfterFunc(20*time.Second, func() { response.Body.Close() })
	t.Cleanup(func() {
		timer.Stop()
		response.Body.Close()
	})
	return bufio.NewScanner(response.Body)
}

func next(t *testing.T, lines *bufio.Scanner) (id string, m message) {
	t.Helper()
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = v
		}
		if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(v), &m); err != nil {
				t.Fatal(err)
			}
			return id, m
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return "", m
}
