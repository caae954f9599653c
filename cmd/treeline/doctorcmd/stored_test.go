package doctorcmd_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/secrets"
)

// theApp is the server's secret with the GitHub App.
const theApp = "treeline/github"

// keep puts a value into a secret of the server.
func (d *deployment) keep(name string, value any) {
	d.t.Helper()
	own, err := app.LoadSecrets(filepath.Join(d.dir, "secrets.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	ring, err := own.Ring()
	if err != nil {
		d.t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		d.t.Fatal(err)
	}
	vault := app.Vault(d.pool, ring, slog.New(slog.DiscardHandler))
	if err := vault.Set(d.t.Context(), "test", name, secrets.Secret{Value: text, Expires: time.Now().Add(time.Hour)}); err != nil {
		d.t.Fatal(err)
	}
}

// asStored is the App as the server's secret holds it.
func (a *around) asStored() settings.Stored {
	return settings.Stored{AppID: a.app.ID, Key: string(a.app.PrivateKey()), WebhookSecrets: []string{a.word}, API: a.gh.APIURL()}
}

// stores moves the App from the environment to a secret of the server, until the test ends.
func (d *deployment) stores(t *testing.T, a *around) {
	t.Helper()
	for _, name := range []string{settings.AppIDSetting, settings.KeySetting, settings.SecretsSetting, settings.APISetting} {
		t.Setenv(name, "")
	}
	d.keep(theApp, a.asStored())
	t.Setenv(settings.StoredSetting, theApp)
}

// hub is what may be wrong with an App that stands in a secret of the server.
func (d *deployment) hub(a *around) []illness {
	stored := func(name, code string, change func(*settings.Stored)) illness {
		return illness{name: "stored: " + name, codes: []string{code}, plant: func() {
			s := a.asStored()
			change(&s)
			d.keep(theApp, s)
		}, cure: func() { d.keep(theApp, a.asStored()) }}
	}
	all := []illness{
		stored("GitHub knows no such App", "github-unreachable", func(s *settings.Stored) { s.AppID = 1234567 }),
		stored("the secret of webhooks is short", "secret-weak", func(s *settings.Stored) { s.WebhookSecrets = []string{"k9-mzq"} }),
		stored("there is no secret of webhooks", "config-unreadable", func(s *settings.Stored) { s.WebhookSecrets = nil }),
		stored("the key is none", "config-unreadable", func(s *settings.Stored) { s.Key = "x" }),
		stored("the secret is something else", "config-unreadable", func(s *settings.Stored) { *s = settings.Stored{} }),
		d.replace("stored: there is no such secret", settings.StoredSetting, "treeline/absent", "config-unreadable"),
	}
	for _, ill := range a.atGitHub() {
		ill.name = "stored: " + ill.name
		all = append(all, ill)
	}
	return all
}

// lifecycle is a bucket's answer, as the S3 API's reference writes it.
const lifecycle = `<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Rule><ID>tidy</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>
</LifecycleConfiguration>`

// bucket is one of a real S3 server, which keeps no rules of a bucket: a proxy before it tells one.
func (d *deployment) bucket(t *testing.T) {
	server := s3test.Start(t)
	proxy := s3test.NewProxy(t, server)
	stores := d.write("bucket.yml", fmt.Sprintf("stores: [{name: far, s3: {endpoint: %q, bucket: %q, region: %q, access-key: %q, secret-key: %q}}]\n",
		proxy.Endpoint, server.Bucket(t), s3test.Region, s3test.AccessKey, s3test.SecretKey), 0o600)
	d.set("TREELINE_OBJECT_STORES", stores)
	defer d.set("TREELINE_OBJECT_STORES", "")
	d.args = []string{"--only", "object stores"}
	defer func() { d.args = nil }()
	d.until(t, illness{})
	proxy.Spoil(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodGet && r.URL.Query().Has("lifecycle") {
			return s3test.Fault{Status: http.StatusOK, Body: lifecycle}
		}
		return s3test.Fault{}
	})
	d.until(t, illness{codes: []string{"storage-lifecycle"}})
}
