// Package hg follows Mercurial repositories: it looks at each now and then, records what was pushed, each push
// once, and leaves it to intake to decide it (docs/explanation/mercurial.md). Any number of servers do so at
// once; the rows of the repositories say whose turn it is, and how far they are.
//
// What a server with a pushlog tells of is recorded push by push. Of another the heads are compared with those of
// the last look: what a head gained since is one push (vcs-integration 2.4, 2.6).
//
// Lock order: the row of a repository here, then those of package push.
package hg

import (
	"context"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	forge "github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/push"
)

// Whether a repository has a pushlog.
const (
	Auto = "auto" // asked at the first look
	Yes  = "yes"
	No   = "no"
)

// Repository is a Mercurial repository as it is followed.
type Repository struct {
	Name   string
	URL    string
	Reader *forge.Repo

	// Branches and Bookmarks are those whose pushes are recorded; * stands for any text.
	Branches, Bookmarks []string

	Pushlog  string        // Auto, Yes or No
	Backfill int           // how many of the pushes that are there at the first look are recorded
	Every    time.Duration // between looks when no hints come; a minute when zero

	Secrets []string // of the hooks that send hints; none: no hints are taken
	Keys    []string // routing keys of hgpushes, whose messages are hints; the path of the URL when nil
}

// host is the server, whose looks share a limit.
func (r Repository) host() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Deps are the rooms that this joins.
type Deps struct {
	Pool         *pgxpool.Pool
	Push         *push.Log
	Decide       func() // has recorded pushes taken; it does not block
	Repositories []Repository
	Log          *slog.Logger
}

// Watch follows the repositories of a configuration.
type Watch struct {
	Deps
	repos map[string]*repository
	hosts map[string]*host

	wake   chan struct{}
	cancel context.CancelFunc
	loops  sync.WaitGroup
	looks  sync.WaitGroup

	mu      sync.Mutex
	results []result        // of looks that recorded nothing; written together
	taken   map[string]bool // by this server: looks that are under way or wait
	renewed time.Time
}

// repository is one with its host.
type repository struct {
	Repository
	host      *host
	branches  *regexp.Regexp
	bookmarks *regexp.Regexp // nil: none
}

// host limits the looks at one server.
type host struct {
	slots chan struct{}

	mu    sync.Mutex
	busy  int       // looks that are under way or wait
	until time.Time // the server did not answer; not looked at before
	fails int
}

// Times and bounds of the looks.
const (
	tick      = time.Second      // how late a look that is due begins
	lookLimit = 90 * time.Second // for one look
	lease     = 20 * time.Second // after which another server looks, unless it is renewed
	renewal   = 5 * time.Second  // between renewals
	waitLimit = time.Minute      // for a look to begin that is taken
	portion   = 64               // looks that are taken together
	perHost   = 4                // looks at one server at once
	maxBusy   = 2 * portion      // looks at one server that may wait
	whenQuiet = 2                // times Every between looks at what did not move for a week
	whenTold  = 5                // times Every between looks where hints come
	badPause  = 5 * time.Second  // after a look that failed, at first
	maxPause  = 15 * time.Minute // and at most
	hostPause = 5 * time.Second  // before a server that did not answer is asked again, at first
	maxHost   = 2 * time.Minute  // and at most
	lagLooks  = 3                // looks at which a pushlog may end before the cursor
	recent    = 200              // changesets of which it is asked whether a strip left them
	keepKnown = 5000             // changesets remembered of a repository
	maxList   = 50               // changesets that a push names
	asNew     = 2_000_000_000    // a push that no pushlog has yet
)

// New returns a Watch that does nothing until Start.
func New(d Deps) *Watch {
	w := &Watch{Deps: d, repos: map[string]*repository{}, hosts: map[string]*host{}, taken: map[string]bool{}, wake: make(chan struct{}, 1)}
	for _, r := range d.Repositories {
		if r.Every == 0 {
			r.Every = time.Minute
		}
		if r.Keys == nil {
			if u, err := url.Parse(r.URL); err == nil && len(u.Path) > 1 {
				r.Keys = []string{strings.Trim(u.Path, "/")}
			}
		}
		name := r.host()
		if w.hosts[name] == nil {
			w.hosts[name] = &host{slots: make(chan struct{}, perHost)}
		}
		w.repos[r.Name] = &repository{Repository: r, host: w.hosts[name], branches: pattern(r.Branches, "*"), bookmarks: pattern(r.Bookmarks, "")}
	}
	return w
}

// pattern is an expression for names; nil for no names. Without a list it is that of the default.
func pattern(list []string, otherwise string) *regexp.Regexp {
	if len(list) == 0 && otherwise != "" {
		list = []string{otherwise}
	}
	if len(list) == 0 {
		return nil
	}
	var parts []string
	for _, p := range list {
		parts = append(parts, strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, `.*`))
	}
	return regexp.MustCompile(`(?s)^(?:` + strings.Join(parts, "|") + `)$`) // quoted, so it is an expression
}

// Start notes the repositories and begins to look; it does so until Stop.
func (w *Watch) Start(ctx context.Context) error {
	if err := w.note(ctx); err != nil {
		return err
	}
	ctx, w.cancel = context.WithCancel(ctx)
	w.loops.Go(func() { w.loop(ctx) })
	return nil
}

// Stop ends the looks and waits for them; what they were at is looked at again.
func (w *Watch) Stop() {
	if w.cancel != nil {
		w.cancel()
	}
	w.loops.Wait()
}

// Wake has repositories that are due looked at now. It does not block.
func (w *Watch) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
