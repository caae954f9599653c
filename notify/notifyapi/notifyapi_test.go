package notifyapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/notify/notifyapi"
)

// door is a server with the room behind it and one caller in front of it.
type door struct {
	*testing.T
	smtp  *smtptest.Server
	slack *chattest.Slack
	rooms *chattest.Matrix
	url   string
}

func open(t *testing.T, configured bool, scopes ...string) door {
	t.Helper()
	d := door{T: t, smtp: smtptest.Start(t, smtptest.Options{}), slack: chattest.StartSlack(t), rooms: chattest.StartMatrix(t)}
	deps := notify.Deps{Pool: pgtest.DB(t)}
	if configured {
		var err1, err2, err3 error
		quiet := slog.New(slog.DiscardHandler)
		deps.Mail, err1 = mail.New(mail.Config{Host: d.smtp.Host, Port: d.smtp.Port, CA: d.smtp.CA, From: "ci@example.com", Timeout: 5 * time.Second}, "https://tc")
		deps.Slack, err2 = chat.NewSlack(chat.SlackConfig{Token: chattest.SlackToken, URL: d.slack.URL}, quiet)
		deps.Matrix, err3 = chat.NewMatrix(chat.MatrixConfig{Homeserver: d.rooms.URL, Token: chattest.MatrixToken}, quiet)
		for _, err := range []error{err1, err2, err3} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	handler, err := web.Mount([]web.Service{notifyapi.Service(notify.New(deps))}, webtest.As("me", scopes...), web.Options{RootURL: "http://tc", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	d.url = server.URL + "/api/notify/v1"
	return d
}

func (d door) call(method, path, body string) (int, map[string]any) {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && err != io.EOF {
		d.Fatal(err)
	}
	return resp.StatusCode, answer
}

const (
	mailBody   = `{"address": "you@example.com", "subject": "s", "content": "c", "link": {"text": "l", "href": "https://x/"}, "replyTo": "me@example.com", "template": "fullscreen"}`
	slackBody  = `{"channelId": "C0PUBLIC", "text": "t", "blocks": [{"type": "divider"}], "attachments": [{}], "unfurlLinks": true, "unfurlMedia": false}`
	matrixBody = `{"roomId": "` + chattest.Room + `", "body": "b", "format": "org.matrix.custom.html", "formattedBody": "<b>b</b>", "msgtype": "m.text"}`
	pulseBody  = `{"routingKey": "a.b", "message": {"x": [1]}}`
)

func TestTheEndpointsSend(t *testing.T) {
	d := open(t, true, "notify:*")
	for path, body := range map[string]string{"/email": mailBody, "/slack": slackBody, "/matrix": matrixBody, "/pulse": pulseBody} {
		for i, want := range []int{200, 204, 204} {
			if status, answer := d.call("POST", path, body); status != want {
				t.Errorf("%s, time %d: %d %v", path, i+1, status, answer)
			}
		}
	}
	posts, _ := d.slack.Posts()
	events, _ := d.rooms.Events()
	if m := d.smtp.Wait(t, 1); len(m) != 1 || len(posts) != 1 || len(events) != 1 {
		t.Errorf("%d mails, %d posts, %d events", len(m), len(posts), len(events))
	}
	for i := range 49 {
		if status, answer := d.call("POST", "/email", strings.Replace(mailBody, `"s"`, fmt.Sprintf("\"s%d\"", i), 1)); status != 200 {
			t.Fatalf("mail %d: %d %v", i, status, answer)
		}
	}
	if status, _ := d.call("POST", "/email", strings.Replace(mailBody, `"s"`, `"one more"`, 1)); status != 204 {
		t.Errorf("mail 51: %d", status)
	}
}

func TestScopes(t *testing.T) {
	d := open(t, true, "notify:email:you@example.com", "notify:pulse:a.*", "notify:slack-channel:C0PUBLIC", "notify:matrix-room:"+chattest.Room)
	for path, c := range map[string]struct{ good, bad string }{
		"/email":  {mailBody, strings.Replace(mailBody, "you@", "other@", 1)},
		"/pulse":  {pulseBody, strings.Replace(pulseBody, "a.b", "b.b", 1)},
		"/slack":  {slackBody, strings.Replace(slackBody, "C0PUBLIC", "C0OTHER", 1)},
		"/matrix": {matrixBody, strings.Replace(matrixBody, "!", "!x", 1)},
	} {
		if status, answer := d.call("POST", path, c.good); status != 200 {
			t.Errorf("%s: %d %v", path, status, answer)
		}
		if status, answer := d.call("POST", path, c.bad); status != 403 || answer["code"] != "InsufficientScopes" {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if status, _ := d.call("POST", "/test", `{"notificationType": "email", "notificationAddress": "other@example.com"}`); status != 403 {
		t.Errorf("test: %d", status)
	}
	for _, c := range []struct{ method, path string }{{"POST", "/denylist/add"}, {"DELETE", "/denylist/delete"}, {"GET", "/denylist/list"}, {"GET", "/notifications"}} {
		if status, _ := d.call(c.method, c.path, `{"notificationType": "email", "notificationAddress": "x"}`); status != 403 {
			t.Errorf("%s: %d", c.path, status)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	d := open(t, true, "notify:*")
	d.smtp.OnRecipient(func(a string) error {
		if a == "none@example.com" {
			return smtptest.Answer(550, "no such mailbox")
		}
		return nil
	})
	for name, c := range map[string]struct{ path, body, code, says string }{
		"no address":      {"/email", `{"address": "nobody", "subject": "s", "content": "c"}`, "InputValidationError", "address"},
		"injection":       {"/email", `{"address": "a@example.com", "subject": "s\r\nBcc: x@y", "content": "c"}`, "InputError", "line break"},
		"long subject":    {"/email", `{"address": "a@example.com", "subject": "` + strings.Repeat("s", 256) + `", "content": "c"}`, "InputValidationError", "subject"},
		"long content":    {"/email", `{"address": "a@example.com", "subject": "s", "content": "` + strings.Repeat("s", 102401) + `"}`, "InputValidationError", "content"},
		"template":        {"/email", `{"address": "a@example.com", "subject": "s", "content": "c", "template": "x"}`, "InputValidationError", "template"},
		"script link":     {"/email", `{"address": "a@example.com", "subject": "s", "content": "c", "link": {"text": "x", "href": "javascript:alert(1)"}}`, "InputError", "https://"},
		"extra member":    {"/email", `{"address": "a@example.com", "subject": "s", "content": "c", "x": 1}`, "InputValidationError", "x"},
		"no mailbox":      {"/email", `{"address": "none@example.com", "subject": "s", "content": "c"}`, "InputError", "no such mailbox"},
		"no room":         {"/matrix", `{"roomId": "!x:y", "body": "b"}`, "InputError", "M_FORBIDDEN"},
		"alias":           {"/matrix", `{"roomId": "#x:y", "body": "b"}`, "InputError", "internal id"},
		"no channel":      {"/slack", `{"channelId": "C404", "text": "b"}`, "InputError", "there is no such channel"},
		"bad blocks":      {"/slack", `{"channelId": "C0PUBLIC", "text": "b", "blocks": [{"type": "x"}]}`, "InputError", "unsupported type"},
		"pulse no object": {"/pulse", `{"routingKey": "a", "message": "x"}`, "InputValidationError", "message"},
		"long key":        {"/pulse", `{"routingKey": "` + strings.Repeat("k", 250) + `", "message": {}}`, "InputError", "247"},
		"nul":             {"/pulse", `{"routingKey": "a\u0000", "message": {}}`, "InputError", "zero byte"},
		"denylist type":   {"/denylist/add", `{"notificationType": "sms", "notificationAddress": "x"}`, "InputValidationError", "notificationType"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := d.call("POST", c.path, c.body)
			if message, _ := answer["message"].(string); status != 400 || answer["code"] != c.code || !strings.Contains(message, c.says) {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
}

func TestDenylist(t *testing.T) {
	d := open(t, true, "notify:*")
	for _, body := range []string{`{"notificationType": "email", "notificationAddress": "YOU@example.com"}`, `{"notificationType": "pulse", "notificationAddress": "a.b"}`, `{"notificationType": "email", "notificationAddress": "YOU@example.com"}`} {
		if status, answer := d.call("POST", "/denylist/add", body); status != 200 {
			t.Fatal(status, answer)
		}
	}
	for path, body := range map[string]string{"/email": mailBody, "/pulse": pulseBody} {
		if status, answer := d.call("POST", path, body); status != 400 || answer["code"] != "DenylistedAddress" {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	_, first := d.call("GET", "/denylist/list?limit=1", "")
	token, _ := first["continuationToken"].(string)
	_, second := d.call("GET", "/denylist/list?limit=1&continuationToken="+token, "")
	want := []any{
		map[string]any{"notificationType": "email", "notificationAddress": "YOU@example.com"},
		map[string]any{"notificationType": "pulse", "notificationAddress": "a.b"},
	}
	got := append(first["addresses"].([]any), second["addresses"].([]any)...)
	if diff := cmp.Diff(want, got); diff != "" || token == "" || second["continuationToken"] != nil {
		t.Error(diff, first, second)
	}
	for range 2 {
		if status, answer := d.call("DELETE", "/denylist/delete", `{"notificationType": "email", "notificationAddress": "YOU@example.com"}`); status != 200 {
			t.Error(status, answer)
		}
	}
	if status, answer := d.call("POST", "/email", mailBody); status != 200 {
		t.Error(status, answer)
	}
}

func TestTestsAndTheList(t *testing.T) {
	d := open(t, true, "notify:*")
	for range 2 {
		for kind, address := range map[string]string{"email": "you@example.com", "slack-channel": "C0PUBLIC", "matrix-room": chattest.Room, "pulse": "a"} {
			status, answer := d.call("POST", "/test", `{"notificationType": "`+kind+`", "notificationAddress": "`+address+`"}`)
			if status != 200 || answer["sent"] != true {
				t.Errorf("%s: %d %v", kind, status, answer)
			}
		}
	}
	d.smtp.OnRecipient(func(string) error { return smtptest.Answer(451, "greylisted") })
	status, answer := d.call("POST", "/test", `{"notificationType": "email", "notificationAddress": "other@example.com"}`)
	if problem, _ := answer["problem"].(string); status != 200 || answer["sent"] != false || !strings.Contains(problem, "greylisted") {
		t.Errorf("%d %v", status, answer)
	}
	if status, answer := d.call("POST", "/email", mailBody); status != 200 {
		t.Errorf("a mail that has to wait: %d %v", status, answer)
	}
	_, list := d.call("GET", "/notifications", "")
	var states []any
	for _, n := range list["notifications"].([]any) {
		states = append(states, n.(map[string]any)["state"])
	}
	if diff := cmp.Diff([]any{"waiting", "failed"}, states); diff != "" {
		t.Error(diff, list)
	}
	_, list = d.call("GET", "/notifications?state=sent,failed&limit=3", "")
	if n := len(list["notifications"].([]any)); n != 3 || list["continuationToken"] == nil {
		t.Error(list)
	}
	_, list = d.call("GET", "/notifications?state=sent,failed&continuationToken="+list["continuationToken"].(string), "")
	if n := len(list["notifications"].([]any)); n != 6 {
		t.Error(n, list)
	}
	late, err := web.Token(int64(3_000_000_000)) // of a deployment that has told much
	if err != nil {
		t.Fatal(err)
	}
	if status, list := d.call("GET", "/notifications?continuationToken="+late, ""); status != 200 || len(list["notifications"].([]any)) != 2 {
		t.Error(status, list)
	}
	if status, _ := d.call("GET", "/notifications?state=lost", ""); status != 400 {
		t.Error(status)
	}
}

func TestWhatIsNotConfiguredSaysSo(t *testing.T) {
	d := open(t, false, "notify:*")
	for path, c := range map[string]struct{ body, says string }{
		"/email": {mailBody, "TREELINE_SMTP_URL"}, "/slack": {slackBody, "TREELINE_SLACK_TOKEN"}, "/matrix": {matrixBody, "TREELINE_MATRIX_URL"},
		"/test": {`{"notificationType": "email", "notificationAddress": "a@example.com"}`, "TREELINE_MAIL_FROM"},
	} {
		status, answer := d.call("POST", path, c.body)
		if message, _ := answer["message"].(string); status != 400 || answer["code"] != "InputError" || !strings.Contains(message, c.says) {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if status, _ := d.call("POST", "/pulse", pulseBody); status != 200 {
		t.Errorf("pulse: %d", status)
	}
}
