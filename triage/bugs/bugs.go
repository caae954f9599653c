// Package bugs is what the pages want of a bug tracker: bugs that fit a failure, and a place to file a new one. Which tracker
// that is, is the server's configuration; nothing of a failure decides where a request goes.
package bugs

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Limits of what is filed.
const (
	MaxSummary     = 255   // characters
	MaxDescription = 30000 // bytes
	// MaxFound is how many bugs a search returns at most.
	MaxFound = 8
)

// Bug is a bug as a tracker shows it.
type Bug struct {
	ID      string `json:"id"` // as people write it into a classification
	Summary string `json:"summary"`
	State   string `json:"state"` // in the tracker's words
	Open    bool   `json:"open"`
	URL     string `json:"url"`
}

// New is a bug to be.
type New struct{ Summary, Description string }

// Check tells what is missing.
func (n New) Check() error {
	switch {
	case strings.TrimSpace(n.Summary) == "":
		return fault.New(fault.Invalid, "A bug needs a summary.")
	case utf8.RuneCountInString(n.Summary) > MaxSummary:
		return fault.New(fault.Invalid, "A summary is at most %d characters long.", MaxSummary)
	case len(n.Description) > MaxDescription:
		return fault.New(fault.Invalid, "A description is at most %d bytes long.", MaxDescription)
	case strings.ContainsAny(n.Summary, "\r\n\x00") || strings.ContainsRune(n.Description, 0) || !utf8.ValidString(n.Summary+n.Description):
		return fault.New(fault.Invalid, "Summary and description are text, the summary of one line.")
	}
	return nil
}

// Form is where people file a bug by hand: an address, and the names of the parameters that fill it in.
type Form struct {
	URL         string `json:"url"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
}

// What trackers tell.
var (
	ErrRefused = errors.New("the tracker refused the bug")
	ErrNone    = errors.New("the tracker has no such bug")
)

// Tracker is a bug tracker. It is safe for concurrent use.
type Tracker interface {
	// Name is how people call it, such as "acme/app on github.com".
	Name() string
	// Search returns up to MaxFound bugs whose summaries have all words, open ones first.
	Search(ctx context.Context, words string) ([]Bug, error)
	// Form is where people file a bug by hand.
	Form() Form
	// CanFile tells whether the server may file bugs: whether it has a token.
	CanFile() bool
	// File makes a bug. What the tracker refuses is a fault.Conflict with its reason, without the token, and ErrRefused; after
	// any other error it may have made the bug.
	File(ctx context.Context, n New) (Bug, error)
	// Recent returns the newest bug with just that summary that was made since then; ErrNone when there is none.
	Recent(ctx context.Context, summary string, since time.Time) (Bug, error)
	// Get returns a bug by its id.
	Get(ctx context.Context, id string) (Bug, error)
	// Link is the address of a bug as people write it; "" for what is no bug of this tracker.
	Link(bug string) string
}

// word is a part of a message that is not a number, a path or a sign.
var word = regexp.MustCompile(`[A-Za-z_][A-Za-z_.-]{3,}`)

const mostWords = 4

// Words are what to search for a failure by: the name of its test without directories, else the first telling words of its
// message. "" for a message without any.
func Words(test, message string) string {
	if test != "" {
		fields := strings.Fields(test)
		last := fields[len(fields)-1]
		if i := strings.LastIndexAny(strings.TrimRight(last, "/"), "/:"); i >= 0 && i+1 < len(last) {
			last = last[i+1:]
		}
		return last
	}
	found := word.FindAllString(message, mostWords)
	return strings.Join(found, " ")
}

const (
	keepFor   = 10 * time.Minute // of what was found
	keepMost  = 2000             // searches
	atOnce    = 4                // searches under way
	searchFor = 8 * time.Second
)

// Memory asks a tracker, and remembers what it found for a while; few searches are under way at once, so that a page that
// everybody looks at does not flood the tracker. It is safe for concurrent use.
type Memory struct {
	Tracker

	now     func() time.Time
	asking  *semaphore.Weighted
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	until time.Time
	done  chan struct{}
	bugs  []Bug
	err   error
}

// Remember returns a tracker's memory, by a clock such as time.Now.
func Remember(t Tracker, now func() time.Time) *Memory {
	return &Memory{Tracker: t, now: now, asking: semaphore.NewWeighted(atOnce), entries: map[string]*entry{}}
}

// Search is Tracker's. What was an error is asked again the next time.
func (m *Memory) Search(ctx context.Context, words string) ([]Bug, error) {
	m.mu.Lock()
	e, known := m.entries[words]
	if known && m.now().After(e.until) {
		known = false
	}
	if !known {
		if len(m.entries) >= keepMost {
			clear(m.entries)
		}
		e = &entry{until: m.now().Add(keepFor), done: make(chan struct{})}
		m.entries[words] = e
		go m.ask(context.WithoutCancel(ctx), words, e) // others may wait for it
	}
	m.mu.Unlock()
	select {
	case <-e.done:
		return e.bugs, e.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *Memory) ask(ctx context.Context, words string, e *entry) {
	defer close(e.done)
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	if e.err = m.asking.Acquire(ctx, 1); e.err == nil {
		e.bugs, e.err = m.Tracker.Search(ctx, words)
		m.asking.Release(1)
	}
	if e.err != nil {
		m.mu.Lock()
		delete(m.entries, words)
		m.mu.Unlock()
	}
}
