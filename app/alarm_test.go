package app_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/task"
)

// lines is a log that can be read while a server writes.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.String(), text)
}

func TestASecretThatAPersonReadsRaisesAnAlarm(t *testing.T) {
	post := smtptest.Start(t, smtptest.Options{})
	alarms, err := app.ParseAlarms("email:ops@example.com pulse:alarms.secrets", "deploy/known deploy/site/*")
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	s := apptest.Start(t, func(c *app.Config) {
		c.Alarms = alarms
		c.Notify.SMTP = mail.Config{Host: post.Host, Port: post.Port, CA: post.CA, From: "ci@example.com"}
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	kept, err := app.LoadSecrets(filepath.Join(s.Dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	queue := hawk.Credentials{ClientID: "static/taskcluster/queue", AccessToken: kept.QueueToken}
	as := func(issuer hawk.Credentials, name string) *client.Client {
		t.Helper()
		if name != "" {
			var err error
			issuer, err = hawk.CreateTemporary(issuer, hawk.TempOptions{ClientID: name, Scopes: []string{"secrets:get:*"}, Start: time.Now().Add(-time.Minute), Expiry: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
		}
		c, err := client.New(client.Config{RootURL: s.URL, Credentials: issuer})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := as(s.Root, "")
	for _, name := range []string{"project/a/key", "project/b/key"} {
		if err := root.SetSecret(t.Context(), name, client.Secret{Secret: json.RawMessage(`{"v": "hunter2"}`), Expires: task.At(time.Now().Add(time.Hour))}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(c *client.Client, name string) {
		t.Helper()
		if got, err := c.Secret(t.Context(), name); err != nil || !strings.Contains(string(got.Secret), "hunter2") {
			t.Fatalf("%s %v", got.Secret, err)
		}
	}
	const aTask = "task-client/fN1SbArXTPSVFNUvaOlinQ/0/on/g/w/until/1"
	read(as(queue, aTask), "project/a/key")
	read(as(s.Root, "deploy/known"), "project/a/key")
	read(as(s.Root, "deploy/site/production"), "project/a/key")
	if n := log.count("somebody who is no task"); n != 0 {
		t.Errorf("%d alarms for programs", n)
	}
	for range 3 {
		read(root, "project/a/key")
	}
	read(as(s.Root, "ada/laptop"), "project/a/key")
	read(root, "project/b/key")
	read(as(s.Root, aTask), "project/b/key") // who may do everything can take any name
	told := map[string]int{}
	for _, m := range post.Wait(t, 4) {
		for _, who := range []string{s.Root.ClientID, "ada/laptop", aTask} {
			if strings.Contains(m.Text, who) {
				told[who+" "+strings.TrimPrefix(m.Subject(), "A secret was read: ")]++
			}
		}
		if m.To != "ops@example.com" || strings.Contains(m.Text+m.HTML, "hunter2") || !strings.Contains(m.Text, "TREELINE_ALARM_TO") {
			t.Errorf("to %s:\n%s", m.To, m.Text)
		}
	}
	for _, want := range []string{s.Root.ClientID + " project/a/key", s.Root.ClientID + " project/b/key", "ada/laptop project/a/key", aTask + " project/b/key"} {
		if told[want] != 1 {
			t.Errorf("%s was told %d times", want, told[want])
		}
	}
	if n := log.count("somebody who is no task"); n != 4 || len(post.Mails()) != 4 {
		t.Errorf("%d lines, %d mails", n, len(post.Mails()))
	}
	w := httptest.NewRecorder()
	s.App.Metrics().Handler("", slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), "\ntreeline_secrets_read_by_people_total 6\n") {
		t.Errorf("not counted: %.300s", w.Body)
	}
}

func TestSettingsOfAlarms(t *testing.T) {
	for text, want := range map[string]string{"ops@example.com": "say email:ADDRESS", "email:": "email:", "sms:1": "say email", "email:nobody": "email:nobody"} {
		if _, err := app.ParseAlarms(text, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	alarms, err := app.ParseAlarms("email:ops@example.com\tslack-channel:C123ABC matrix-room:!a:example.com pulse:x", " ")
	if err != nil || len(alarms.To) != 4 || len(alarms.Except) != 0 {
		t.Errorf("%+v, %v", alarms, err)
	}
	c := app.Config{DatabaseURL: "postgres://x", DataDir: "x", Alarms: alarms}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "nothing can be sent to email:ops@example.com") {
		t.Errorf("without mail: %v", err)
	}
}
