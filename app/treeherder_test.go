package app

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

// A server that is told to feeds Treeherder: it hears of a push first, reads it where the message says,
// without credentials, and then hears of the jobs.
func TestAServerFeedsTreeherder(t *testing.T) {
	node := rabbittest.Start(t)
	conn, err := amqp.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.QueueDeclare("treeherder", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	const pushes, jobs = "exchange/hgpushes/v1", "exchange/taskcluster-treeherder/v1/jobs"
	for _, x := range []string{pushes, jobs} {
		if err := channel.ExchangeDeclare(x, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := channel.QueueBind("treeherder", "#", x, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "pebble")
	if _, err := sample.Create(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	l := newLevels(t, nil, strings.Clone, func(c *Config) {
		c.Repositories = []LocalRepository{{Name: "pebble", Path: dir}}
		c.Pulse = pulse.Config{URL: node.URL(), Treeherder: true, Log: c.Log}
	})
	l.until("both consumers follow the feed", func() bool {
		list, err := l.server.feed.Consumers(t.Context())
		l.must(err)
		n := 0
		for _, c := range list {
			if c.Name == "treeherder" || c.Name == pulse.Consumer && c.Holder != "" {
				n++
			}
		}
		return n == 2
	})
	l.must(os.WriteFile(filepath.Join(dir, "bin", "pebble"), []byte("#!/bin/sh\n"), 0o755))
	for _, args := range [][]string{{"checkout", "-q", "-b", "shown"}, {"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-a", "-m", "Show it"}} {
		if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var seen []string // projects of jobs, of the revision that was pushed
	pushed := ""
	l.until("jobs of the push", func() bool {
		for {
			m, ok, err := channel.Get("treeherder", true)
			l.must(err)
			if !ok {
				return len(seen) > 0
			}
			if m.Exchange == pushes {
				if revision, message := readPush(t, m.Body); message == "Show it" {
					pushed = revision
				}
				continue
			}
			var job struct {
				Origin struct{ Project, Revision string }
			}
			l.must(json.Unmarshal(m.Body, &job))
			if job.Origin.Revision == pushed {
				seen = append(seen, job.Origin.Project)
			}
		}
	})
	if pushed == "" || seen[0] != "pebble" {
		t.Errorf("%q %v", pushed, seen)
	}
}

// readPush reads a push as Treeherder does, and returns its head and message.
func readPush(t *testing.T, body []byte) (revision, message string) {
	t.Helper()
	var m struct {
		Payload struct {
			Pushes []struct {
				URL string `json:"push_full_json_url"`
			} `json:"pushlog_pushes"`
		}
	}
	if err := json.Unmarshal(body, &m); err != nil || len(m.Payload.Pushes) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.Payload.Pushes[0].URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var log struct {
		Pushes map[string]struct{ Changesets []struct{ Node, Desc string } }
	}
	if err := json.NewDecoder(answer.Body).Decode(&log); err != nil || answer.StatusCode != http.StatusOK || len(log.Pushes) != 1 {
		t.Fatalf("%s: %s, %v", m.Payload.Pushes[0].URL, answer.Status, err)
	}
	for _, p := range log.Pushes {
		head := p.Changesets[len(p.Changesets)-1]
		return head.Node, strings.TrimSpace(head.Desc)
	}
	return "", ""
}
