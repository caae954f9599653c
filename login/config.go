package login

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/login/provider"
)

// Setting is the environment variable that names the file with a Config.
const Setting = "TREELINE_LOGIN"

// Config is what an operator says about signing in. The zero Config has no providers: people sign in
// with credentials only.
type Config struct {
	// SessionLife is how long people stay signed in; 7 days when empty.
	SessionLife time.Duration `yaml:"-"`
	// Recheck is how old a provider's word about a person may be before it is asked again; 15 minutes
	// when empty.
	Recheck time.Duration `yaml:"-"`
	// Grace is how old it may be while the provider cannot be asked; 1 hour when empty.
	Grace time.Duration `yaml:"-"`
	// Unrenewed is how long the word of a provider holds that gives nothing to ask again with; 12 hours
	// when empty.
	Unrenewed time.Duration `yaml:"-"`

	Providers         []Provider `yaml:"providers"`
	RegisteredClients []Site     `yaml:"registeredClients"`

	Spans spans `yaml:"sessions"`
}

// spans are the times of a Config as they stand in the file.
type spans struct {
	Lifetime, Recheck, Grace, Unrenewed string
}

// Provider is one place where people sign in. Which fields count depends on its type.
type Provider struct {
	Name  string `yaml:"name"`  // begins the identities of its people; must never change
	Type  string `yaml:"type"`  // oidc, github or fixed
	Title string `yaml:"title"` // on the button; the name when empty

	ClientID         string `yaml:"clientId"`
	ClientSecret     string `yaml:"clientSecret"`     // or one of the next two
	ClientSecretFile string `yaml:"clientSecretFile"` // a file that holds it
	ClientSecretEnv  string `yaml:"clientSecretEnv"`  // a variable of the environment that holds it

	// Type oidc.
	Issuer      string   `yaml:"issuer"`
	Scopes      []string `yaml:"scopes"`
	GroupsClaim string   `yaml:"groupsClaim"`
	NameClaims  []string `yaml:"nameClaims"`

	// Type github.
	URL string `yaml:"url"`
	API string `yaml:"api"`

	// Type fixed.
	Development bool     `yaml:"development"` // must be true
	Subject     string   `yaml:"subject"`
	Groups      []string `yaml:"groups"`
}

// Site is another site that may ask people for a part of their rights.
type Site struct {
	ClientID     string   `yaml:"clientId"`
	Title        string   `yaml:"title"` // on the consent page; the client id when empty
	ResponseType string   `yaml:"responseType"`
	Scope        []string `yaml:"scope"`
	RedirectURI  []string `yaml:"redirectUri"`
	Whitelisted  bool     `yaml:"whitelisted"` // nobody is asked for consent
	MaxExpires   string   `yaml:"maxExpires"`
}

// LogValue keeps secrets out of logs.
func (Config) LogValue() slog.Value { return slog.StringValue("login configuration") }

// String keeps secrets out of texts.
func (Config) String() string { return "login configuration" }

const maxConfig = 1 << 20 // bytes

// LoadConfig reads a Config from a YAML file, and the secrets that it names from files and environment.
// "" is an empty one. An error names the file and what is at fault, never a secret.
func LoadConfig(path string, getenv func(string) string) (Config, error) {
	if path == "" {
		return Config{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", Setting, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("has more than %d bytes", maxConfig)
	}
	var c Config
	if err == nil {
		c, err = ParseConfig(data)
	}
	for i := range c.Providers {
		if err == nil {
			err = c.Providers[i].findSecret(getenv)
		}
	}
	if err != nil {
		return Config{}, fmt.Errorf("%s: %s: %w", Setting, path, err)
	}
	return c, nil
}

// quoted finds values in the messages of the YAML library, which may be secrets.
var quoted = regexp.MustCompile("`[^`]*`")

// ParseConfig reads a Config from YAML, of which JSON is a part.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, errors.New(quoted.ReplaceAllString(err.Error(), "this"))
	}
	for _, s := range []struct {
		name, text string
		into       *time.Duration
	}{
		{"lifetime", c.Spans.Lifetime, &c.SessionLife}, {"recheck", c.Spans.Recheck, &c.Recheck},
		{"grace", c.Spans.Grace, &c.Grace}, {"unrenewed", c.Spans.Unrenewed, &c.Unrenewed},
	} {
		if s.text == "" {
			continue
		}
		d, err := ParseSpan(s.text)
		if err != nil {
			return Config{}, fmt.Errorf("sessions.%s: %w", s.name, err)
		}
		*s.into = d
	}
	return c, nil
}

// findSecret reads the client secret from where the configuration says.
func (p *Provider) findSecret(getenv func(string) string) error {
	switch {
	case p.ClientSecretFile != "":
		data, err := os.ReadFile(p.ClientSecretFile)
		if err != nil {
			return fmt.Errorf("providers: %s: clientSecretFile: %w", p.Name, err)
		}
		p.ClientSecret = strings.TrimSpace(string(data))
	case p.ClientSecretEnv != "":
		if p.ClientSecret = getenv(p.ClientSecretEnv); p.ClientSecret == "" {
			return fmt.Errorf("providers: %s: clientSecretEnv: %s is not set", p.Name, p.ClientSecretEnv)
		}
	}
	return nil
}

