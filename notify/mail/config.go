// Package mail sends messages by SMTP. A message is Markdown; it goes out as text and as HTML that is
// clean of everything that could harm its reader.
package mail

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"strconv"
	"time"
)

// The ways to encrypt.
const (
	STARTTLS = "starttls" // begins in the open, and does not go on without encryption
	TLS      = "tls"      // from the first byte
	Plain    = "none"     // never; for a server on the same machine
)

// Config says how mail is sent; the zero value is not at all.
type Config struct {
	Host     string `yaml:"host"`
	Port     int    `yaml:"port"` // 587 for starttls, 465 for tls and 25 for none when zero
	User     string `yaml:"user"` // "": no authentication
	Password string `yaml:"password"`
	TLS      string `yaml:"tls"`  // starttls when empty
	CA       string `yaml:"ca"`   // file of PEM certificates to trust besides the system's
	From     string `yaml:"from"` // such as Treeline <ci@example.com>

	Timeout time.Duration `yaml:"-"` // of one attempt; 30 seconds when zero
}

// On reports whether there is anything to send with.
func (c Config) On() bool { return c.Host != "" }

// ParseURL reads smtp://user:password@host:port, smtps:// for TLS from the first byte; ?tls= names a way
// of its own. Its errors do not hold the URL.
func ParseURL(text string) (Config, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Path != "" && u.Path != "/" {
		return Config{}, errors.New("the URL of the mail server cannot be read; it looks like smtp://user:password@mail.example.com:587 or smtps://…")
	}
	c := Config{Host: u.Hostname(), User: u.User.Username(), TLS: u.Query().Get("tls")}
	c.Password, _ = u.User.Password()
	if u.Scheme == "smtps" {
		c.TLS = cmp.Or(c.TLS, TLS)
	}
	if p := u.Port(); p != "" {
		if c.Port, err = strconv.Atoi(p); err != nil {
			return Config{}, errors.New("the port of the mail server is no number")
		}
	}
	return c, nil
}

// Check fills defaults and says what is missing.
func (c *Config) Check() error {
	if !c.On() {
		return nil
	}
	c.TLS = cmp.Or(c.TLS, STARTTLS)
	ports := map[string]int{STARTTLS: 587, TLS: 465, Plain: 25}
	if _, ok := ports[c.TLS]; !ok {
		return fmt.Errorf("mail: tls is %q, and not %s, %s or %s", c.TLS, STARTTLS, TLS, Plain)
	}
	c.Port = cmp.Or(c.Port, ports[c.TLS])
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.Port < 1 || c.Port > 65535 {
		return fmt.Errorf("mail: there is no port %d", c.Port)
	}
	if from, err := netmail.ParseAddress(c.From); err != nil || from.Address == "" {
		return fmt.Errorf("mail: from is %q: give the address that mail comes from, such as Treeline <ci@example.com>", c.From)
	}
	if c.TLS == Plain && c.User != "" && !local(c.Host) {
		return errors.New("mail: a password must not go over a connection that is not encrypted: set tls to starttls or tls, or leave out the user")
	}
	_, err := c.tls()
	return err
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) tls() (*tls.Config, error) {
	config := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.CA == "" {
		return config, nil
	}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("mail: certificates to trust: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("mail: %s has no certificate in PEM", c.CA)
	}
	return config, nil
}

// String tells where mail goes, without the password.
func (c Config) String() string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) + " (" + c.TLS + ")"
}
