package npmtest_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/notify/notifyapi"
)

// notifyService is the service notify, with a mail server, a Slack and a Matrix homeserver behind it.
func notifyService(t *testing.T, pool *pgxpool.Pool, root string, log *slog.Logger) web.Service {
	t.Helper()
	letters := smtptest.Start(t, smtptest.Options{})
	sender, err1 := mail.New(mail.Config{Host: letters.Host, Port: letters.Port, CA: letters.CA, From: "ci@example.com", Timeout: 10 * time.Second}, root)
	slack, err2 := chat.NewSlack(chat.SlackConfig{Token: chattest.SlackToken, URL: chattest.StartSlack(t).URL}, log)
	matrix, err3 := chat.NewMatrix(chat.MatrixConfig{Homeserver: chattest.StartMatrix(t).URL, Token: chattest.MatrixToken}, log)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return notifyapi.Service(notify.New(notify.Deps{Pool: pool, Log: log, RootURL: root, Mail: sender, Slack: slack, Matrix: matrix}))
}
