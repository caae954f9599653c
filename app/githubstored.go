package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/secrets"
)

// StoredGitHub reads the App from the server's secrets, where the configuration says that it is there, and checks it. The
// audit log names the reader. No error has a part of the secret in it.
func StoredGitHub(ctx context.Context, vault *secrets.Secrets, c github.Config, reader string) (github.Config, error) {
	if c.Stored == "" || c.AppID != 0 {
		return c, nil
	}
	secret, err := vault.Get(ctx, reader, c.Stored)
	if fault.KindOf(err) == fault.NotFound {
		return c, fmt.Errorf("%s: the server has no secret %s; start it without the setting, and make the App with \"treeline github setup --secret %s\"", settings.StoredSetting, c.Stored, c.Stored)
	}
	if err != nil {
		return c, err
	}
	var s settings.Stored
	if err := json.Unmarshal(secret.Value, &s); err != nil || s.AppID == 0 {
		return c, fmt.Errorf("%s: the secret %s is not one that \"treeline github setup --secret\" made", settings.StoredSetting, c.Stored) // not its content
	}
	c.AppID, c.Key, c.Secrets, c.API = s.AppID, []byte(s.Key), s.WebhookSecrets, s.API
	return c, c.Check()
}
