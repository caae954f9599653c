package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/queue/roster"
)

// poolsClient signs the credentials of workers.
const poolsClient = "static/taskcluster/worker-manager"

// derived makes a secret of its own for a purpose from one that is kept.
func (s Secrets) derived(purpose string) []byte {
	sum := hmac.New(sha256.New, s.URLKey)
	sum.Write([]byte("treeline " + purpose))
	return sum.Sum(nil)
}

// poolsIssuer are the credentials of poolsClient.
func (s Secrets) poolsIssuer() hawk.Credentials {
	return hawk.Credentials{ClientID: poolsClient, AccessToken: base64.RawURLEncoding.EncodeToString(s.derived("worker-manager access token"))}
}

// makePools joins worker pools with the queue, whose work their workers do.
func (a *App) makePools(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("app: find this program, to run workers with: %w", err)
	}
	providers, err := a.config.Pools.Make(ctx, setup.Deps{
		RootURL: a.config.RootURL, Secret: a.config.Secrets.derived("worker launches"), Program: program, Log: a.config.Log,
	})
	if err != nil {
		return err
	}
	a.pools, err = pools.New(pools.Deps{
		Pool: a.pool, Log: a.config.Log, RootURL: a.config.RootURL, Issuer: a.config.Secrets.poolsIssuer(), Providers: providers,
		Wake: a.feed.Wake, Counts: a.loadOf, Seen: a.workersSeen, SeenOne: a.workerSeen, Audit: auditPool, Failed: a.mailPoolError,
		WorkerGone: func(ctx context.Context, k pools.Key) error {
			_, err := a.queue.WorkerGone(ctx, k.WorkerPoolID, k.WorkerGroup, k.WorkerID)
			return err
		},
		Every: a.config.PoolsEvery, Looked: a.metrics.Pool, Registered: a.metrics.Registered,
	})
	return err
}

// startPools begins to look after the pools.
func (a *App) startPools(ctx context.Context) {
	a.pools.Start(ctx)
	a.onStop(func(context.Context) error { a.pools.Stop(); return nil })
}

// loadOf tells pools what a task queue has to do.
func (a *App) loadOf(ctx context.Context, taskQueueID string) (estimate.Load, error) {
	c, err := a.queue.PendingCounts(ctx, taskQueueID)
	return estimate.Load{Pending: c.PendingTasks, Claimed: c.ClaimedTasks}, err
}

// workersSeen lists the workers that asked for a task queue's work.
func (a *App) workersSeen(ctx context.Context, taskQueueID string) (list []pools.Seen, err error) {
	for token := ""; ; {
		page, err := a.queue.Roster().Workers(ctx, taskQueueID, nil, 1000, token)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Workers {
			s := pools.Seen{WorkerGroup: e.WorkerGroup, WorkerID: e.WorkerID, FirstClaim: e.FirstClaim.Time, LastDateActive: e.LastDateActive.Time, Details: e}
			if e.QuarantineUntil != nil {
				s.QuarantineUntil = e.QuarantineUntil.Time
			}
			list = append(list, s)
		}
		if token = page.Next; token == "" {
			return list, nil
		}
	}
}

// workerSeen tells of one of them. One that works on something is active, however long it takes.
func (a *App) workerSeen(ctx context.Context, k pools.Key) (s pools.Seen, ok bool, err error) {
	w, err := a.queue.Roster().Worker(ctx, roster.Key{TaskQueueID: k.WorkerPoolID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID})
	if errors.Is(err, fault.NotFound) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	s = pools.Seen{WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID, FirstClaim: w.FirstClaim.Time, LastDateActive: w.LastDateActive.Time, Details: w}
	if w.QuarantineUntil != nil {
		s.QuarantineUntil = w.QuarantineUntil.Time
	}
	if time.Since(s.LastDateActive) < time.Hour {
		return s, true, nil
	}
	for token := ""; ; {
		list, next, err := a.queue.Roster().Working(ctx, k.WorkerPoolID, 1000, token)
		if err != nil {
			return s, false, err
		}
		for _, run := range list {
			if run.WorkerGroup == k.WorkerGroup && run.WorkerID == k.WorkerID {
				s.LastDateActive = time.Now()
				return s, true, nil
			}
		}
		if token = next; token == "" {
			return s, true, nil
		}
	}
}

// mailPoolError tells a pool's owner what went wrong with it.
func (a *App) mailPoolError(ctx context.Context, p pools.Pool, e pools.Error) {
	text := fmt.Sprintf("%s in the worker pool %s.\n\n%s\n\nThe same is not told again for an hour.\n", notify.Code(e.Title), notify.Code(p.ID), notify.Block(short(e.Description, 8000)))
	err := a.notify.Mail(ctx, notify.Email{
		Address: p.Owner, Subject: "Worker pool " + p.ID + ": " + short(e.Title, 100), Content: text, State: "failed",
		Link: &notify.Link{Text: "Open the worker pool", Href: a.config.RootURL + "/worker-manager/" + url.PathEscape(p.ID)},
		Why:  "You get this because you are the owner of the worker pool, and its emailOnError is on.",
		Key:  "worker-manager/" + e.ErrorID,
	})
	if err != nil {
		a.config.Log.WarnContext(ctx, "the owner of a worker pool is not told by mail", "pool", p.ID, "err", err)
	}
}

func auditPool(ctx context.Context, tx pgx.Tx, d pools.Deed) error {
	r := auth.Record{EntityType: "worker-pool", EntityID: d.Pool, ClientID: d.Actor, Action: d.Action, After: d.After}
	if d.Before != nil {
		r.Before = d.Before
	}
	return auth.Audit(ctx, tx, r)
}
