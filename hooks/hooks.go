// Package hooks creates tasks when something happens: at times of a schedule, when somebody calls for
// it, or when a message about something else comes along (taskcluster-map 7).
//
// A hook is a template of a task, with a role of its own: its tasks have the scopes of the role
// hook-id:<group>/<id>, never those of whoever fired it. Who may change a hook is for the door to check.
//
// Nothing is fired twice, and nothing that is due is forgotten. A scheduled fire has its task's id before
// it begins; a message's task has an id that follows from the message. So a fire that a crash
// interrupted is done again with the same outcome, by any replica.
//
// Readers next: fire.go, schedule.go, messages.go.
package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Hook is a hook's definition, as it is on the wire.
type Hook struct {
	Group         string          `json:"hookGroupId"`
	ID            string          `json:"hookId"`
	Metadata      Metadata        `json:"metadata"`
	Schedule      []string        `json:"schedule"` // cron expressions, in UTC
	Bindings      []Binding       `json:"bindings"`
	Task          json.RawMessage `json:"task"`          // JSON-e template of a task definition
	TriggerSchema json.RawMessage `json:"triggerSchema"` // what payloads must fit
}

// Name is the hook's name in scopes and addresses: group and id with a slash between.
func (h *Hook) Name() string { return h.Group + "/" + h.ID }

// Role is the role whose scopes the hook's tasks are created with.
func (h *Hook) Role() string { return "hook-id:" + h.Name() }

// Metadata is what a hook says about itself.
type Metadata struct {
	Name         string `json:"name"`
	Description  string `json:"description"` // Markdown
	Owner        string `json:"owner"`       // an e-mail address
	EmailOnError bool   `json:"emailOnError"`
}

// Binding makes messages fire a hook.
type Binding struct {
	Exchange          string `json:"exchange"`
	RoutingKeyPattern string `json:"routingKeyPattern"` // * stands for a word, # for any number of words
}

// FiredBy says what fired a hook.
type FiredBy string

// What can fire a hook.
const (
	Schedule             FiredBy = "schedule"
	TriggerHook          FiredBy = "triggerHook"
	TriggerHookWithToken FiredBy = "triggerHookWithToken"
	PulseMessage         FiredBy = "pulseMessage"
)

// Creation is a task that a hook asks for.
type Creation struct {
	TaskID     string
	Definition json.RawMessage
	Scopes     []string // assume:hook-id:<group>/<id>; not expanded
	Role       string   // for messages
}

// Failure is a fire that went wrong without anybody waiting for the answer.
type Failure struct {
	Hook     Hook
	By       FiredBy
	TaskID   string // the id that the task would have had
	Message  string // for people
	Failures int    // in a row, this one too
	Next     time.Time
}

// Sealer encrypts what the database must not show; context is bound to it.
type Sealer interface {
	Seal(plaintext, context []byte) ([]byte, error)
	Open(sealed, context []byte) ([]byte, error)
}

// Message is an event as listeners on pulse get it.
type Message struct {
	Exchange string
	Keys     []string // the routing key, and those of the task's routes
	Payload  json.RawMessage
}

// Feed hands out what happens; see event.Feed.
type Feed interface {
	Consume(ctx context.Context, name string, what event.Interest, handle func(ctx context.Context, tx pgx.Tx, events []event.Event) error) error
}

// Deed is something done to a hook.
type Deed struct {
	Actor, Hook, Action string
	Before, After       *Hook // nil where there is none; both nil when the definition is not what changed
	Own                 bool  // done by the server itself
}

// Deps is what hooks need of others. Pool, Ring and Create are required.
type Deps struct {
	Pool *pgxpool.Pool
	Ring Sealer
	Log  *slog.Logger
	Wake func() // called after a change, for the feed to look

	// Create creates a task with the scopes of a role. It is idempotent; another task of the same id is a
	// fault.Conflict, scopes that the role lacks are a fault.Forbidden.
	Create func(ctx context.Context, c Creation) error
	// States tells the states of tasks; those that do not exist are left out.
	States func(ctx context.Context, ids []string) (map[string]task.State, error)
	// Failed is told of failures that the hook's owner wants to hear of. It should not take long.
	Failed func(ctx context.Context, f Failure)
	// Audit records who did what to a hook, in the transaction of the change; its error ends that.
	Audit func(ctx context.Context, tx pgx.Tx, d Deed) error

	// Messages makes the message of an event; ok is false when listeners get none. Kinds are the kinds of
	// events that have one. Own tells the exchanges on which those are published.
	Messages func(e *event.Event) (m Message, ok bool, err error)
	Kinds    []string
	Own      func(exchange string) bool
	// Broker brings messages of exchanges that are not our own; nil without a broker.
	Broker Broker
	// Denied are exchanges that no hook may be bound to, besides those of hooks themselves.
	Denied []*regexp.Regexp
}

// Hooks keeps and fires hooks. It is safe for concurrent use.
type Hooks struct {
	Deps

	wake   chan struct{} // for the scheduler
	fresh  chan struct{} // for the messages
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// New returns the hooks kept in a database.
func New(d Deps) *Hooks {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Hooks{Deps: d, wake: make(chan struct{}, 1), fresh: make(chan struct{}, 1), cancel: func() {}}
}

// Start begins to fire what is due, until Stop. feed may be nil: then messages fire nothing.
func (h *Hooks) Start(ctx context.Context, feed Feed) {
	ctx, h.cancel = context.WithCancel(ctx)
	h.loops.Go(func() { h.schedules(ctx) })
	h.loops.Go(func() { h.takeMessages(ctx) })
	if feed != nil && h.Messages != nil {
		h.loops.Go(func() { h.listen(ctx, feed) })
	}
	if h.Broker != nil {
		h.loops.Go(func() { h.listenBroker(ctx) })
	}
}

// Stop ends what Start began and waits for it.
func (h *Hooks) Stop() {
	h.cancel()
	h.loops.Wait()
}

// nudge wakes a loop that waits, if it does.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// changed is called after a change was committed.
func (h *Hooks) changed() {
	nudge(h.wake)
	if h.Wake != nil {
		h.Wake()
	}
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{
		insertSQL, updateSQL, deleteSQL, deleteFiresSQL, deleteMessagesSQL, resetTokenSQL, changeSQL,
		getSQL, lockSQL, listSQL, groupsSQL, overviewSQL, boundSQL, versionSQL, lastFiresSQL, nowSQL,
		recordSQL, succeededSQL, failedSQL, claimSQL, movedSQL, retrySQL, unlockSQL, pruneFiresSQL,
		putMessageSQL, trimMessagesSQL, claimMessagesSQL, deleteMessageSQL, retryMessageSQL, countFailureSQL, bindingErrorSQL, queuesSQL, setQueueSQL, deleteQueueSQL, lockQueuesSQL,
		tokensSQL, swapTokenSQL, nextTasksSQL, swapNextTaskSQL, pauseSQL, resumeSQL, figuresSQL,
	}
}

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("hooks: %s: %w", what, pg.Classify(err))
}
