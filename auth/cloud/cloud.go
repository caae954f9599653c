// Package cloud hands out credentials of other systems: AWS S3, Google Cloud, Azure storage, Sentry,
// websocktunnel and GitHub (taskcluster-map 4.13). They last an hour or so, and reach no further than
// the scopes that the caller was asked for.
//
// What each system needs stands in a Config, which an operator writes; a system that is not in it is
// fault.NotFound, with a text that names the setting. Errors of a system that may pass by themselves
// are fault.Unavailable. No error and no log holds a secret. All methods are safe for concurrent use.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Level is how much credentials allow.
type Level string

// The levels, as they stand in routes and scopes.
const (
	ReadOnly  Level = "read-only"
	ReadWrite Level = "read-write"
)

// callFor bounds a call to another system, with the retries that its SDK makes.
const callFor = 30 * time.Second

// Cloud hands out credentials. The zero Cloud has none to give.
type Cloud struct {
	aws     awsBuckets
	gcp     gcpProjects
	azure   azureAccounts
	sentry  *sentry
	tunnel  []byte // key of websocktunnel's tokens
	github  githubApps
	log     *slog.Logger
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New checks a configuration. It calls nobody: a key that a system does not know shows at the first
// use only.
func New(c Config, log *slog.Logger) (*Cloud, error) {
	client := &http.Client{Timeout: callFor}
	out := &Cloud{log: log, tunnel: []byte(c.Websocktunnel.Secret)}
	var errs [6]error
	out.aws, errs[0] = newAWS(c.AWS, client)
	out.gcp, errs[1] = newGCP(c.GCP, client)
	out.azure, errs[2] = newAzure(c.Azure, client)
	out.sentry, errs[3] = newSentry(c.Sentry, client)
	out.github, errs[4] = newGitHub(c.GitHub, client)
	errs[5] = c.Websocktunnel.check()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("cloud credentials: %w", err)
	}
	return out, nil
}

// Start begins to remove expired Sentry keys once a day; Stop ends it.
func (c *Cloud) Start(ctx context.Context) {
	if c.sentry == nil {
		return
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.running.Go(func() {
		tick := time.NewTicker(24 * time.Hour)
		defer tick.Stop()
		for {
			if n, err := c.sentry.purge(ctx, time.Now()); err != nil && ctx.Err() == nil {
				c.log.Error("cloud: expired Sentry keys could not be removed; it is tried again in a day", "removed", n, "err", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// Stop ends what Start began and waits for it.
func (c *Cloud) Stop() {
	if c.stop != nil {
		c.stop()
	}
	c.running.Wait()
}

// notConfigured says what an operator has to set.
func notConfigured(what, section string) error {
	return fault.New(fault.NotFound,
		"This deployment hands out no credentials for %s: it is not configured. An operator sets %q in the file that %s names; docs/how-to/cloud-credentials.md says how.",
		what, section, Setting)
}

// refused turns the answer of a system into an error: one that may pass by itself is
// fault.Unavailable, any other is for the operator to see to. cause must hold no secret.
func refused(system string, status int, cause error) error {
	if status == 0 || status == http.StatusTooManyRequests || status >= 500 {
		return fault.Wrap(fault.Unavailable, cause, "%s does not answer as it should; try again later.", system)
	}
	return fmt.Errorf("cloud: %s refused with status %d: %w", system, status, cause)
}
