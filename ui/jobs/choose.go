package jobs

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
)

const (
	jobsPushes = 10   // pushes of the page
	maxPushes  = 50   // that a URL may ask for
	scanPushes = 1000 // looked through for an author or a day
)

// chosen are the pushes that a URL asks for, newest first.
type chosen struct {
	list  []push.Push
	older bool        // whether there are more
	near  []push.Push // some that were read along the way, by which the chosen can be judged
}

// ask is what a URL says of which pushes it wants.
type ask struct {
	before, oldest int64
	limit          int
	wanted         func(push.Push) bool
	since, until   time.Time // zero: open
}

// choosePushes returns the pushes that the parameters ask for.
func (ps *Pages) choosePushes(ctx context.Context, repo string, q url.Values) (chosen, error) {
	if ids := q.Get("push"); ids != "" {
		list, err := ps.pushesByID(ctx, repo, ids)
		return chosen{list: list}, err
	}
	if revision := q.Get("revision"); revision != "" {
		p, err := ps.Push.ByRevision(ctx, repo, revision)
		if errors.Is(err, fault.NotFound) {
			return chosen{}, fault.New(fault.NotFound, "No push of %s ends in revision %s.", repo, revision)
		}
		return chosen{list: []push.Push{p}}, err
	}
	a, err := ps.askOf(ctx, repo, q)
	if err != nil {
		return chosen{}, err
	}
	return ps.scan(ctx, repo, a)
}

func (ps *Pages) askOf(ctx context.Context, repo string, q url.Values) (ask, error) {
	a := ask{limit: jobsPushes, wanted: authorFilter(q.Get("author"))}
	if n, err := strconv.Atoi(q.Get("count")); err == nil && n > 0 {
		a.limit = min(n, maxPushes)
	}
	a.before, _ = strconv.ParseInt(q.Get("before"), 10, 64) // not a number: from the newest on
	a.before = max(a.before, 0)
	if to := q.Get("tochange"); to != "" && a.before == 0 {
		p, err := ps.Push.ByRevision(ctx, repo, to)
		if err != nil {
			return a, err
		}
		a.before = p.ID + 1
	}
	if from := q.Get("fromchange"); from != "" {
		p, err := ps.Push.ByRevision(ctx, repo, from)
		if err != nil {
			return a, err
		}
		a.oldest, a.limit = p.ID, maxPushes
	}
	var err error
	if a.since, err = day(q.Get("startdate"), 0); err != nil {
		return a, err
	}
	if a.until, err = day(q.Get("enddate"), 1); err != nil {
		return a, err
	}
	if !a.since.IsZero() {
		a.limit = maxPushes
	}
	return a, nil
}

// day reads a date, or an instant. A date stands for its beginning, or days later.
func day(text string, later int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, later), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.New(fault.BadArguments, "A date is written as in 2026-02-28, not %q.", text)
}

func (ps *Pages) scan(ctx context.Context, repo string, a ask) (c chosen, err error) {
	before := a.before
	for scanned := 0; len(c.list) <= a.limit && scanned < scanPushes; {
		some, err := ps.Push.List(ctx, repo, before, maxPushes)
		if err != nil {
			return c, err
		}
		for _, p := range some {
			before = p.ID
			if p.ID < a.oldest || !a.since.IsZero() && p.Time.Before(a.since) {
				c.near = append(c.near, p)
				continue
			}
			if a.wanted(p) && (a.until.IsZero() || p.Time.Before(a.until)) {
				c.list = append(c.list, p)
			} else {
				c.near = append(c.near, p)
			}
		}
		scanned += len(some)
		last := len(some) - 1
		if len(some) < maxPushes || before <= a.oldest || !a.since.IsZero() && some[last].Time.Before(a.since) {
			break
		}
	}
	if len(c.list) > a.limit {
		c.near = append(c.list[a.limit:], c.near...)
		c.list, c.older = c.list[:a.limit:a.limit], true
	}
	return c, nil
}

func (ps *Pages) pushesByID(ctx context.Context, repo, ids string) ([]push.Push, error) {
	var list []push.Push
	for i, text := range strings.Split(ids, ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || i >= maxPushes {
			return nil, fault.New(fault.BadArguments, "push must be a list of at most %d numbers", maxPushes)
		}
		p, err := ps.Push.Get(ctx, repo, id)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// authorFilter is Treeherder's author parameter: part of name or address; a leading - negates.
func authorFilter(author string) func(push.Push) bool {
	text, not := strings.CutPrefix(strings.ToLower(author), "-")
	return func(p push.Push) bool {
		if text == "" {
			return true
		}
		has := strings.Contains(strings.ToLower(p.Author), text) || strings.Contains(strings.ToLower(p.Email), text)
		return has != not
	}
}
