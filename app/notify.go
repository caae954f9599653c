package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/notify/news"
	"github.com/treeline-ci/treeline/queue"
)

// Notify says how notifications get out; what is not set is not sent. Its file and variables are in
// docs/reference/notify.md. It has secrets: it is not logged.
type Notify struct {
	SMTP   mail.Config       `yaml:"smtp"`
	Slack  chat.SlackConfig  `yaml:"slack"`
	Matrix chat.MatrixConfig `yaml:"matrix"`
}

// LogValue keeps the secrets out of logs.
func (n Notify) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("mail", n.SMTP.On()), slog.Bool("slack", n.Slack.Token != ""), slog.Bool("matrix", n.Matrix.Token != ""))
}

// LoadNotify reads the file of the setting TREELINE_NOTIFY, if there is one, and then the environment, which
// wins. A secret whose variable has _FILE behind its name is the content of that file. Errors hold no secret.
func LoadNotify(getenv func(string) string) (n Notify, err error) {
	if name := getenv("TREELINE_NOTIFY"); name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			return n, fmt.Errorf("app: settings of notifications: %w", err)
		}
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&n); err != nil && !errors.Is(err, io.EOF) {
			// A YAML error may repeat the value that it is about.
			return n, fmt.Errorf("app: settings of notifications: %s is no YAML of the known keys: smtp {host, port, user, password, tls, ca, from}, slack {token, url}, matrix {homeserver, token}", name)
		}
	}
	var problems []error
	env := func(name string) string {
		value, file := getenv(name), getenv(name+"_FILE")
		if value != "" || file == "" {
			return value
		}
		text, err := os.ReadFile(file)
		if err != nil {
			problems = append(problems, fmt.Errorf("app: %s_FILE: %w", name, err))
		}
		return strings.TrimSpace(string(text))
	}
	if address := env("TREELINE_SMTP_URL"); address != "" {
		server, err := mail.ParseURL(address)
		if err != nil {
			problems = append(problems, fmt.Errorf("app: TREELINE_SMTP_URL: %w", err))
		}
		server.CA, server.From = n.SMTP.CA, n.SMTP.From
		server.User, server.Password = cmp.Or(server.User, n.SMTP.User), cmp.Or(server.Password, n.SMTP.Password)
		n.SMTP = server
	}
	for to, name := range map[*string]string{
		&n.SMTP.Host: "TREELINE_SMTP_HOST", &n.SMTP.User: "TREELINE_SMTP_USER", &n.SMTP.Password: "TREELINE_SMTP_PASSWORD", &n.SMTP.TLS: "TREELINE_SMTP_TLS", &n.SMTP.CA: "TREELINE_SMTP_CA",
		&n.SMTP.From: "TREELINE_MAIL_FROM", &n.Slack.Token: "TREELINE_SLACK_TOKEN", &n.Slack.URL: "TREELINE_SLACK_URL",
		&n.Matrix.Homeserver: "TREELINE_MATRIX_URL", &n.Matrix.Token: "TREELINE_MATRIX_TOKEN",
	} {
		*to = cmp.Or(env(name), *to)
	}
	return n, errors.Join(problems...)
}

// check says what is missing.
func (n *Notify) check() error {
	err := n.SMTP.Check()
	_, slack := chat.NewSlack(n.Slack, slog.New(slog.DiscardHandler))
	_, matrix := chat.NewMatrix(n.Matrix, slog.New(slog.DiscardHandler))
	if err := errors.Join(err, slack, matrix); err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return nil
}

// makeNotify makes the room, with those ways out that are configured.
func (a *App) makeNotify() error {
	c := a.config
	letters, err := mail.New(c.Notify.SMTP, c.RootURL)
	if err != nil {
		return err
	}
	slack, err := chat.NewSlack(c.Notify.Slack, c.Log)
	if err != nil {
		return err
	}
	matrix, err := chat.NewMatrix(c.Notify.Matrix, c.Log)
	if err != nil {
		return err
	}
	a.notify = notify.New(notify.Deps{
		Pool: a.pool, Log: c.Log, Wake: a.feed.Wake, RootURL: c.RootURL, Task: a.queue.Task, Failure: a.failureLine,
		Mail: letters, Slack: slack, Matrix: matrix,
		Audit: func(ctx context.Context, tx pgx.Tx, actor string, d notify.Address, action string) error {
			return auth.Audit(ctx, tx, auth.Record{EntityType: "denylist", EntityID: d.Type + "/" + d.Address, ClientID: actor, Action: action})
		},
	})
	return nil
}

// startNotify starts the room.
func (a *App) startNotify(ctx context.Context) {
	a.notify.Start(ctx, a.feed)
	a.onStop(func(context.Context) error { a.notify.Stop(); return nil })
}

const (
	logSearched = 4 << 20 // bytes of a log in which the failure is looked for
	logName     = "public/logs/live_backing.log"
)

// failureLine finds the line of a run's public log that tells why it failed; "" when there is none.
func (a *App) failureLine(ctx context.Context, taskID string, run int) string {
	_, content, err := a.objects.Open(ctx, queue.ObjectName(taskID, run, logName))
	if err != nil {
		return "" // it does without
	}
	defer content.Close()
	return news.FailureLine(io.LimitReader(content, logSearched))
}
