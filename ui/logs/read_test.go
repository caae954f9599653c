package logs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/notify/news"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func get(t *testing.T, s *uitest.Site, path string) (status int, body string) {
	t.Helper()
	r, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// outline is what the viewer is told of a log.
type outline struct {
	Total  int
	Done   bool
	Errors []struct {
		Line int
		Text string
	}
}

func TestReading(t *testing.T) {
	s := uitest.New(t)
	text := "one\r\n\x1b[31mtwo\rTWO\nerror: three\n\r\nfour\rerror: five\r\r\nTypeError: \x1b[1msix\x1b[0m\n::::\rerror: 100%\nlast"
	id := finished(t, s, text, task.Failed)
	api := "/ui/api/logs/" + id + "/0/public/logs/live.log"
	read := func(path string, into any) {
		t.Helper()
		status, body := get(t, s, api+path)
		if err := json.Unmarshal([]byte(body), into); err != nil || status != http.StatusOK {
			t.Fatalf("%s: status %d, error %v: %s", path, status, err, body)
		}
	}
	t.Run("error lines have the numbers that the parser of notifications gives them, whatever ends lines (L8)", func(t *testing.T) {
		var o outline
		read("/lines?from=1&to=99", &struct{}{})
		read("/outline", &o)
		var got []news.Line
		for _, e := range o.Errors {
			got = append(got, news.Line{Number: e.Line, Text: e.Text})
		}
		want := news.FailureLines(strings.NewReader(text), 100)
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 4 || got[0].Number != 3 || o.Total != 8 || !o.Done {
			t.Errorf("%+v: %s", o, diff)
		}
	})
	t.Run("lines come with the codes in force before them", func(t *testing.T) {
		var p struct {
			Lines []string
			Codes string
			Total int
		}
		read("/lines?from=3&to=5", &p)
		if diff := cmp.Diff([]string{"error: three", "", "four\rerror: five\r"}, p.Lines); diff != "" || p.Codes != "\x1b[31m" || p.Total != 8 {
			t.Errorf("codes %q of %d lines: %s", p.Codes, p.Total, diff)
		}
	})
	t.Run("a search counts", func(t *testing.T) {
		status, body := get(t, s, api+"/search?q=ERROR:+(three|five)&regex=1")
		last := strings.Split(strings.TrimSpace(body), "\n")
		var end struct {
			Hits        [][3]int
			Count, Line int
			Done        bool
			Stopped     string
		}
		if err := json.Unmarshal([]byte(last[len(last)-1]), &end); err != nil || status != http.StatusOK {
			t.Fatalf("status %d, error %v: %s", status, err, body)
		}
		if end.Count != 2 || end.Line != 8 || !end.Done || end.Stopped != "" || !strings.Contains(body, "[3,0,12]") || !strings.Contains(body, "[5,0,11]") {
			t.Errorf("got %s", body)
		}
	})
	t.Run("wrong questions are told what is wrong", func(t *testing.T) {
		for path, want := range map[string]string{"/lines?from=0": "numbers of lines", "/lines?from=5&to=4": "numbers of lines", "/search?q=(&regex=1": "regular expression", "/search": "Say what", "/follow?have=x": "number of lines"} {
			if status, body := get(t, s, api+path); status != http.StatusBadRequest || !strings.Contains(body, want) {
				t.Errorf("%s: status %d: %s", path, status, body)
			}
		}
	})
}

func TestLogsThatCannotBeRead(t *testing.T) {
	s := uitest.New(t)
	id := s.Task(t, task.Running, uitest.Named("test"))
	s.Artifact(t, id, "private/build.log", "text/plain", "secret\n")
	log := s.Log(t, id)
	log.Write(t, "public\n")
	log.Finish(t, task.Completed)
	t.Run("a private log asks for a scope, also line by line", func(t *testing.T) {
		for _, path := range []string{"/tasks/" + id + "/runs/0/logs/private/build.log", "/ui/api/logs/" + id + "/0/private/build.log/lines?from=1&to=9", "/ui/api/logs/" + id + "/0/private/build.log/search?q=secret", "/ui/api/logs/" + id + "/0/private/build.log/outline", "/ui/api/logs/" + id + "/0/private/build.log/follow"} {
			if status, body := get(t, s, path); status != http.StatusForbidden || strings.Contains(body, "secret\n") || !strings.Contains(body, "queue:get-artifact:private/build.log") {
				t.Errorf("%s: status %d", path, status)
			}
		}
	})
	t.Run("who signs in from there comes back to it", func(t *testing.T) {
		tab := s.Tab(t)
		tab.Expect("403 (Forbidden)")
		tab.Go(t, "/tasks/"+id+"/runs/0/logs/private/build.log")
		tab.Click(t, "#sign-in")
		tab.Wait(t, `document.querySelector("input[name=clientId]") !== null`)
		tab.Type(t, "input[name=clientId]", uitest.Admin)
		tab.Type(t, "input[name=accessToken]", uitest.AdminToken+"\r")
		tab.Wait(t, `location.pathname.endsWith("/logs/private/build.log") && document.querySelector(".ln > span")?.textContent === "secret"`)
	})
	t.Run("a log that is gone says until when it was kept (L9)", func(t *testing.T) {
		if _, err := s.Pool.Exec(t.Context(), `UPDATE artifacts SET expires = '2026-01-02T03:04:05Z' WHERE task_id = $1`, id); err != nil {
			t.Fatal(err)
		}
		status, body := get(t, s, "/tasks/"+id+"/runs/0/logs/public/logs/live.log")
		if status != http.StatusNotFound || !strings.Contains(body, "2 January 2026, 03:04 UTC") {
			t.Errorf("status %d: %s", status, body)
		}
		if status, body := get(t, s, "/tasks/"+id+"/runs/0/logs/public/other.log"); status != http.StatusNotFound || !strings.Contains(body, "at the longest") {
			t.Errorf("status %d: %s", status, body)
		}
	})
}

func TestIndexIsMadeWhileTheLogGrows(t *testing.T) {
	s := uitest.New(t)
	id := s.Task(t, task.Running, uitest.Named("test"))
	log := s.Log(t, id)
	for range 5 {
		log.Write(t, strings.Repeat("a line of a log that nobody looks at yet\n", 25_000))
	}
	log.Finish(t, task.Completed)
	late := time.After(10 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		var lines int
		err := s.Pool.QueryRow(t.Context(), `SELECT coalesce(max((convert_from(body, 'UTF8')::json->>'lines')::int), 0) FROM log_indexes`).Scan(&lines)
		if err != nil {
			t.Fatal(err)
		}
		if lines == 125_000 {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("the index kept has %d lines", lines)
		}
	}
}
