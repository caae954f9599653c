package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type feedEvent struct {
	Position    int64     `json:"position"`
	Kind        string    `json:"kind"`
	TaskID      string    `json:"taskId"`
	TaskGroupID string    `json:"taskGroupId"`
	Time        time.Time `json:"time"`
}

// readFeed gives the events that the query asks for to take, in order, until it returns false.
func (m *machine) readFeed(query string, take func(feedEvent) bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url("/api/events/v1/stream?"+query), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e feedEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			m.t.Fatal(err)
		}
		if !take(e) {
			return
		}
	}
	m.t.Fatalf("the feed ended early: %v", lines.Err())
}

// feedHead returns the position of the newest event.
func (m *machine) feedHead() int64 {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url("/api/events/v1/stream"), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() { // the stream begins with where it stands
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			head, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				m.t.Fatal(err)
			}
			return head
		}
	}
	m.t.Fatalf("the feed does not say where it stands: %v", lines.Err())
	return 0
}
