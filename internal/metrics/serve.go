package metrics

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Path is where metrics are.
const Path = "/metrics"

// Config says where metrics can be scraped; nowhere when it is empty.
type Config struct {
	Address  string       // host:port of a listener of its own
	Listener net.Listener // used in place of Address when given
	Token    string       // what a scraper has to show: Authorization: Bearer …; "" where this machine alone can ask
}

// The settings of the environment.
const (
	AddressSetting   = "TREELINE_METRICS"
	TokenSetting     = "TREELINE_METRICS_TOKEN"      //nolint:gosec // the name of a setting
	TokenFileSetting = "TREELINE_METRICS_TOKEN_FILE" //nolint:gosec // the name of a setting
)

// minToken is how long a token must be: nobody guesses so many characters.
const minToken = 16

// LoadConfig reads the settings; address goes before that of the environment.
func LoadConfig(address string, getenv func(string) string) (Config, error) {
	c := Config{Address: address, Token: getenv(TokenSetting)}
	if c.Address == "" {
		c.Address = getenv(AddressSetting)
	}
	if file := getenv(TokenFileSetting); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("%s: %w", TokenFileSetting, err)
		}
		c.Token = strings.TrimSpace(string(text))
	}
	return c, c.Check()
}

// Enabled reports whether there is anything to serve.
func (c Config) Enabled() bool { return c.Address != "" || c.Listener != nil }

// Check refuses what would show metrics to strangers: they name task queues, worker pools and how busy people are.
func (c Config) Check() error {
	if c.Token != "" && len(c.Token) < minToken {
		return fmt.Errorf("metrics: the token (%s) must have at least %d characters, such as those of openssl rand -hex 32", TokenSetting, minToken)
	}
	if c.Listener != nil || c.Address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("metrics: %s (--metrics-address) %q: give host and port, such as 127.0.0.1:9100", AddressSetting, c.Address)
	}
	if c.Token == "" && !loopback(host) {
		return fmt.Errorf("metrics: %q can be reached from other machines: set %s or %s to a token that the scraper shows, or listen on 127.0.0.1", c.Address, TokenSetting, TokenFileSetting)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Handler answers GET /metrics, with the token where there is one, and nothing else.
func (m *Metrics) Handler(token string, log *slog.Logger) http.Handler {
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 30 * time.Second, ErrorLog: errorLog{log},
	})
	want := sha256.Sum256([]byte("Bearer " + token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		switch {
		case token != "" && subtle.ConstantTimeCompare(got[:], want[:]) != 1:
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			http.Error(w, "The metrics need the token that the server was started with: Authorization: Bearer …", http.StatusUnauthorized)
		case r.URL.Path != Path:
			http.Error(w, "There is only "+Path+" here.", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Metrics are read with GET.", http.StatusMethodNotAllowed)
		default:
			scrape.ServeHTTP(w, r)
		}
	})
}

type errorLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) {
	l.log.Warn("a scrape had trouble", "err", strings.TrimSpace(fmt.Sprintln(v...)))
}

// Serve opens the listener of a configuration and answers scrapes until the listener is closed. failed gets the error that
// ends it otherwise.
func (m *Metrics) Serve(c Config, log *slog.Logger, failed func(error)) (*http.Server, net.Addr, error) {
	listener := c.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", c.Address); err != nil {
			return nil, nil, fmt.Errorf("metrics: listen on %s: %w", c.Address, err)
		}
	}
	server := &http.Server{Handler: m.Handler(c.Token, log), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("metrics: serve: %w", err))
		}
	}()
	return server, listener.Addr(), nil
}
