package pools

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/pools/provider"
)

// Registration is who says that they are a worker.
type Registration struct {
	Key
	ProviderID string
	Proof      json.RawMessage
}

// Registered is what a worker gets.
type Registered struct {
	Expires     time.Time // of the credentials
	Credentials hawk.Credentials
	Secret      string          // for Reregister
	Config      json.RawMessage // workerConfig of its launch config, or of its pool
}

const (
	// defaultReregistration is how long credentials hold where the pool says nothing, in seconds.
	defaultReregistration = 96 * 3600
	// certificateLead is how long before now credentials begin to hold: clocks differ.
	certificateLead = 15 * time.Minute
	// registerAgain is how long after it registered a worker of which nothing was heard may do so again: its
	// answer was lost.
	registerAgain = 10 * time.Minute
)

// Register gives a worker its credentials, if it can show who it is. A worker that a provider made must have
// been asked for, and registers once; while it has not asked for work it may do so again for a few minutes,
// for an answer can be lost. One that is set up by hand may register at any time.
func (p *Pools) Register(ctx context.Context, r Registration) (Registered, error) {
	pool, err := p.Get(ctx, r.WorkerPoolID)
	if err != nil {
		return Registered{}, err
	}
	who := p.Providers[r.ProviderID]
	if who == nil {
		return Registered{}, fault.New(fault.NotFound, "There is no provider %s.", r.ProviderID)
	}
	if r.ProviderID != pool.ProviderID && !contains(pool.previous, r.ProviderID) {
		return Registered{}, fault.New(fault.Invalid, "The provider %s is not that of the worker pool %s.", r.ProviderID, pool.ID)
	}
	w, err := p.Worker(ctx, r.Key)
	if err != nil {
		return Registered{}, err
	}
	if err := p.mayRegister(ctx, &w, r.ProviderID); err != nil {
		return Registered{}, err
	}
	proof := provider.Proof{WorkerPoolID: r.WorkerPoolID, RootURL: p.RootURL, Content: r.Proof}
	if err := who.Verify(ctx, w.instance(), proof); err != nil {
		// What exactly is wrong is not for whoever tries.
		p.Log.WarnContext(ctx, "a worker could not show who it is", "worker", r.Key.String(), "provider", r.ProviderID, "err", err)
		if errors.Is(err, fault.Unavailable) {
			return Registered{}, fault.New(fault.Unavailable, "The identity of the worker cannot be checked now; try again.")
		}
		return Registered{}, errProof
	}
	config, err := p.configOf(ctx, &pool, &w)
	if err != nil {
		return Registered{}, err
	}
	out := Registered{Config: config.workerConfig}
	err = pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		locked, err := p.lockWorker(ctx, tx, r.Key)
		if err != nil {
			return err
		}
		if err := p.mayRegister(ctx, locked, r.ProviderID); err != nil {
			return err
		}
		first := locked.State == Requested
		if err := p.admit(ctx, tx, registeredSQL, locked, config.lifecycle, &out); err != nil || !first {
			return err
		}
		return tell(ctx, tx, workerRunning, locked.about(""))
	})
	if err != nil {
		return Registered{}, failed("register "+r.Key.String(), err)
	}
	p.wake()
	if w.State == Requested && p.Deps.Registered != nil {
		p.Deps.Registered(w.ProviderID, w.WorkerPoolID, time.Since(w.Created.Time))
	}
	return out, nil
}

var errProof = fault.New(fault.Invalid, "The worker's identity could not be verified.")

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// mayRegister says whether a worker stands where it may register.
func (p *Pools) mayRegister(ctx context.Context, w *Worker, providerID string) error {
	switch _, byHand := p.Providers[w.ProviderID].(Manual); {
	case w.ProviderID != providerID:
		return fault.New(fault.Invalid, "The worker %s is not of provider %s.", w.Key(), providerID)
	case !w.Expires.After(w.now):
		return fault.New(fault.Invalid, "The worker %s has expired.", w.Key())
	case w.State == Requested, w.State == Running && byHand:
		return nil
	case w.State != Running:
		return fault.New(fault.Invalid, "The worker %s is %s.", w.Key(), w.State)
	case w.registered != nil && w.now.Sub(*w.registered) < registerAgain:
		if _, heard, err := p.SeenOne(ctx, w.Key()); err != nil || !heard {
			return err
		}
	}
	return fault.New(fault.Invalid, "The worker %s has registered already.", w.Key())
}

// Reregister gives a worker new credentials for the secret that came with the last. Any failure looks alike to
// whoever has no secret.
func (p *Pools) Reregister(ctx context.Context, k Key, secret string) (Registered, error) {
	refused := fault.New(fault.Invalid, "The worker %s cannot register again: it is not known, not running, or the secret is not that of its last registration.", k)
	var out Registered
	err := pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		w, err := p.lockWorker(ctx, tx, k)
		if errors.Is(err, fault.NotFound) {
			return refused
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(secret))
		if subtle.ConstantTimeCompare(sum[:], w.secretHash) != 1 || w.State != Running || !w.Expires.After(w.now) {
			return refused
		}
		pool, err := p.lockedPool(ctx, tx, k.WorkerPoolID)
		if err != nil {
			return err
		}
		c, err := readPoolConfig(pool.Config)
		if err != nil {
			return err
		}
		return p.admit(ctx, tx, reregisteredSQL, w, c.Lifecycle, &out)
	})
	if err != nil {
		return Registered{}, failed("reregister "+k.String(), err)
	}
	return out, nil
}

