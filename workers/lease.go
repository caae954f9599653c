package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

var (
	errLost     = errors.New("the run is not ours any more")
	errShutdown = errors.New("the worker is ending")
)

// reclaimAt is the fraction of a claim's time after which it is renewed: early enough that a
// server which is away for a while does not cost the claim.
const reclaimAt = 0.4

// lease keeps a run ours: it renews the claim and holds the credentials of the moment.
type lease struct {
	taskID string
	runID  int
	base   *client.Client
	now    atomic.Pointer[client.Client]
	lose   context.CancelCauseFunc
	renew  func(client.Claim) // told of each renewed claim
	log    *slog.Logger
}

func newLease(base *client.Client, claim client.Claim, lose context.CancelCauseFunc, log *slog.Logger) *lease {
	l := &lease{taskID: claim.Status.TaskID, runID: claim.RunID, base: base, lose: lose, log: log, renew: func(client.Claim) {}}
	l.now.Store(base.WithCredentials(claim.Credentials.Hawk()))
	return l
}

// client speaks with the run's own credentials.
func (l *lease) client() *client.Client { return l.now.Load() }

// limited speaks with no more than the task's scopes and the right to make artifacts: what the
// task itself may do through its proxy (taskcluster-map 16.4).
func (l *lease) limited(scopes []string) *client.Client {
	creds := l.client().Credentials()
	creds.AuthorizedScopes = append([]string{fmt.Sprintf("queue:create-artifact:%s/%d", l.taskID, l.runID)}, scopes...)
	return l.base.WithCredentials(creds)
}

// keep renews the claim until ctx ends. It loses the run when the server says that it is not ours
// any more; while the server is away it goes on.
func (l *lease) keep(ctx context.Context, claim client.Claim) {
	period := time.Duration(reclaimAt * float64(duration(claim, l.base.Now())))
	for {
		timer := time.NewTimer(period)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		next, err := l.reclaim(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.log.Warn("claim is lost", "error", err)
			l.lose(fmt.Errorf("%w: %w", errLost, err))
			return
		}
		l.now.Store(l.base.WithCredentials(next.Credentials.Hawk()))
		l.renew(next)
	}
}

func (l *lease) reclaim(ctx context.Context) (client.Claim, error) {
	for {
		claim, err := l.client().Reclaim(ctx, l.taskID, l.runID)
		if err == nil || ctx.Err() != nil || !away(err) {
			return claim, err
		}
		l.log.Warn("cannot renew the claim, trying again", "error", err)
		select {
		case <-ctx.Done():
			return claim, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// away says that an error is the server's and may pass.
func away(err error) bool {
	return errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Internal)
}

// duration is how long a claim lasts, by the server's own clock where it tells the run's start:
// ours may differ. now is what time it is at the server as far as that is known.
func duration(claim client.Claim, now time.Time) time.Duration {
	d := claim.TakenUntil.Sub(now)
	if run := runOf(claim.Status, claim.RunID); run != nil && run.Started != nil {
		d = claim.TakenUntil.Sub(run.Started.Time)
	}
	return max(d, 2*time.Second)
}

func runOf(s task.Status, runID int) *task.Run {
	for i := range s.Runs {
		if s.Runs[i].RunID == runID {
			return &s.Runs[i]
		}
	}
	return nil
}

// credentials of the moment, for the record of the run.
func (l *lease) credentials() hawk.Credentials { return l.client().Credentials() }
