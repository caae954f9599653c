package news_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/notify/news"
	"github.com/treeline-ci/treeline/task"
)

func TestRoutes(t *testing.T) {
	for text, want := range map[string]news.Route{
		"notify.email.a.b@x.example.com.on-failed":        {Channel: "email", Address: "a.b@x.example.com", On: "failed"},
		"notify.matrix-room.!abc:example.org.on-any":      {Channel: "matrix-room", Address: "!abc:example.org", On: "any"},
		"notify.pulse.my.topic.on-failed.x.on-transition": {Channel: "pulse", Address: "my.topic.on-failed.x", On: "transition"},
		"notify.slack-channel.C123456GZ.on-resolved":      {Channel: "slack-channel", Address: "C123456GZ", On: "resolved"},
		"notify.email.on-failed.on-defined":               {Channel: "email", Address: "on-failed", On: "defined"},
	} {
		got, ok, err := news.ParseRoute(text)
		if diff := cmp.Diff(want, got); diff != "" || !ok || err != nil {
			t.Error(text, diff, ok, err)
		}
	}
	for _, text := range []string{"index.notify.email", "notify", "Notify.email.x.on-failed", ""} {
		if _, ok, err := news.ParseRoute(text); ok || err != nil {
			t.Error(text, ok, err)
		}
	}
	for _, text := range []string{"notify.", "notify.email", "notify.email.x", "notify.email..on-failed", "notify.email.x.failed", "notify.irc.x.on-failed", "notify.email.x.on-"} {
		if _, ok, err := news.ParseRoute(text); ok || err == nil || !strings.Contains(err.Error(), text) {
			t.Error(text, ok, err)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add("notify.email.a@b.on-failed")
	f.Add("notify.....on-")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok, err := news.ParseRoute(text)
		if ok && (err != nil || r.Address == "" || "notify."+r.Channel+"."+r.Address+".on-"+r.On != text) {
			t.Errorf("%q: %+v %v", text, r, err)
		}
	})
}

func TestTheFailureIsFoundInTheLog(t *testing.T) {
	for log, want := range map[string]string{
		"[task 2026-01-02T03:04:05.678Z] gcc -c x.c\n[task 2026-01-02T03:04:06.000Z] x.c:3:5: error: expected ';' before '}' token\nmake: *** [x.o] Error 1\n": "x.c:3:5: error: expected ';' before '}' token",
		"ok  \tpkg/a\n--- FAIL: TestX (0.00s)\n    x_test.go:3: no\nFAIL\n":                                                                                    "--- FAIL: TestX (0.00s)",
		"\x1b[31merror[E0308]\x1b[0m: mismatched types\n":                                                                                                      "error[E0308]: mismatched types",
		"Traceback (most recent call last):\n  File \"x\"\nAssertionError: 3 != 4\n":                                                                           "AssertionError: 3 != 4",
		"[taskcluster 2026-01-02 03:04:05.678Z] hello\n[taskcluster:error] Task timeout after 3 s\n":                                                           "Task timeout after 3 s",
		"[taskcluster 2026-01-02T03:04:05.678Z] Command: sh -c 'echo error: x'\n[taskcluster:error] exit status 1\nmain.go:3: error: y\n":                      "main.go:3: error: y",
		"0 errors, 0 failed\nall is well\nerrors.txt written\n":                                                                                                "",
		"panic: runtime error: index out of range\n":                                                                                                           "panic: runtime error: index out of range",
		"bash: frobnicate: command not found\n":                                                                                                                "bash: frobnicate: command not found",
		strings.Repeat("x", 1<<20) + " error: far away\nfatal: not a git repository\n":                                                                         "fatal: not a git repository",
		"12:01 INFO - TEST-UNEXPECTED-FAIL | dom/test.js | it broke\n":                                                                                         "12:01 INFO - TEST-UNEXPECTED-FAIL | dom/test.js | it broke",
		"": "",
	} {
		if got := news.FailureLine(strings.NewReader(log)); got != want {
			t.Errorf("%.80q: %q, want %q", log, got, want)
		}
	}
}

func TestTextsOfPeopleStayAsTheyAre(t *testing.T) {
	story := news.Story{
		Event: "exception", TaskID: "T", RootURL: "https://ci", Route: "r", Raw: []byte(`{}`), RunID: new(int),
		Status: task.Status{State: task.Exception, Runs: []task.Run{{ReasonResolved: task.ReasonMalformedPayload}}},
		Task: task.Definition{TaskGroupID: "G", Metadata: task.Metadata{
			Name: "a`b``c\r\nSubject: x <script>", Description: "[x](http://y) <b>", Owner: "*o*", Source: "javascript:alert(1)",
		}},
	}
	m, err := story.Make(message.ChannelEmail, "a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	mail := m.(message.Email)
	if mail.Subject != "Task exception: a`b``c Subject: x <script> - T" {
		t.Errorf("%q", mail.Subject)
	}
	for _, want := range []string{"## ```a`b``c Subject: x <script>``` ended as exception\n\nThe worker could not understand its payload (malformed-payload).\n", `\[x\](http://y) \<b\>`, `\*o\*`} {
		if !strings.Contains(mail.Content, want) {
			t.Errorf("%s\nlacks %s", mail.Content, want)
		}
	}
	if strings.Contains(mail.Content, "javascript") {
		t.Error(mail.Content)
	}
	m, err = story.Make(message.ChannelSlack, "C1")
	if err != nil {
		t.Fatal(err)
	}
	if text := m.(message.Slack).Text; text != ":heavy_exclamation_mark: *<https://ci/tasks/T|a`b``c Subject: x &lt;script&gt;>* ended as exception: the worker could not understand its payload (malformed-payload)" {
		t.Error(text)
	}
	m, err = story.Make(message.ChannelMatrix, "!r:x")
	if err != nil {
		t.Fatal(err)
	}
	if html := m.(message.Matrix).FormattedBody; !strings.Contains(html, "&lt;script&gt;") || strings.Contains(html, "<script") {
		t.Error(html)
	}
}