func (p *Pools) lockedPool(ctx context.Context, tx pgx.Tx, id string) (Pool, error) {
	rows, err := tx.Query(ctx, getPoolSQL.Text, id)
	if err != nil {
		return Pool{}, err
	}
	pool, err := pgx.CollectExactlyOneRow(rows, scanPool)
	if errors.Is(err, pgx.ErrNoRows) {
		return Pool{}, noPool(id)
	}
	return pool, err
}

// admit makes credentials and writes down that the worker has them.
func (p *Pools) admit(ctx context.Context, tx pgx.Tx, write pg.Statement, w *Worker, l lifecycle, out *Registered) error {
	seconds := l.Reregistration
	if seconds <= 0 {
		seconds = defaultReregistration
	}
	at, err := now(ctx, tx)
	if err != nil {
		return err
	}
	out.Expires = at.Add(time.Duration(seconds) * time.Second).Truncate(time.Millisecond)
	out.Secret = slug.Nice() + slug.Nice()
	sum := sha256.Sum256([]byte(out.Secret))
	if out.Credentials, err = p.credentials(w, at, out.Expires); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, write.Text, w.WorkerPoolID, w.WorkerGroup, w.WorkerID, sum[:], out.Expires)
	return err
}

// credentials are what a worker acts with (taskcluster-map 12.5).
func (p *Pools) credentials(w *Worker, at, expires time.Time) (hawk.Credentials, error) {
	pool, name := w.WorkerPoolID, w.WorkerGroup+"/"+w.WorkerID
	return hawk.CreateTemporary(p.Issuer, hawk.TempOptions{
		ClientID: "worker/" + w.ProviderID + "/" + pool + "/" + name,
		Start:    at.Add(-certificateLead), Expiry: expires,
		Scopes: []string{
			"assume:worker-type:" + pool, "assume:worker-pool:" + pool, "assume:worker-id:" + name,
			"queue:worker-id:" + name, "queue:claim-work:" + pool,
			"secrets:get:worker-type:" + pool, "secrets:get:worker-pool:" + pool,
			"worker-manager:remove-worker:" + pool + "/" + name,
			"worker-manager:reregister-worker:" + pool + "/" + name,
			"worker-manager:should-worker-terminate:" + pool + "/" + name,
		},
	})
}

// workerSettings are what a worker's pool and launch config say of it.
type workerSettings struct {
	lifecycle    lifecycle
	workerConfig json.RawMessage
}

func (p *Pools) configOf(ctx context.Context, pool *Pool, w *Worker) (s workerSettings, err error) {
	c, err := readPoolConfig(pool.Config)
	if err != nil {
		return s, err
	}
	s = workerSettings{c.Lifecycle, c.WorkerConfig}
	if w.LaunchConfigID != "" {
		var content json.RawMessage
		err := p.Pool.QueryRow(ctx, oneConfigSQL.Text, w.WorkerPoolID, w.LaunchConfigID).Scan(&content)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return s, failed("read launch config", err)
		}
		if err == nil {
			of, err := settings(content)
			if err != nil {
				return s, err
			}
			s.workerConfig = of.WorkerConfig
		}
	}
	if len(s.workerConfig) == 0 {
		s.workerConfig = json.RawMessage(`{}`)
	}
	return s, nil
}

// Verdict tells a worker whether to end when it has no work, and why.
func (p *Pools) Verdict(ctx context.Context, k Key) (terminate bool, reason string, err error) {
	w, err := p.Worker(ctx, k)
	switch {
	case err != nil:
		return false, "", err
	case w.State == Stopping || w.State == Stopped:
		return true, "the worker is " + string(w.State), nil
	case w.verdict != nil:
		return true, *w.verdict, nil
	}
	return false, "needed", nil
}

var (
	registeredSQL = pg.Statement{Name: "pools.registered", Text: `
UPDATE pool_workers SET state = 'running', secret_hash = $4, terminate_after = $5, registered = coalesce(registered, now()),
    expires = greatest(expires, $5::timestamptz + interval '1 day'), last_modified = now(), last_checked = now()
WHERE ` + oneWorker}

	reregisteredSQL = pg.Statement{Name: "pools.reregistered", Text: `
UPDATE pool_workers SET secret_hash = $4, terminate_after = $5, verdict = CASE WHEN verdict = 'too old' THEN NULL ELSE verdict END,
    expires = greatest(expires, $5::timestamptz + interval '1 day'), last_modified = now(), last_checked = now()
WHERE ` + oneWorker}
)
