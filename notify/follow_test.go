package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/task"
)

func TestRoutesOfTasksTell(t *testing.T) {
	f := newFixture(t)
	f.start(f.Notify)
	failed := happened(taskID, "task-failed", task.Failed, "failed",
		"index.x.y", "notify.email.some.body@example.com.on-failed", "notify.email.some.body@example.com.on-resolved", "notify.email.else@example.com.on-completed",
		"notify.slack-channel.C0PUBLIC.on-transition", "notify.matrix-room."+chattest.Room+".on-any", "notify.pulse.my.topic.on-resolved")
	f.append(failed, failed) // an idempotent call tells again
	m := f.smtp.Wait(t, 1)[0]
	if m.To != "some.body@example.com" || m.Subject() != "Task failed: build-linux - "+taskID {
		t.Errorf("%s: %s", m.To, m.Subject())
	}
	wantText := "## `build-linux` failed\n\n```\nerror: it broke\n```\n\nBuilds \\*everything\\*.\n\n" +
		"- **Run:** 0, took 1m23s, on `g/w`\n- **Queue:** `q/linux`\n- **Owner:** dev@example.com\n- **Source:** <https://git.example.com/x>\n- **Task:** `" + taskID + "`\n\n" +
		"[Log](https://ci.example.com/tasks/" + taskID + "/runs/0/logs/public/logs/live.log) · [Task group](https://ci.example.com/tasks/groups/" + group + ")\n\n" +
		"Inspect task: https://ci.example.com/tasks/" + taskID + "\n\n-- \n" +
		"You get this because the task has the route notify.email.some.body@example.com.on-failed.\nSent by Treeline at https://ci.example.com\n"
	if diff := cmp.Diff(wantText, m.Text); diff != "" {
		t.Error(diff)
	}
	f.eventually("everything is sent", func() bool { return len(f.list(notify.StateSent)) == 4 })
	posts, _ := f.slack.Posts()
	wantSlack := ":x: *<https://ci.example.com/tasks/" + taskID + "|build-linux>* failed"
	if len(posts) != 1 || posts[0].Text != wantSlack || !strings.Contains(string(posts[0].Blocks[0]), "error: it broke") || !strings.Contains(string(posts[0].Blocks[1]), group) {
		t.Errorf("%+v", posts)
	}
	events, _ := f.matrix.Events()
	if len(events) != 1 || events[0].Body != "build-linux failed: https://ci.example.com/tasks/"+taskID+"\nerror: it broke" || events[0].Msgtype != "m.notice" {
		t.Errorf("%+v", events)
	}
	var note event.Event
	f.eventually("the status is published", func() bool {
		list, err := f.feed.Read(t.Context(), 0, 100)
		f.check(err)
		for _, e := range list {
			if e.Kind == notify.EventKind {
				note = e
			}
		}
		return note.Kind != ""
	})
	var body struct{ Message task.Status }
	if err := json.Unmarshal(note.Payload, &body); err != nil || body.Message.TaskID != taskID || note.Topic != "my.topic" {
		t.Errorf("%v %+v", err, note)
	}
	if n := len(f.smtp.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestWhoIsToldOfWhat(t *testing.T) {
	f := newFixture(t)
	f.start(f.Notify)
	routes := []string{}
	for _, on := range []string{"defined", "pending", "running", "completed", "failed", "exception", "transition", "resolved", "any"} {
		routes = append(routes, "notify.email."+on+"@example.com.on-"+on)
	}
	for name, c := range map[string]struct {
		e    event.Event
		want []string
	}{
		"defined":           {happened("", "task-defined", task.Unscheduled, ""), []string{"defined", "transition"}},
		"pending":           {happened("", "task-pending", task.Pending, ""), []string{"pending", "transition"}},
		"running":           {happened("", "task-running", task.Running, ""), []string{"running", "transition"}},
		"completed":         {happened("", "task-completed", task.Completed, "completed"), []string{"any", "completed", "resolved", "transition"}},
		"failed":            {happened("", "task-failed", task.Failed, "failed"), []string{"any", "failed", "resolved", "transition"}},
		"worker failed":     {happened("", "task-exception", task.Exception, "internal-error"), []string{"any", "exception", "resolved", "transition"}},
		"tried again":       {happened("", "task-exception", task.Pending, "worker-shutdown"), []string{"transition"}},
		"canceled":          {happened("", "task-exception", task.Exception, "canceled"), nil},
		"deadline exceeded": {happened("", "task-exception", task.Exception, "deadline-exceeded"), nil},
		"priority":          {happened("", "task-priority-changed", task.Pending, ""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			id := slug.New()
			e := happened(id, c.e.Kind, task.Pending, "", routes...)
			e.Payload = json.RawMessage(strings.Replace(string(c.e.Payload), `"taskId":""`, `"taskId":"`+id+`"`, 1))
			end := happened(slug.New(), "task-failed", task.Failed, "failed", "notify.email.end@example.com.on-failed")
			f.append(e, end)
			var got []string
			f.eventually("the last one is sent", func() bool {
				got = nil
				ended := false
				for _, n := range f.list(notify.StateSent) {
					if n.TaskID == id {
						got = append(got, strings.TrimSuffix(n.Address, "@example.com"))
					}
					ended = ended || n.TaskID == end.TaskID
				}
				return ended && len(got) >= len(c.want)
			})
			sorted := cmp.Transformer("set", func(list []string) map[string]bool {
				set := map[string]bool{}
				for _, s := range list {
					set[s] = true
				}
				return set
			})
			if diff := cmp.Diff(c.want, got, sorted); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTemplatesOfTasks(t *testing.T) {
	f := newFixture(t)
	f.start(f.Notify)
	f.extra = json.RawMessage(`{"notify": {
		"email": {"subject": "${task.metadata.name} is ${status.state}", "content": "[x](${rootUrl}/tasks/${taskId}) took **long**",
			"link": {"text": "Go", "href": {"$eval": "rootUrl + '/x'"}}, "template": "fullscreen"},
		"slackText": "t ${taskId}", "slackBlocks": {"$map": ["a", "b"], "each(x)": {"type": "section", "text": {"type": "mrkdwn", "text": "${x}"}}},
		"slackAttachments": [{"color": "#f00"}], "slackUnfurlLinks": true,
		"matrixBody": "m ${status.state}", "matrixFormattedBody": "<i>m</i>", "matrixFormat": "org.matrix.custom.html", "matrixMsgtype": "m.text"}}`)
	f.append(happened(taskID, "task-completed", task.Completed, "completed", "notify.email.a@example.com.on-resolved", "notify.slack-channel.C0PUBLIC.on-resolved", "notify.matrix-room."+chattest.Room+".on-resolved"))
	m := f.smtp.Wait(t, 1)[0]
	if m.Subject() != "build-linux is completed" || !strings.HasPrefix(m.Text, "[x](https://ci.example.com/tasks/"+taskID+") took **long**\n\nGo: https://ci.example.com/x\n") || strings.Contains(m.HTML, "max-width:640px") {
		t.Errorf("%s\n%s", m.Subject(), m.Text)
	}
	f.eventually("everything is sent", func() bool { return len(f.list(notify.StateSent)) == 3 })
	posts, _ := f.slack.Posts()
	if len(posts) != 1 || posts[0].Text != "t "+taskID || len(posts[0].Blocks) != 2 || len(posts[0].Attachments) != 1 || !posts[0].UnfurlLinks {
		t.Errorf("%+v", posts)
	}
	events, _ := f.matrix.Events()
	want := []chattest.MatrixEvent{{Room: chattest.Room, Txn: events[0].Txn, Msgtype: "m.text", Body: "m completed", Format: "org.matrix.custom.html", FormattedBody: "<i>m</i>"}}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
}

func TestHostileTasksStopNobody(t *testing.T) {
	for name, extra := range map[string]string{
		"no object":         `{"notify": [1]}`,
		"email no object":   `{"notify": {"email": 3}}`,
		"eval bomb":         `{"notify": {"email": {"content": {"$let": {"a": {"$eval": "range(0, 10000000)"}}, "in": "x"}}, "slackText": {"$eval": "range(0, 99999999)"}, "matrixBody": {"$eval": "range(0, 99999999)"}}}`,
		"billion laughs":    `{"notify": {"email": {"content": {"$let": {"a": "lolololololololololol"}, "in": {"$let": {"b": "${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}"}, "in": {"$let": {"c": "${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}"}, "in": {"$let": {"d": "${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}"}, "in": "${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}"}}}}}}}`,
		"unknown name":      `{"notify": {"email": {"subject": "${nothing}"}, "slackText": "${nothing}", "matrixBody": "${nothing}"}}`,
		"line breaks":       `{"notify": {"email": {"subject": "x\r\nBcc: victim@example.com"}}}`,
		"subject too long":  `{"notify": {"email": {"subject": "` + strings.Repeat("x", 300) + `"}}}`,
		"no strings":        `{"notify": {"email": {"subject": 1, "content": [], "link": "x", "template": {}}, "slackText": {}, "slackBlocks": "x", "slackUnfurlLinks": "yes", "matrixBody": 1, "matrixMsgtype": "m.image"}}`,
		"link":              `{"notify": {"email": {"link": {"text": "x", "href": "javascript:alert(1)"}}}}`,
		"deep":              `{"notify": {"email": {"content": ` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}}}`,
		"script":            `{"notify": {"email": {"content": "<script>alert(1)</script><img src=x onerror=alert(1)>"}}}`,
		"markdown":          `{"notify": {"email": {"content": "` + strings.Repeat(">", 100000) + `"}}}`,
		"nul":               `{"notify": {"email": {"content": "a\u0000b", "subject": "a\u0000b"}}}`,
		"slack mass":        `{"notify": {"slackBlocks": [` + strings.Repeat(`{"type": "divider"},`, 30000) + `{"type": "divider"}]}}`,
		"unknown template":  `{"notify": {"email": {"template": "x"}}}`,
		"wrong type in use": `{"notify": {"email": {"content": {"$if": "1 +", "then": "x"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.extra = json.RawMessage(extra)
			f.start(f.Notify)
			began := time.Now()
			f.append(
				happened(taskID, "task-failed", task.Failed, "failed", "notify.email.a@example.com.on-failed", "notify.slack-channel.C0PUBLIC.on-failed", "notify.matrix-room."+chattest.Room+".on-failed"))
			m := f.smtp.Wait(t, 1)[0]
			f.eventually("everything is settled", func() bool {
				return len(f.list(notify.StateSent))+len(f.list(notify.StateFailed)) == 3
			})
			if d := time.Since(began); d > 15*time.Second {
				t.Errorf("it took %v", d)
			}
			// What is only odd is sent as it is; for the rest there is the usual message and a note.
			asItIs := map[string]bool{"script": true, "markdown": true, "slack mass": true}[name]
			if !asItIs && (!strings.Contains(m.Text, "could not be used") || !strings.Contains(m.Text, taskID)) {
				t.Errorf("%s", m.Text)
			}
			if len(m.Header["Bcc"]) > 0 || strings.Contains(m.HTML, "<script") || strings.Contains(m.HTML, "onerror=\"") || strings.Contains(m.HTML, "javascript:alert(1)\"") {
				t.Errorf("%v\n%s", m.Header, m.HTML)
			}
		})
	}
}

func TestUselessRoutesAreSeen(t *testing.T) {
	f := newFixture(t)
	f.start(f.Notify)
	routes := []string{
		"notify.email.a@example.com.on-fail", "notify.sms.123.on-failed", "notify.email.on-failed", "notify.x", "notify.email.not-an-address.on-failed",
		"notify.matrix-room.#alias:example.org.on-failed", "notify.slack-channel.C404.on-failed", "notify.matrix-room.!elsewhere:x.on-failed", "notify.email.ok@example.com.on-failed",
	}
	f.append(happened(taskID, "task-defined", task.Unscheduled, "", routes...), happened(taskID, "task-failed", task.Failed, "failed", routes...))
	f.smtp.Wait(t, 1)
	got := map[string]string{}
	f.eventually("all failures are known", func() bool {
		for _, n := range f.list(notify.StateFailed) {
			got[n.Channel+" "+n.Address] = n.Error
		}
		return len(got) == 8
	})
	for address, says := range map[string]string{
		" notify.email.a@example.com.on-fail": `there is no event "fail"`, " notify.sms.123.on-failed": `there is no channel "sms"`, " notify.email.on-failed": "must be notify.<channel>",
		" notify.x": "must be notify.<channel>", "email not-an-address": "is no e-mail address", "matrix-room #alias:example.org": "is an alias",
		"slack-channel C404": "there is no such channel", "matrix-room !elsewhere:x": "M_FORBIDDEN",
	} {
		if !strings.Contains(got[address], says) {
			t.Errorf("%s: %q does not say %s", address, got[address], says)
		}
	}
}

func TestChannelsThatAreOffAreLoggedOnce(t *testing.T) {
	f := newFixture(t, func(d *notify.Deps) { d.Mail, d.Slack = nil, nil })
	f.start(f.Notify)
	for range 3 {
		f.append(happened(slug.New(), "task-failed", task.Failed, "failed", "notify.email.a@example.com.on-failed", "notify.slack-channel.C.on-failed", "notify.matrix-room."+chattest.Room+".on-failed"))
	}
	f.eventually("three are said", func() bool { events, _ := f.matrix.Events(); return len(events) == 3 })
	for _, variable := range []string{"TREELINE_SMTP_URL", "TREELINE_SLACK_TOKEN"} {
		if n := strings.Count(f.log.String(), variable); n != 1 {
			t.Errorf("%s is logged %d times\n%s", variable, n, f.log)
		}
	}
	for _, m := range []message.Message{email("a@example.com", "s"), notify.Slack{ChannelID: "C", Text: "x"}} {
		if _, err := f.Send(t.Context(), m); !errors.Is(err, notify.ErrOff) {
			t.Error(err)
		}
	}
}

func TestATaskThatIsGoneTellsNobody(t *testing.T) {
	f := newFixture(t)
	f.gone = true
	f.start(f.Notify)
	f.append(happened(taskID, "task-failed", task.Failed, "failed", "notify.email.a@example.com.on-failed"))
	f.eventually("it failed", func() bool { return len(f.list(notify.StateFailed)) == 1 })
	if n := f.list(notify.StateFailed)[0]; !strings.Contains(n.Error, "no task "+taskID) {
		t.Errorf("%+v", n)
	}
}

// TestNothingIsLostWhenAServerDies cuts a replica down after it took its work on, as kill -9 does: what it had
// claimed is sent by another when the claim runs out, and nothing twice that was settled.
func TestNothingIsLostWhenAServerDies(t *testing.T) {
	f := newFixture(t)
	const n = 40
	var events []event.Event
	for i := range n {
		events = append(events, happened(slug.New(), "task-failed", task.Failed, "failed", fmt.Sprintf("notify.email.u%d@example.com.on-failed", i), "notify.matrix-room."+chattest.Room+".on-failed"))
	}
	// The dying one: its mails get lost between the mail server and the outbox.
	dying := f.replica()
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	taken := make(chan struct{}, n)
	hang := make(chan struct{})
	f.smtp.OnMail(func(smtptest.Mail) error { taken <- struct{}{}; <-hang; return smtptest.Answer(451, "gone") })
	dying.Start(ctx, f.feed)
	f.eventually("it follows", func() bool { list, err := f.feed.Consumers(ctx); f.check(err); return len(list) > 0 })
	f.append(events...)
	<-taken
	// Nothing that it does from here on counts: it cannot reach the database.
	_, err := f.pool.Exec(t.Context(), "UPDATE notify_outbox SET ident = 'x' || ident WHERE channel = 'email' AND state = 'waiting' AND tries > 0")
	f.check(err)
	kill()
	f.smtp.OnMail(nil)
	close(hang)
	dying.Stop()
	_, err = f.pool.Exec(t.Context(), "UPDATE notify_outbox SET next_try = clock_timestamp() WHERE state = 'waiting'") // as time would
	f.check(err)
	f.start(f.Notify)
	f.start(f.replica())
	f.eventually("everything is sent", func() bool { return len(f.list(notify.StateSent)) == 2*n })
	to := map[string]int{}
	for _, m := range f.smtp.Mails() {
		to[m.To]++
	}
	for i := range n {
		if address := fmt.Sprintf("u%d@example.com", i); to[address] == 0 {
			t.Errorf("%s got nothing", address)
		}
	}
	if events, _ := f.matrix.Events(); len(events) != n {
		t.Errorf("%d events in the room", len(events))
	}
}

func TestWhatFailsForNowIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	f.start(f.Notify)
	busy := 3
	f.smtp.OnRecipient(func(string) error {
		if busy--; busy >= 0 {
			return smtptest.Answer(451, "busy")
		}
		return nil
	})
	f.slack.Break(2)
	f.matrix.Limit(1, 2500)
	if got, err := f.Send(t.Context(), email("a@example.com", "s")); got != notify.Waiting || err != nil {
		t.Error(got, err)
	}
	if list := f.list(notify.StateWaiting); len(list) != 1 || !strings.Contains(list[0].Error, "busy") || list[0].Tries < 1 {
		t.Errorf("%+v", list)
	}
	began := time.Now()
	f.append(happened(taskID, "task-failed", task.Failed, "failed", "notify.slack-channel.C0PUBLIC.on-failed", "notify.matrix-room."+chattest.Room+".on-failed"))
	f.eventually("everything is sent", func() bool { return len(f.list(notify.StateSent)) == 3 })
	if d := time.Since(began); d < 2500*time.Millisecond {
		t.Errorf("it waited for %v although it was asked to wait for 2.5 s", d)
	}
	posts, _ := f.slack.Posts()
	if len(posts) != 1 || len(f.smtp.Mails()) != 1 {
		t.Errorf("%d posts, %d mails", len(posts), len(f.smtp.Mails()))
	}
	// After a day it is given up.
	f.smtp.OnRecipient(func(string) error { return smtptest.Answer(451, "busy") })
	if got, err := f.Send(t.Context(), email("b@example.com", "s")); got != notify.Waiting || err != nil {
		t.Error(got, err)
	}
	_, err := f.pool.Exec(t.Context(), "UPDATE notify_outbox SET created = created - interval '25 hours' WHERE address = 'b@example.com'")
	f.check(err)
	f.eventually("it is given up", func() bool { return len(f.list(notify.StateFailed)) == 1 })
	// What the other side does not want is not tried again, and not taken for sent.
	f.smtp.OnRecipient(func(string) error { return smtptest.Answer(550, "no such mailbox") })
	for range 2 {
		_, err := f.Send(t.Context(), email("c@example.com", "s"))
		var failure *message.Failure
		if !errors.As(err, &failure) || !strings.Contains(err.Error(), "no such mailbox") {
			t.Error(err)
		}
	}
}

func TestOldNotificationsAreForgotten(t *testing.T) {
	f := newFixture(t)
	f.check(f.Mail(t.Context(), email("a@example.com", "s")))
	f.check(f.Mail(t.Context(), email("b@example.com", "s")))
	_, err := f.pool.Exec(t.Context(), "UPDATE notify_outbox SET created = created - interval '15 days' WHERE address = 'a@example.com'")
	f.check(err)
	_, err = f.Prune(t.Context(), notify.Keep)
	f.check(err)
	if list := f.list(notify.StateWaiting); len(list) != 1 || list[0].Address != "b@example.com" {
		t.Errorf("%+v", list)
	}
}
