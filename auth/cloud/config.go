package cloud

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Setting is the environment variable that names the file with a Config.
const Setting = "TREELINE_CLOUD_CREDENTIALS"

// Config is what an operator says about other systems. A section left out hands out nothing. The
// addresses are for other partitions, private installations and tests; each has a default.
type Config struct {
	AWS           AWSConfig           `yaml:"aws"`
	GCP           GCPConfig           `yaml:"gcp"`
	Azure         AzureConfig         `yaml:"azure"`
	Sentry        SentryConfig        `yaml:"sentry"`
	Websocktunnel WebsocktunnelConfig `yaml:"websocktunnel"`
	GitHub        GitHubConfig        `yaml:"github"`
}

// AWSConfig lists buckets, by the IAM user that may read and write them and call
// sts:GetFederationToken.
type AWSConfig struct {
	Region   string       `yaml:"region"` // of STS; the default is us-east-1
	STS      string       `yaml:"sts"`    // address of STS; "" is the region's
	Accounts []AWSAccount `yaml:"accounts"`
}

// AWSAccount is one IAM user.
type AWSAccount struct {
	AccessKeyID     string   `yaml:"accessKeyId"`
	SecretAccessKey string   `yaml:"secretAccessKey"`
	Buckets         []string `yaml:"buckets"`
}

// GCPConfig lists projects of Google Cloud.
type GCPConfig struct {
	IAMCredentials string                `yaml:"iamCredentials"` // address; the default is https://iamcredentials.googleapis.com
	Projects       map[string]GCPProject `yaml:"projects"`
}

// GCPProject names the service accounts that tokens are given for, and holds the key file of one
// that has the role roles/iam.serviceAccountTokenCreator on each of them.
type GCPProject struct {
	Credentials            map[string]string `yaml:"credentials"` // the JSON key file, as it is
	AllowedServiceAccounts []string          `yaml:"allowedServiceAccounts"`
}

// AzureConfig lists storage accounts by name.
type AzureConfig struct {
	Accounts map[string]AzureAccount `yaml:"accounts"`
}

// AzureAccount is a storage account.
type AzureAccount struct {
	Key    string `yaml:"key"`    // base64
	Blobs  string `yaml:"blobs"`  // address; the default is https://<account>.blob.core.windows.net
	Tables string `yaml:"tables"` // address; the default is https://<account>.table.core.windows.net
}

// SentryConfig is an organization at Sentry.
type SentryConfig struct {
	URL          string `yaml:"url"` // the default is https://sentry.io
	Token        string `yaml:"token"`
	Organization string `yaml:"organization"`
	Team         string `yaml:"team"`      // new projects belong to it
	KeyPrefix    string `yaml:"keyPrefix"` // begins the names of our keys; the default is treeline
}

// WebsocktunnelConfig is shared with websocktunnel servers.
type WebsocktunnelConfig struct {
	Secret string `yaml:"secret"` // one of the server's two; 22 characters or more
}

func (c WebsocktunnelConfig) check() error {
	if n := len(c.Secret); n > 0 && n < 22 {
		return errors.New("websocktunnel: the secret needs 22 characters or more")
	}
	return nil
}

// GitHubConfig lists GitHub Apps by the name that scopes call them.
type GitHubConfig struct {
	API  string               `yaml:"api"` // the default is https://api.github.com
	Apps map[string]GitHubApp `yaml:"apps"`
}

// GitHubApp is a GitHub App.
type GitHubApp struct {
	AppID      int64  `yaml:"appId"`
	PrivateKey string `yaml:"privateKey"` // PEM
}

// LogValue keeps secrets out of logs.
func (Config) LogValue() slog.Value { return slog.StringValue("cloud credentials") }

// String keeps secrets out of texts.
func (Config) String() string { return "cloud credentials" }

// maxConfig is far more bytes than a deployment needs.
const maxConfig = 1 << 20

// LoadConfig reads a Config from a YAML file. "" is an empty one. An error names the file and line,
// and never what stands there.
func LoadConfig(path string) (Config, error) {
	if path == "" {
		return Config{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", Setting, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", Setting, err)
	}
	if len(data) > maxConfig {
		return Config{}, fmt.Errorf("%s: %s has more than %d bytes", Setting, path, maxConfig)
	}
	c, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %s: %w", Setting, path, err)
	}
	return c, nil
}

// ParseConfig reads a Config from YAML, of which JSON is a part.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	switch err := dec.Decode(&c); {
	case errors.Is(err, io.EOF):
		return Config{}, nil
	case err != nil:
		return Config{}, errors.New(withoutValues(err.Error()))
	}
	return c, nil
}

var (
	quoted  = regexp.MustCompile("`[^`\n]*`?")
	goTypes = regexp.MustCompile(` (in|into) (type )?(\[\])?(map\[string\])?(cloud\.)?\w+`)
	unknown = regexp.MustCompile(`field (\S{1,40}) not found`)
)

// withoutValues takes what the file says out of an error of the YAML library: it may be a secret.
func withoutValues(text string) string {
	text = strings.TrimPrefix(text, "yaml: ")
	text = quoted.ReplaceAllString(text, "(a value)")
	text = goTypes.ReplaceAllString(text, "")
	return unknown.ReplaceAllString(text, `there is no setting "$1" here`)
}

// address checks an address that an operator gave, or takes the default.
func address(given, otherwise string) (string, error) {
	if given == "" {
		return otherwise, nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil {
		return "", errors.New("an address must be http or https with a host, and without a query")
	}
	return strings.TrimRight(given, "/"), nil
}
