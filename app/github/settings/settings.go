// Package settings is the configuration of the GitHub App that a server is, as the environment or the server's own
// secrets give it.
package settings

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/ghclient"
)

// Config is how the server knows its App; the zero value is a server without GitHub.
type Config struct {
	AppID   int64
	Key     []byte   // the App's private key in PEM
	Secrets []string // of webhooks; each is tried, so that they can be changed
	API     string   // of GitHub Enterprise Server: https://HOST/api/v3/; "" is github.com
	Stored  string   // the server's secret that holds all that, a Stored; "" when it stands here

	CheckTimes checks.Times // of what brings check runs to GitHub; zero values are the defaults
	CheckPace  checks.Pace
}

// Stored is the App as a secret of the server holds it.
type Stored struct {
	AppID          int64    `json:"appId"`
	Key            string   `json:"key"` // in PEM
	WebhookSecrets []string `json:"webhookSecrets"`
	API            string   `json:"api,omitempty"`
}

// The environment variables of Config.
const (
	AppIDSetting   = "TREELINE_GITHUB_APP_ID"
	KeySetting     = "TREELINE_GITHUB_APP_KEY"         // the key
	KeyFileSetting = "TREELINE_GITHUB_APP_KEY_FILE"    // or a file with it
	SecretsSetting = "TREELINE_GITHUB_WEBHOOK_SECRETS" //nolint:gosec // a name; the secrets with spaces or line ends between, or file:PATH
	APISetting     = "TREELINE_GITHUB_API"
	StoredSetting  = "TREELINE_GITHUB_SECRET" // instead of all others: the name of the server's secret that is a Stored
)

// LoadConfig reads the environment. Without an App's id there is no GitHub.
func LoadConfig() (Config, error) {
	var c Config
	id := os.Getenv(AppIDSetting)
	if c.Stored = os.Getenv(StoredSetting); c.Stored != "" && id != "" {
		return c, fmt.Errorf("%s and %s are both set: the App stands in one place", StoredSetting, AppIDSetting)
	}
	if id == "" {
		return c, nil
	}
	var err error
	if c.AppID, err = strconv.ParseInt(id, 10, 64); err != nil {
		return c, fmt.Errorf("%s: %q is not a number; the App's page shows its id", AppIDSetting, id)
	}
	c.API = os.Getenv(APISetting)
	c.Key = []byte(os.Getenv(KeySetting))
	if at := os.Getenv(KeyFileSetting); at != "" {
		if c.Key, err = os.ReadFile(at); err != nil {
			return c, fmt.Errorf("%s: %w", KeyFileSetting, err)
		}
	}
	secrets := os.Getenv(SecretsSetting)
	if at, ok := strings.CutPrefix(secrets, "file:"); ok {
		text, err := os.ReadFile(at)
		if err != nil {
			return c, fmt.Errorf("%s: %w", SecretsSetting, err)
		}
		secrets = string(text)
	}
	c.Secrets = strings.Fields(secrets)
	return c, c.Check()
}

// Check says what is missing.
func (c Config) Check() error {
	if c.AppID == 0 {
		return nil
	}
	var problems []error
	if len(c.Secrets) == 0 {
		problems = append(problems, fmt.Errorf("GitHub: set %s; without a secret anybody could send webhooks", SecretsSetting))
	}
	if _, err := ghclient.New(ghclient.Config{AppID: c.AppID, Key: c.Key, API: c.API}); err != nil {
		problems = append(problems, fmt.Errorf("GitHub (%s or %s, %s): %w", KeyFileSetting, KeySetting, APISetting, err))
	}
	return errors.Join(problems...)
}
