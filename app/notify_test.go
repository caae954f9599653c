package app_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
)

const hush = "hush-hush-secret"

// written puts text into a new file and returns its name.
func written(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func loadNotify(env map[string]string) (app.Notify, error) {
	return app.LoadNotify(func(name string) string { return env[name] })
}

func TestSettingsOfNotifications(t *testing.T) {
	file := written(t, `
smtp: {host: file.example.com, port: 2525, user: u, password: `+hush+`, tls: tls, from: file@example.com}
slack: {token: xoxb-file}
matrix: {homeserver: "https://file.example.com", token: t}
`)
	whole := app.Notify{
		SMTP:   mail.Config{Host: "file.example.com", Port: 2525, User: "u", Password: hush, TLS: "tls", From: "file@example.com"},
		Slack:  chat.SlackConfig{Token: "xoxb-file"},
		Matrix: chat.MatrixConfig{Homeserver: "https://file.example.com", Token: "t"},
	}
	changed := whole
	changed.SMTP = mail.Config{Host: "env.example.com", Port: 587, User: "v", Password: "w", From: "env@example.com"}
	changed.Slack.Token = hush
	for name, c := range map[string]struct {
		env  map[string]string
		want app.Notify
	}{
		"nothing": {nil, app.Notify{}},
		"a file":  {map[string]string{"TREELINE_NOTIFY": file}, whole},
		"the environment wins": {map[string]string{
			"TREELINE_NOTIFY": file, "TREELINE_SMTP_URL": "smtp://v:w@env.example.com:587", "TREELINE_MAIL_FROM": "env@example.com", "TREELINE_SLACK_TOKEN_FILE": written(t, hush+"\n"),
		}, changed},
		"one by one": {map[string]string{"TREELINE_SMTP_HOST": "h", "TREELINE_SMTP_USER": "u", "TREELINE_SMTP_PASSWORD_FILE": written(t, hush), "TREELINE_SMTP_TLS": "starttls", "TREELINE_MAIL_FROM": "a@b"},
			app.Notify{SMTP: mail.Config{Host: "h", User: "u", Password: hush, TLS: "starttls", From: "a@b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loadNotify(c.env)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "notify", got)
			if strings.Contains(log.String(), hush) {
				t.Errorf("the log has the secret: %s", &log)
			}
		})
	}
	for name, env := range map[string]map[string]string{
		"no file":           {"TREELINE_NOTIFY": "/nonexistent"},
		"unknown key":       {"TREELINE_NOTIFY": written(t, "smtp: {passwort: "+hush+"}")},
		"a list":            {"TREELINE_NOTIFY": written(t, "["+hush+"]")},
		"wrong type":        {"TREELINE_NOTIFY": written(t, "smtp: {port: "+hush+"}")},
		"bad URL":           {"TREELINE_SMTP_URL": "smtp://u:" + hush + "@x:port"},
		"no file of secret": {"TREELINE_SLACK_TOKEN_FILE": "/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadNotify(env); err == nil || strings.Contains(fmt.Sprintf("%+v", err), hush) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAServerSaysWhatItsSettingsOfNotificationsLack(t *testing.T) {
	c := app.Config{Notify: app.Notify{
		SMTP: mail.Config{Host: "mail.example.com", User: "u", Password: hush}, Matrix: chat.MatrixConfig{Token: hush},
		Slack: chat.SlackConfig{Token: hush, URL: "http://slack.example.com"},
	}}
	err := c.Check()
	for _, want := range []string{"mail: from", "matrix: give both", "slack: a token must not go"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), hush) {
		t.Errorf("%v", err)
	}
}