// Check fills defaults and returns an error that names everything at fault and its remedy.
func (c *Config) Check(rootURL string) error {
	c.SessionLife = cmp.Or(c.SessionLife, 7*24*time.Hour)
	c.Recheck = cmp.Or(c.Recheck, 15*time.Minute)
	c.Grace = max(cmp.Or(c.Grace, time.Hour), c.Recheck)
	c.Unrenewed = cmp.Or(c.Unrenewed, 12*time.Hour)
	var problems []error
	seen := map[string]bool{}
	for i := range c.Providers {
		p := &c.Providers[i]
		p.Title = cmp.Or(p.Title, p.Name)
		if err := p.check(rootURL); err != nil {
			problems = append(problems, fmt.Errorf("providers: %s: %w", cmp.Or(p.Name, fmt.Sprintf("number %d", i+1)), err))
		}
		if seen[p.Name] {
			problems = append(problems, fmt.Errorf("providers: %s: the name is there twice", p.Name))
		}
		seen[p.Name] = true
	}
	sites := map[string]bool{}
	for i := range c.RegisteredClients {
		s := &c.RegisteredClients[i]
		s.Title = cmp.Or(s.Title, s.ClientID)
		if err := s.check(); err != nil {
			problems = append(problems, fmt.Errorf("registeredClients: %s: %w", cmp.Or(s.ClientID, fmt.Sprintf("number %d", i+1)), err))
		}
		if sites[s.ClientID] {
			problems = append(problems, fmt.Errorf("registeredClients: %s: the clientId is there twice", s.ClientID))
		}
		sites[s.ClientID] = true
	}
	return errors.Join(problems...)
}

var (
	providerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,37}$`)
	// reserved begin client ids with another meaning, or addresses below /login.
	reserved = map[string]bool{"static": true, "task-client": true, "worker": true, "hook-id": true, "project": true, "oauth": true, "credentials": true, "cli": true, "again": true, mozillaAddress: true, "of-static": true}
)

func (p *Provider) check(rootURL string) error {
	switch {
	case !providerName.MatchString(p.Name):
		return errors.New("give a name of small letters, digits and -, which begins the identities of its people")
	case reserved[p.Name]:
		return errors.New("the name has another meaning in client ids; choose another")
	}
	switch p.Type {
	case "oidc":
		if p.ClientID == "" {
			return errors.New("set clientId to what the provider registered")
		}
		return secureURL("issuer", p.Issuer)
	case "github":
		if p.ClientID == "" || p.ClientSecret == "" {
			return errors.New("set clientId and clientSecret (or clientSecretFile, clientSecretEnv) to those of the OAuth app")
		}
		if p.URL == "" {
			return nil
		}
		if p.API != "" {
			if err := secureURL("api", p.API); err != nil {
				return err
			}
		}
		return secureURL("url", p.URL)
	case "fixed":
		u, err := url.Parse(rootURL)
		if !p.Development || p.Subject == "" {
			return errors.New("a fixed person is for development only: set development: true, and a subject")
		}
		if err != nil || !loopback(u.Hostname()) {
			return errors.New("a fixed person signs in without a password: only a server on this machine's own address (localhost) may have one")
		}
		return nil
	}
	return errors.New("set type to oidc, github or fixed")
}

// secureURL refuses addresses to which secrets would go in the clear; this machine's own are excepted.
func secureURL(setting, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return fmt.Errorf("%s %q: give an address that begins with https://", setting, address)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Site) check() error {
	if !siteName.MatchString(s.ClientID) {
		return errors.New("give a clientId of letters, digits, - and _")
	}
	if s.ResponseType != "code" && s.ResponseType != "token" {
		return errors.New("set responseType to code or token")
	}
	if len(s.RedirectURI) == 0 || len(s.Scope) == 0 {
		return errors.New("give scope and redirectUri at least one value each")
	}
	for _, uri := range s.RedirectURI {
		u, err := url.Parse(uri)
		if err != nil || u.Fragment != "" {
			return fmt.Errorf("redirectUri %q: give a whole address without a fragment", uri)
		}
		if err := secureURL("redirectUri", uri); err != nil {
			return err
		}
	}
	for _, sc := range s.Scope {
		if strings.ContainsAny(sc, " ") || !validScope(sc) {
			return fmt.Errorf("scope %q: a scope has printable characters without spaces", sc)
		}
	}
	if _, err := ParseSpan(s.MaxExpires); err != nil {
		return fmt.Errorf("maxExpires: %w", err)
	}
	return nil
}

var siteName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)

// make returns the provider that is described.
func (p Provider) make() provider.Provider {
	switch p.Type {
	case "oidc":
		return provider.NewOIDC(provider.OIDCConfig{
			Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret, Scopes: p.Scopes, GroupsClaim: p.GroupsClaim, NameClaims: p.NameClaims,
		})
	case "github":
		return provider.NewGitHub(provider.GitHubConfig{Name: p.Name, URL: p.URL, API: p.API, ClientID: p.ClientID, ClientSecret: p.ClientSecret})
	}
	return provider.NewFixed(provider.FixedConfig{Name: p.Name, Subject: p.Subject, Groups: p.Groups})
}
