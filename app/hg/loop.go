package hg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// result is what a look left that recorded nothing.
type result struct {
	state
	pause time.Duration // until the next
	read  bool          // it did not rely on the tag
	error string
}

func (w *Watch) loop(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for ctx.Err() == nil {
		n, err := w.round(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "look for Mercurial repositories that are due; tried again soon", "err", err)
		}
		if n == portion {
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-w.wake:
		}
	}
	w.looks.Wait()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.write(late); err != nil {
		w.Log.WarnContext(late, "write what came of the last looks; they are made again", "err", err)
	}
}

// round writes what looks found that are done, and begins those that are due; n is how many.
func (w *Watch) round(ctx context.Context) (n int, err error) {
	if err := w.write(ctx); err != nil {
		return 0, err
	}
	now := time.Now()
	if err := w.renew(ctx, now); err != nil {
		return 0, err
	}
	var names []string
	for name, r := range w.repos {
		if r.host.free(now) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	due, err := w.take(ctx, names)
	for _, s := range due {
		r := w.repos[s.Name]
		r.host.add(1)
		w.hold(s.Name, true)
		w.looks.Go(func() {
			defer r.host.add(-1)
			defer w.hold(s.Name, false)
			select {
			case r.host.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-r.host.slots }()
			if ctx.Err() == nil && time.Since(now) < waitLimit && r.host.open(time.Now()) {
				w.look(ctx, r, s)
			}
		})
	}
	return len(due), err
}

// hold notes that a look is taken, or done.
func (w *Watch) hold(name string, taken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if taken {
		w.taken[name] = true
	} else {
		delete(w.taken, name)
	}
}

// renew keeps other servers from looks that this one has at work.
func (w *Watch) renew(ctx context.Context, now time.Time) error {
	w.mu.Lock()
	names := slices.Sorted(maps.Keys(w.taken))
	due := now.Sub(w.renewed) >= renewal
	if due {
		w.renewed = now
	}
	w.mu.Unlock()
	if !due || len(names) == 0 {
		return nil
	}
	if _, err := w.Pool.Exec(ctx, renewSQL.Text, names, lease.Seconds()); err != nil {
		return fmt.Errorf("app/hg: renew %d looks: %w", len(names), pg.Classify(err))
	}
	return nil
}

// Round begins the looks that are due and waits until they are done and written: for tests and benchmarks.
func (w *Watch) Round(ctx context.Context) error {
	for {
		n, err := w.round(ctx)
		w.looks.Wait()
		if err == nil {
			err = w.write(ctx)
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

func (h *host) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy += n
}

// free reports whether looks at the server may be taken.
func (h *host) free(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.busy < maxBusy && !now.Before(h.until)
}

// open reports whether the server may be asked.
func (h *host) open(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !now.Before(h.until)
}

// said notes whether the server answered at all. One that does not is left alone for a while, all its
// repositories together.
func (h *host) said(now time.Time, answered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if answered {
		h.fails, h.until = 0, time.Time{}
		return
	}
	if now.Before(h.until) {
		return // several failed at once
	}
	h.until = now.Add(min(maxHost, hostPause<<min(h.fails, 10)))
	h.fails++
}

// look looks at a repository once.
func (w *Watch) look(ctx context.Context, r *repository, s state) {
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	found, err := w.find(limited, r, s)
	switch {
	case ctx.Err() != nil:
		return // the server stops; it is looked at again when the lease ends
	case err != nil:
		w.failed(ctx, r, s, err)
		return
	}
	r.host.said(time.Now(), true)
	if !found.changed {
		s.ETag, s.Behind = found.etag, found.behind
		w.done(result{state: s, pause: r.pause(s), read: found.read})
		return
	}
	if err := w.record(limited, r, s, found); err != nil && ctx.Err() == nil {
		w.failed(ctx, r, s, err)
	}
}

// pause is how long until the next look, with some chance so that looks spread.
func (r *repository) pause(s state) time.Duration {
	every := r.Every
	switch {
	case s.Behind > 0:
	case s.Told:
		every *= whenTold
	case s.Quiet:
		every *= whenQuiet
	}
	return spread(every)
}

// pauseAfter is how long until the next look when one failed, and so many before it.
func (r *repository) pauseAfter(failures int) time.Duration {
	return min(maxPause, spread(min(r.Every, badPause))<<min(failures, 20))
}

func spread(pause time.Duration) time.Duration {
	return time.Duration(float64(pause) * (0.85 + 0.3*rand.Float64()))
}

func (w *Watch) failed(ctx context.Context, r *repository, s state, err error) {
	if !forge.Answered(err) && (errors.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded)) {
		r.host.said(time.Now(), false)
	}
	pause := r.pauseAfter(s.Failures)
	w.Log.WarnContext(ctx, "look at a Mercurial repository; tried again after a while", "repository", r.Name, "failures", s.Failures+1, "pause", pause, "err", err)
	why := fault.Message(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		why = "the server is too slow: a look takes longer than " + lookLimit.String()
	case fault.KindOf(err) == fault.Internal:
		why = "the look failed; the log has the reason"
	}
	w.done(result{state: s, pause: pause, error: why})
}

func (w *Watch) done(r result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.results = append(w.results, r)
}
