// Package serveflags reads what a server is configured with: the flags of "treeline serve", the variables of the
// environment, and the files that these name. The server and its doctor read it by the same code, so that what the one
// runs with is what the other looks at.
package serveflags

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/bugtracker"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/trace/export"
)

// Flags are the flags of a server. They go before the variables of the environment.
type Flags struct {
	Verbose bool

	config                             app.Config // what flags alone say
	repos                              []string
	proxies, limits, metrics, receiver string
	bugs                               string
	notify                             notifyFlags
}

// Add adds the flags to those of a command.
func (f *Flags) Add(to *pflag.FlagSet) {
	c := &f.config
	to.BoolVarP(&f.Verbose, "verbose", "v", false, "log details too")
	to.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address to listen on")
	to.StringArrayVar(&f.repos, "repo", nil, "git repository on this machine to watch (repeatable)")
	to.DurationVar(&c.ClaimTimeout, "claim-timeout", 0, "how long a worker may be silent before its tasks are given to others (default 20m)")
	to.StringVar(&c.Pulse.URL, "pulse-url", "", "RabbitMQ on which events are published; other users of this machine see it, TREELINE_PULSE_URL they do not")
	to.StringVar(&c.Pulse.Namespace, "pulse-namespace", "", "what the names of the exchanges begin with: exchange/NAMESPACE-queue/v1/… (default taskcluster, which existing listeners know)")
	to.BoolVar(&c.Pulse.Treeherder, "treeherder", false, "also publish what Treeherder reads: pushes and jobs (or set TREELINE_TREEHERDER)")
	to.StringVar(&f.proxies, "trusted-proxies", "", "addresses and networks of the reverse proxies in front, whose X-Forwarded-For is believed, such as 10.0.0.5,10.1.0.0/16")
	to.StringVar(&f.limits, "limits", "", "how often somebody may ask: KIND=PER-SECOND/BURST or KIND=off, such as \"anonymous=50/500 costly=off\"")
	to.StringVar(&f.metrics, "metrics-address", "", "host and port at which Prometheus may scrape /metrics, such as 127.0.0.1:9100 (TREELINE_METRICS)")
	to.StringVar(&f.receiver, "otlp-endpoint", "", "receiver of OpenTelemetry's protocol to which traces are sent, such as http://localhost:4318 (OTEL_EXPORTER_OTLP_ENDPOINT)")
	to.StringVar(&f.bugs, "bug-tracker", "", "bug tracker of the pages: github:https://github.com/OWNER/REPOSITORY or bugzilla:https://HOST?product=…&component=… (TREELINE_BUG_TRACKER)")
	f.notify = notifyFlags{}
	f.notify.add(to)
	to.DurationVar(&c.Drain, "drain", 25*time.Second, "how long requests may go on that run when the server is told to stop")
	to.DurationVar(&c.DrainNotice, "drain-notice", 0, "how long before that the heartbeats say that it stops, for the proxy in front to see")
	c.Keep = map[string]time.Duration{}
	keepFlags(to, c.Keep)
}

// Problem is a setting that cannot be read.
type Problem struct {
	Setting string // its variable, or what it is about
	Err     error
}

// Error names the setting, unless the error does.
func (p Problem) Error() string {
	if text := p.Err.Error(); strings.Contains(text, p.Setting) {
		return text
	}
	return p.Setting + ": " + p.Err.Error()
}

// Unwrap returns the error.
func (p Problem) Unwrap() error { return p.Err }

// Data is the directory TREELINE_DATA; "" when it is not set.
func Data() string { return os.Getenv("TREELINE_DATA") }

// SecretsFile is where the secrets of a server stand, below its data.
func SecretsFile(data string) string { return filepath.Join(data, "secrets.json") }

