package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/internal/pg"
)

// nowhere is an address at which nobody listens, so that whatever is sent there ends in an error.
const nowhere = "127.0.0.1:1"

// configured returns settings of a server with every kind of secret in them, for systems that are out of
// reach, and the secrets.
func (s *stage) configured() (env []string, hunt []hunted) {
	s.Helper()
	secret := func(name string) string {
		value := "configured" + rand.Text()
		hunt = append(hunt, hunted{name + " of the configuration", value})
		return value
	}
	file := func(name, format string, args ...any) string {
		path := filepath.Join(s.dir, name)
		s.check(os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
		return path
	}
	azure := base64.StdEncoding.EncodeToString([]byte(secret("the key of Azure")))
	return []string{
		"DATABASE_URL=" + s.cluster.URL(pg.DatabaseName) + "&password=" + secret("the database's password"),
		"TREELINE_PULSE_URL=amqp://treeline:" + secret("the password of RabbitMQ") + "@" + nowhere,
		"TREELINE_SMTP_URL=smtp://treeline:" + secret("the password of mail") + "@" + nowhere, "TREELINE_MAIL_FROM=ci@example.com",
		"TREELINE_SLACK_URL=http://" + nowhere + "/", "TREELINE_SLACK_TOKEN=" + secret("the token of Slack"),
		"TREELINE_MATRIX_URL=http://" + nowhere + "/", "TREELINE_MATRIX_TOKEN=" + secret("the token of Matrix"),
		"TREELINE_LOGIN=" + file("login.yml", `
providers:
  - {name: company, type: oidc, title: Company, issuer: "http://%s", clientId: treeline, clientSecret: %s}
  - {name: github, type: github, url: "http://%s", api: "http://%s", clientId: treeline, clientSecret: %s}
`, nowhere, secret("the client's secret of the company"), nowhere, nowhere, secret("the client's secret of GitHub")),
		"TREELINE_CLOUD_CREDENTIALS=" + file("cloud.yml", `
aws: {sts: "http://%s", accounts: [{accessKeyId: AKIA, secretAccessKey: %s, buckets: [files]}]}
azure: {accounts: {mystorage: {key: %s, blobs: "http://%s"}}}
sentry: {url: "http://%s", token: %s, organization: o, team: t, keyPrefix: k}
websocktunnel: {secret: %s}
`, nowhere, secret("the secret key of AWS"), azure, nowhere, nowhere, secret("the token of Sentry"), secret("the secret of websocktunnel")),
	}, hunt
}

// useConfigured has the server use each of the settings, mostly in vain.
func (s *stage) useConfigured() {
	s.Helper()
	for _, a := range []ask{
		{method: "POST", path: "/api/notify/v1/email", body: `{"address": "a@example.com", "subject": "s", "content": "c"}`},
		{method: "POST", path: "/api/notify/v1/slack", body: `{"channelId": "C123456", "text": "t"}`},
		{method: "POST", path: "/api/notify/v1/matrix", body: `{"roomId": "!a:example.com", "body": "b"}`},
		{method: "POST", path: "/api/notify/v1/pulse", body: `{"routingKey": "a.b", "message": {}}`},
		{path: "/login/company?next=/"}, {path: "/login/github?next=/"}, {path: "/login/company/callback?code=c&state=s"}, {path: "/login/github/callback?code=c&state=s"},
		{path: "/api/auth/v1/aws/s3/read-only/files/p/"}, {path: "/api/auth/v1/aws/s3/read-only/other/p/"},
		{path: "/api/auth/v1/azure/mystorage/containers/files/read-write"}, {path: "/api/auth/v1/azure/mystorage/table/rows/read-write"},
		{path: "/api/auth/v1/sentry/p/dsn"}, {path: "/api/auth/v1/websocktunnel/a/b"},
		{path: "/__heartbeat__"}, {path: "/api/notify/v1/notifications"},
	} {
		a.as = s.root
		s.send(a)
	}
}
