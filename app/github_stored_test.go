package app

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/secrets"
)

func TestTheAppMayStandInTheServersSecrets(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	set := func(name string, v any) {
		t.Helper()
		text, err := json.Marshal(v)
		h.must(err)
		h.must(h.server.secrets.Set(t.Context(), RootClient, name, secrets.Secret{Value: text, Expires: time.Now().Add(time.Hour)}))
	}
	set("treeline/github", settings.Stored{AppID: h.app.ID, Key: string(h.app.PrivateKey()), WebhookSecrets: []string{"second secret"}, API: h.gh.APIURL()})
	set("other", map[string]string{"password": "hunter2"})
	c, err := StoredGitHub(t.Context(), h.server.secrets, github.Config{Stored: "treeline/github"}, "reader")
	h.must(err)
	if c.AppID != h.app.ID || c.API != h.gh.APIURL() || len(c.Secrets) != 1 || !strings.Contains(string(c.Key), "PRIVATE KEY") {
		t.Errorf("App %d at %s", c.AppID, c.API)
	}
	for name, want := range map[string]string{"missing": "treeline github setup --secret missing", "other": "is not one that"} {
		if _, err := StoredGitHub(t.Context(), h.server.secrets, github.Config{Stored: name}, "reader"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv(settings.StoredSetting, "treeline/github")
	t.Setenv(settings.AppIDSetting, "")
	if c, err := settings.LoadConfig(); err != nil || c.Stored != "treeline/github" || c.AppID != 0 {
		t.Errorf("%+v %v", c, err)
	}
	t.Setenv(settings.AppIDSetting, "7")
	if _, err := settings.LoadConfig(); err == nil {
		t.Error("two places are taken")
	}
}
