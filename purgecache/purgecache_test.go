package purgecache_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/purgecache"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), purgecache.Statements()...) }

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func names(t *testing.T, p *purgecache.PurgeCache, pool string, since time.Time) []string {
	t.Helper()
	list, err := p.Requests(t.Context(), pool, since)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, r := range list {
		out = append(out, r.CacheName)
	}
	return out
}

func TestAWishIsSeenAtOnceHereAndInTenSecondsElsewhere(t *testing.T) {
	ctx, pool := t.Context(), pgtest.DB(t)
	at := &clock{at: time.Now()}
	here, elsewhere := purgecache.New(pool, purgecache.WithClock(at.now)), purgecache.New(pool, purgecache.WithClock(at.now))
	for _, p := range []*purgecache.PurgeCache{here, elsewhere} {
		if got := names(t, p, "a/b", time.Time{}); len(got) != 0 {
			t.Errorf("%v before any wish", got)
		}
	}
	began := time.Now().Add(-time.Minute)
	for _, c := range []string{"a/b checkouts", "a/b builds", "a/c checkouts", "a/b checkouts"} {
		pool, name, _ := strings.Cut(c, " ")
		if err := here.Purge(ctx, pool, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(ctx, "UPDATE cache_purges SET before = before - interval '1 second' WHERE cache_name = 'builds'"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"builds", "checkouts"}, names(t, here, "a/b", time.Time{})); diff != "" {
		t.Error(diff)
	}
	at.move(purgecache.Trust - time.Millisecond)
	if got := names(t, elsewhere, "a/b", time.Time{}); len(got) != 0 {
		t.Errorf("%v, from the database each time", got)
	}
	at.move(time.Millisecond)
	if diff := cmp.Diff([]string{"builds", "checkouts"}, names(t, elsewhere, "a/b", began)); diff != "" {
		t.Error(diff)
	}
	all, err := here.All(ctx, purgecache.Request{}, 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, r := range all {
		if r.Before.Before(began) || time.Until(r.Before) > time.Minute || r.Before != r.Before.Truncate(time.Millisecond) {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff([]string{"checkouts"}, names(t, here, "a/b", all[1].Before)); diff != "" {
		t.Errorf("since the later wish: %s", diff)
	}
	if got := names(t, here, "a/b", all[1].Before.Add(time.Millisecond)); len(got) != 0 {
		t.Errorf("%v are newer than the newest", got)
	}
	page, err := here.All(ctx, all[0], 1)
	if diff := cmp.Diff(all[1:2], page); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestARepeatedWishIsLaterAndNoWishIsLostAmongMany(t *testing.T) {
	ctx, pool := t.Context(), pgtest.DB(t)
	p := purgecache.New(pool)
	if err := p.Purge(ctx, "a/b", "c"); err != nil {
		t.Fatal(err)
	}
	first, err := p.Requests(ctx, "a/b", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			name := fmt.Sprintf("c%d", i)
			if err := p.Purge(ctx, "a/b", name); err != nil {
				t.Error(err)
				return
			}
			// Whoever has made a wish sees it, whatever others read meanwhile.
			list, err := p.Requests(ctx, "a/b", time.Time{})
			if err != nil || !strings.Contains(fmt.Sprint(list), " "+name+" ") {
				t.Errorf("%s is not in %v, %v", name, list, err)
			}
		})
	}
	wg.Wait()
	if err := p.Purge(ctx, "a/b", "c"); err != nil {
		t.Fatal(err)
	}
	list, err := p.Requests(ctx, "a/b", time.Time{})
	if err != nil || len(list) != 21 || !list[0].Before.After(first[0].Before) {
		t.Errorf("%d wishes, the first %+v after %+v, %v", len(list), list[0], first[0], err)
	}
}

func TestWishesEnd(t *testing.T) {
	ctx, pool := t.Context(), pgtest.DB(t)
	p := purgecache.New(pool)
	for _, name := range []string{"", strings.Repeat("n", purgecache.MaxName+1), "a\x00b", "\xff"} {
		if err := p.Purge(ctx, "a/b", name); !errors.Is(err, fault.Invalid) {
			t.Errorf("%.10q: %v", name, err)
		}
	}
	for i := range 3 {
		if err := p.Purge(ctx, "a/b", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	var lasts time.Duration
	if err := pool.QueryRow(ctx, "SELECT expires - before FROM cache_purges LIMIT 1").Scan(&lasts); err != nil || lasts < 23*time.Hour || lasts > 25*time.Hour {
		t.Errorf("a wish lasts %s, %v", lasts, err)
	}
	if _, err := pool.Exec(ctx, "UPDATE cache_purges SET expires = now() WHERE cache_name < '2'"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2"}, names(t, p, "a/b", time.Time{})); diff != "" {
		t.Error(diff)
	}
	if all, err := p.All(ctx, purgecache.Request{}, 10); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if n, err := p.Prune(ctx); n != 2 || err != nil {
		t.Errorf("%d removed, %v", n, err)
	}
}
