package e2e_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/internal/crypt"
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
	// The encryption key lies wrapped in the environment, by a master key in a file.
	raw := func(name string) []byte {
		key := make([]byte, crypt.KeySize)
		rand.Read(key)
		hunt = append(hunt, hunted{name, string(key)})
		return key
	}
	master := raw("the master key")
	keeper, err := crypt.NewLocal(crypt.Key{Secret: master})
	s.check(err)
	wrapped, err := crypt.FormatKey(s.Context(), raw("the encryption key"), keeper)
	s.check(err)
	app, err := rsa.GenerateKey(rand.Reader, 2048)
	s.check(err)
	hunt = append(hunt, hunted{"the key of the GitHub App", string(app.D.Bytes()[64:128])})
	pemText := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(app)})
	s.webhook = secret("the secret of webhooks")
	azure := base64.StdEncoding.EncodeToString([]byte(secret("the key of Azure")))
	return []string{
		"DATABASE_URL=" + s.cluster.URL(pg.DatabaseName) + "&password=" + secret("the database's password"),
		"TREELINE_ENCRYPTION_KEYS=" + wrapped, "TREELINE_MASTER_KEY=file:" + file("master", "%s", base64.StdEncoding.EncodeToString(master)),
		"TREELINE_GITHUB_API=http://" + nowhere, "TREELINE_GITHUB_APP_ID=1", "TREELINE_GITHUB_APP_KEY_FILE=" + file("app.pem", "%s", pemText), "TREELINE_GITHUB_WEBHOOK_SECRETS=" + s.webhook,
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
		{method: "POST", path: "/api/github/v1/builds/owner/repo/cancel"},
	} {
		a.as = s.root
		s.send(a)
	}
	// What GitHub delivers is signed; then the App must speak with GitHub, in vain.
	const delivery = `{"ref": "refs/heads/main", "before": "0000000000000000000000000000000000000000", "after": "1111111111111111111111111111111111111111",
		"repository": {"id": 1, "name": "repo", "full_name": "owner/repo", "owner": {"login": "owner", "id": 2}, "default_branch": "main", "clone_url": "http://127.0.0.1:1/owner/repo.git", "html_url": "http://127.0.0.1:1/owner/repo"},
		"installation": {"id": 3}, "sender": {"login": "ada", "id": 4}, "pusher": {"name": "ada", "email": "ada@example.com"}, "commits": [], "head_commit": {"id": "1111111111111111111111111111111111111111", "message": "m", "timestamp": "2026-01-01T00:00:00Z", "author": {"name": "a", "email": "a@example.com"}}}`
	for i, key := range []string{s.webhook, "wrong"} {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(delivery))
		status, text := s.send(ask{method: "POST", path: "/api/github/v1/github", body: delivery, header: map[string]string{
			"X-GitHub-Event": "push", "X-GitHub-Delivery": fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", i), "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
		}})
		if taken := status < 300; taken != (key == s.webhook) {
			s.Errorf("a delivery signed with the %d. key: %d %s", i+1, status, text)
		}
	}
}
