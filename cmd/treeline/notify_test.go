package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
)

// TestNotifications takes a failing task from its creation to the mail about it, through the whole server, a
// worker and a mail server, and then asks what became of notifications.
func TestNotifications(t *testing.T) {
	const password = "smtp-password-of-the-test"
	letters := smtptest.Start(t, smtptest.Options{User: "ci", Password: password})
	startRemote(t, func(c *app.Config) {
		c.Notify.SMTP = mail.Config{Host: letters.Host, Port: letters.Port, CA: letters.CA, From: "ci@example.com", User: "ci", Password: password}
		c.Notify.Matrix = chat.MatrixConfig{Homeserver: chattest.StartMatrix(t).URL, Token: chattest.MatrixToken}
	})
	file := filepath.Join(t.TempDir(), "task.yml")
	definition := fmt.Sprintf(`
taskQueueId: %s
payload: {command: [[sh, -c, "echo all is well; echo 'x.c:3: error: it broke'; exit 1"]], maxRunTime: 60}
metadata: {name: broken, description: Fails., owner: dev@example.com, source: "https://example.com/x"}
routes: [notify.email.dev@example.com.on-failed, notify.email.dev@example.com.on-fail, "notify.matrix-room.!other:example.org.on-failed"]
`, cliQueue)
	if err := os.WriteFile(file, []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(must(t, "task", "create", "--file", file))
	m := letters.Wait(t, 1)[0]
	if m.Subject() != "Task failed: broken - "+id || m.To != "dev@example.com" || !m.TLS || m.User != "ci" {
		t.Errorf("%s to %s", m.Subject(), m.To)
	}
	for _, want := range []string{"```\nx.c:3: error: it broke\n```", "/tasks/" + id + "/runs/0/logs/public/logs/live.log", "on `cli/w"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the mail lacks %s:\n%s", want, m.Text)
		}
	}
	out, errs, code := treeline(t, "notify", "test", "--email", "you@example.com", "--matrix", chattest.Room)
	if code != 0 || out != "email you@example.com: sent\nmatrix-room "+chattest.Room+": sent\n" {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	letters.OnRecipient(func(string) error { return smtptest.Answer(550, "we do not know you") })
	out, errs, code = treeline(t, "notify", "test", "--email", "you@example.com")
	if code != 1 || !strings.Contains(out, "you@example.com: not sent\n") || !strings.Contains(out, "550") || !strings.Contains(out, "we do not know you") || !strings.Contains(errs, "1 of 1 test messages") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if out, errs, code = treeline(t, "notify", "test", "--slack", "C1"); code != 1 || !strings.Contains(errs, "TREELINE_SLACK_TOKEN") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if _, errs, code = treeline(t, "notify", "test"); code != 1 || !strings.Contains(errs, "--email") {
		t.Errorf("%d: %s", code, errs)
	}
	wanted := []string{
		"failed  email you@example.com", "we do not know you", "failed  matrix-room !other:example.org", "M_FORBIDDEN", id,
		"route notify.email.dev@example.com.on-fail", `there is no event "fail"`,
	}
	var list string
	lacks := func(want string) bool { return !strings.Contains(list, want) }
	for end := time.Now().Add(time.Minute); ; {
		if list = must(t, "notify"); !slices.ContainsFunc(wanted, lacks) {
			break
		}
		if time.Now().After(end) {
			t.Errorf("the list lacks %s:\n%s", slices.DeleteFunc(wanted, func(w string) bool { return !lacks(w) }), list)
			break
		}
	}
	if list := must(t, "notify", "--state", "sent", "--json", "--limit", "1000"); strings.Count(list, `"sent"`) != 3 || strings.Contains(list, password) {
		t.Errorf("%s", list)
	}
}
