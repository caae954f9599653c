package doctorcmd

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/cmd/treeline/serveflags"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/keyservice"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/pools/provider/setup"
)

// deployment is what a configuration says, as far as it can be read.
type deployment struct {
	config app.Config
	data   string // TREELINE_DATA
	files  []string
	found  []doctor.Finding
	// secrets are there, and could be read.
	secrets bool
}

// load reads each part of the configuration by itself: one that cannot be read is a finding.
func load(ctx context.Context, flags *serveflags.Flags) *deployment {
	d := &deployment{data: serveflags.Data()}
	var problems []serveflags.Problem
	d.config, problems = flags.Read()
	for _, p := range problems {
		d.found = append(d.found, doctor.Found("config-unreadable", "%v", p))
	}
	d.config.RootURL = strings.TrimSuffix(d.config.RootURL, "/")
	d.loadSecrets(ctx)
	d.secretFiles()
	d.checkTogether()
	return d
}

func (d *deployment) loadSecrets(ctx context.Context) {
	if d.data == "" {
		d.found = append(d.found, doctor.Found("config-unreadable", "TREELINE_DATA is not set"))
		return
	}
	path := serveflags.SecretsFile(d.data)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		d.found = append(d.found, doctor.Found("secrets-missing", "there is no %s", path)) // to read it would make it
		return
	}
	d.files = append(d.files, path)
	secrets, err := app.LoadSecrets(path)
	if err == nil {
		_, err = secrets.LoadKeys(ctx)
	}
	if err != nil {
		code := "config-unreadable"
		if keyservice.Failed(err) {
			code = "key-service"
		}
		d.found = append(d.found, doctor.Found(code, "%v", err))
		return
	}
	d.config.Secrets, d.secrets = secrets, true
}

// checkTogether has the server's own check look at what could be read.
func (d *deployment) checkTogether() {
	if d.config.RootURL == "" {
		d.found = append(d.found, doctor.Found("root-missing", "TREELINE_ROOT_URL is not set"))
	}
	if len(d.found) > 0 && !d.secrets {
		return // it would complain of what is known already
	}
	c := d.config
	if err := c.Check(); err != nil {
		d.found = append(d.found, doctor.Found("config-unreadable", "%v", err))
	}
}

// secretFiles lists the files of the configuration in which secrets may stand.
func (d *deployment) secretFiles() {
	for _, name := range []string{
		cloud.Setting, login.Setting, setup.Setting, "TREELINE_OBJECT_STORES", "TREELINE_NOTIFY", app.KeysFileSetting, settings.KeyFileSetting,
		"DATABASE_URL_FILE", "TREELINE_PULSE_URL_FILE", "TREELINE_HGPUSHES_URL_FILE", "TREELINE_SMTP_URL_FILE", "TREELINE_SMTP_PASSWORD_FILE",
		"TREELINE_SLACK_TOKEN_FILE", "TREELINE_MATRIX_TOKEN_FILE", "TREELINE_METRICS_TOKEN_FILE", "TREELINE_BUG_TRACKER_TOKEN_FILE",
	} {
		if path := os.Getenv(name); path != "" && (name != "TREELINE_OBJECT_STORES" || d.keysIn(path)) {
			d.files = append(d.files, path)
		}
	}
	for _, word := range append(strings.Fields(os.Getenv(app.MasterKeySetting)), os.Getenv(settings.SecretsSetting)) {
		if path, ok := strings.CutPrefix(word, "file:"); ok {
			d.files = append(d.files, path)
		}
	}
}

// keysIn reports whether a file of object stores has a key in it; it may name variables and files that have them.
func (d *deployment) keysIn(path string) bool {
	text, err := os.ReadFile(path)
	return err != nil || slices.ContainsFunc(d.config.Objects.Stores, func(s app.ObjectStore) bool {
		return s.S3 != nil && s.S3.SecretKey != "" && strings.Contains(string(text), s.S3.SecretKey)
	})
}

// passwords are the secrets of the configuration that a person may have chosen, by what they are for.
func (d *deployment) passwords() map[string]string {
	out := map[string]string{}
	ofURL := func(what, address string) {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			if p, set := u.User.Password(); set {
				out[what] = p
			}
		}
	}
	ofURL("the password of the database", d.config.DatabaseURL)
	ofURL("the password of RabbitMQ", d.config.Pulse.URL)
	if token := d.config.Metrics.Token; token != "" {
		out["the token of the metrics"] = token
	}
	maps.Copy(out, webhookSecrets(d.config.GitHub))
	for _, s := range d.config.Objects.Stores {
		if s.S3 != nil && s.S3.SecretKey != "" {
			out["the secret key of the object store "+s.Name] = s.S3.SecretKey
		}
	}
	return out
}

// variables are the names of Treeline's variables of the environment: those that are read by some command.
func variables() []string {
	return []string{
		"TREELINE_ALARM_EXCEPT", "TREELINE_ALARM_TO",
		"TREELINE_BUG_TRACKER", "TREELINE_BUG_TRACKER_TOKEN", "TREELINE_BUG_TRACKER_TOKEN_FILE",
		"TREELINE_CLOUD_CREDENTIALS", "TREELINE_CREDENTIALS", "TREELINE_DATA", "TREELINE_ENCRYPTION_KEYS", "TREELINE_ENCRYPTION_KEYS_FILE", "TREELINE_FRESH_SIGN_IN",
		"TREELINE_GITHUB_API", "TREELINE_GITHUB_APP_ID", "TREELINE_GITHUB_APP_KEY", "TREELINE_GITHUB_APP_KEY_FILE", "TREELINE_GITHUB_SECRET",
		"TREELINE_GITHUB_WEBHOOK_SECRETS", "TREELINE_HEALTH_URL", "TREELINE_HGPUSHES_URL", "TREELINE_HGPUSHES_URL_FILE", "TREELINE_INTERNAL_URL", "TREELINE_LIMITS", "TREELINE_LOGIN", "TREELINE_MAIL_FROM",
		"TREELINE_MASTER_KEY", "TREELINE_MATRIX_TOKEN", "TREELINE_MATRIX_TOKEN_FILE", "TREELINE_MATRIX_URL", "TREELINE_METRICS", "TREELINE_METRICS_TOKEN",
		"TREELINE_METRICS_TOKEN_FILE", "TREELINE_NOTIFY", "TREELINE_OBJECT_STORES", "TREELINE_OTLP_ENDPOINT", "TREELINE_POOLS", "TREELINE_PULSE_NAMESPACE",
		"TREELINE_PULSE_URL", "TREELINE_PULSE_URL_FILE", "TREELINE_REGISTER", "TREELINE_REPOSITORIES", "TREELINE_ROOT_URL", "TREELINE_RUN_TASK_TERMINAL", "TREELINE_SLACK_TOKEN",
		"TREELINE_SLACK_TOKEN_FILE", "TREELINE_SLACK_URL", "TREELINE_SMTP_CA", "TREELINE_SMTP_HOST", "TREELINE_SMTP_PASSWORD", "TREELINE_SMTP_PASSWORD_FILE",
		"TREELINE_SMTP_TLS", "TREELINE_SMTP_URL", "TREELINE_SMTP_URL_FILE", "TREELINE_SMTP_USER", "TREELINE_TREEHERDER", "TREELINE_TRUSTED_PROXIES",
		"TREELINE_TRY_PUSH_TO", "TREELINE_TWO_PERSONS",
	}
}