// Read reads all but the secrets, which a server makes where there are none. What cannot be read is left out, and each
// such setting is a Problem.
func (f *Flags) Read() (c app.Config, problems []Problem) {
	c = f.config
	read := func(setting string, err error) {
		if err != nil {
			problems = append(problems, Problem{setting, err})
		}
	}
	fromFile := func(name string) string {
		value, err := app.Setting(name)
		read(name, err)
		return value
	}
	var err error
	c.DatabaseURL = fromFile("DATABASE_URL")
	c.RootURL, c.InternalURL = os.Getenv("TREELINE_ROOT_URL"), os.Getenv("TREELINE_INTERNAL_URL")
	if data := Data(); data != "" {
		c.DataDir = filepath.Join(data, "objects")
	}
	for _, path := range f.repos {
		c.Repositories = append(c.Repositories, app.LocalRepository{Path: path})
	}
	c.Pulse.URL = cmp.Or(c.Pulse.URL, fromFile("TREELINE_PULSE_URL"))
	c.HgPushes.URL = fromFile("TREELINE_HGPUSHES_URL")
	c.Pulse.Namespace = cmp.Or(c.Pulse.Namespace, os.Getenv("TREELINE_PULSE_NAMESPACE"))
	c.Pulse.Treeherder = c.Pulse.Treeherder || os.Getenv("TREELINE_TREEHERDER") != ""
	c.Cloud, err = cloud.LoadConfig(os.Getenv(cloud.Setting))
	read(cloud.Setting, err)
	c.Login, err = login.LoadConfig(os.Getenv(login.Setting), os.Getenv)
	read(login.Setting, err)
	c.GitHub, err = settings.LoadConfig()
	read("GitHub", err)
	c.Objects, err = app.LoadObjects(os.Getenv("TREELINE_OBJECT_STORES"))
	read("TREELINE_OBJECT_STORES", err)
	c.Bugs, err = bugtracker.Open(cmp.Or(f.bugs, os.Getenv("TREELINE_BUG_TRACKER")), fromFile("TREELINE_BUG_TRACKER_TOKEN"))
	read("--bug-tracker or TREELINE_BUG_TRACKER", err)
	c.Notify, err = app.LoadNotify(f.notify.getenv)
	read("TREELINE_NOTIFY", err)
	c.Traces, err = export.FromEnv(f.receiver, os.Getenv)
	read("traces (--otlp-endpoint)", err)
	c.Remote, err = app.LoadRepositories(os.Getenv("TREELINE_REPOSITORIES"))
	read("TREELINE_REPOSITORIES", err)
	c.TwoPersons, err = auth.ParseGuards(os.Getenv("TREELINE_TWO_PERSONS"))
	read("TREELINE_TWO_PERSONS", err)
	c.Alarms, err = app.ParseAlarms(os.Getenv("TREELINE_ALARM_TO"), os.Getenv("TREELINE_ALARM_EXCEPT"))
	read("TREELINE_ALARM_TO", err)
	c.FreshSignIn, err = c.Login.Fresh(os.Getenv("TREELINE_FRESH_SIGN_IN"))
	read("TREELINE_FRESH_SIGN_IN", err)
	c.Proxies, err = web.ParseProxies(cmp.Or(f.proxies, os.Getenv("TREELINE_TRUSTED_PROXIES")))
	read("--trusted-proxies or TREELINE_TRUSTED_PROXIES", err)
	c.Limits, err = throttle.Parse(cmp.Or(f.limits, os.Getenv("TREELINE_LIMITS")))
	read("--limits or TREELINE_LIMITS", err)
	if c.Metrics, err = metrics.LoadConfig(f.metrics, os.Getenv); err != nil {
		c.Metrics = metrics.Config{} // or app.Config's own check would say it again
	}
	read("--metrics-address or TREELINE_METRICS", err)
	c.Pools, err = setup.Load(os.Getenv(setup.Setting))
	read(setup.Setting, err)
	return c, problems
}

// notifyFlags are the settings of notifications that the command line has, by their variables of the
// environment, before which they go.
type notifyFlags map[string]*string

func (f notifyFlags) add(flags *pflag.FlagSet) {
	flag := func(variable, name, usage string) {
		f[variable] = flags.String(name, "", fmt.Sprintf("%s (%s)", usage, variable))
	}
	flag("TREELINE_NOTIFY", "notify", "YAML file with the settings of mail, Slack and Matrix")
	flag("TREELINE_SMTP_URL", "smtp-url", "server by which mail is sent; other users of this machine see it, the variable they do not")
	flag("TREELINE_MAIL_FROM", "mail-from", "address that mail comes from")
	flag("TREELINE_SLACK_URL", "slack-url", "address of Slack's API, where it is not Slack's own")
	flag("TREELINE_MATRIX_URL", "matrix-url", "address of the Matrix homeserver")
}

func (f notifyFlags) getenv(name string) string {
	if value := f[name]; value != nil && *value != "" {
		return *value
	}
	return os.Getenv(name)
}
