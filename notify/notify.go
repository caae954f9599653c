// Package notify tells people and programs what happens: by mail, in Slack and Matrix, and by messages on
// RabbitMQ. It is asked by its API (notifyapi), by other rooms (Mail), and by tasks through their routes
// (follow.go).
//
// Every notification is a row of the outbox before it is sent, and the row is settled when the other side
// has it; so none is lost when a server dies, and one that was on its way is sent again. A mail keeps its
// Message-ID and a message to Matrix its transaction id, by which the other side can drop the repetition;
// Slack has no such thing. Duplicates and limits are counted in the outbox, for all replicas together.
//
// Readers next: follow.go, outbox.go, send.go; news has the texts, mail and chat the ways out.
package notify

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/task"
)

// The limits on what is sent.
const (
	MailLimit    = 50               // mails to an address within MailPeriod
	MailPeriod   = 10 * time.Minute // see MailLimit
	SameWithin   = time.Hour        // the same call again is a duplicate for so long
	GiveUpAfter  = 24 * time.Hour   // of trying
	Keep         = 14 * 24 * time.Hour
	attemptLease = 45 * time.Second // for how long a message on its way is nobody else's
)

type (
	// Email is a message by mail.
	Email = message.Email
	// Link is a button in a mail.
	Link = message.Link
	// Slack is a message to a channel of Slack.
	Slack = message.Slack
	// Matrix is a message to a room of Matrix.
	Matrix = message.Matrix
	// Pulse is a message on RabbitMQ, and in the feed of events.
	Pulse = message.Pulse
)

// Code writes text of people as inline code of Markdown, in which nothing has a meaning.
func Code(s string) string { return message.Code(s) }

// Block writes text of people as a block of code in Markdown, in which nothing has a meaning.
func Block(s string) string { return message.Block(s) }

// What Mail and Send may answer besides faults about the message.
var (
	ErrOff     = errors.New("it is not configured on this server")
	ErrDenied  = errors.New("the address wants no notifications")
	ErrLimited = fmt.Errorf("the address got %d mails within %v", MailLimit, MailPeriod)
)

// Deps is what the room needs.
type Deps struct {
	Pool    *pgxpool.Pool
	Log     *slog.Logger
	Wake    func() // after an event was appended
	RootURL string
	// Task gives a task's definition; fault.NotFound when it is gone.
	Task func(ctx context.Context, id string) (task.Definition, error)
	// Failure finds the line of a run's log that tells why it failed; "" for none. It may be nil.
	Failure func(ctx context.Context, taskID string, run int) string
	// Audit records who changed the denylist, in the transaction of the change; its error ends that. It may
	// be nil.
	Audit func(ctx context.Context, tx pgx.Tx, actor string, a Address, action string) error
	// The ways out; nil when they are not configured.
	Mail   *mail.Sender
	Slack  *chat.Slack
	Matrix *chat.Matrix
	// FirstRetry is the pause before a message is tried again; it grows threefold each time, to an hour. 10
	// seconds when zero.
	FirstRetry time.Duration
}

// Notify is the room. It is safe for concurrent use; any number of replicas may run it.
type Notify struct {
	Deps
	wake   map[string]chan struct{} // by channel
	off    sync.Map                 // channels of which it was logged that they are not configured
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// New makes the room.
func New(d Deps) *Notify {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.FirstRetry == 0 {
		d.FirstRetry = 10 * time.Second
	}
	n := &Notify{Deps: d, wake: map[string]chan struct{}{}}
	for _, c := range message.Channels() {
		n.wake[c] = make(chan struct{}, 1)
	}
	return n
}

// on reports whether there is a way out for a channel.
func (n *Notify) on(channel string) bool {
	switch channel {
	case message.ChannelEmail:
		return n.Deps.Mail != nil
	case message.ChannelSlack:
		return n.Deps.Slack != nil
	case message.ChannelMatrix:
		return n.Deps.Matrix != nil
	}
	return true
}

// errOff says what an operator has to do.
func errOff(channel string) error {
	remedy := map[string]string{
		message.ChannelEmail:  "E-mail (set TREELINE_SMTP_URL and TREELINE_MAIL_FROM)",
		message.ChannelSlack:  "Slack (set TREELINE_SLACK_TOKEN)",
		message.ChannelMatrix: "Matrix (set TREELINE_MATRIX_URL and TREELINE_MATRIX_TOKEN)",
	}[channel]
	return fault.Wrap(fault.Invalid, ErrOff, "This server has no way to send this: an operator must configure %s.", remedy)
}

// Outcome is what became of a message that was taken.
type Outcome int

// The outcomes.
const (
	Sent      Outcome = iota
	Waiting           // it could not be sent yet; it is tried again
	Duplicate         // the same was sent already
	Limited           // the address got too many
)

// Send takes a message and tries to send it at once. When it returns nil the outcome says what became of
// it. Errors are faults about the message, ErrOff, ErrDenied, or what the other side has against the message
// (*message.Failure): it is not tried again then.
func (n *Notify) Send(ctx context.Context, m message.Message) (Outcome, error) {
	return n.post(ctx, m, digest(m))
}

// SendTest is Send, and takes no message for a duplicate; what stands in the way comes back whether or not
// time could mend it, and nothing is tried again.
func (n *Notify) SendTest(ctx context.Context, m message.Message, key string) (Outcome, error) {
	return n.post(ctx, m, identity{key: "test/" + key, test: true})
}

// Mail puts a mail into the outbox, from where this or another replica sends it soon. Its Key says what
// makes it the same mail: what has the same one is mailed once; without one, the same mail goes once an hour.
// nil says that it is in the outbox or was before. Errors are faults about the mail, ErrOff, ErrDenied and
// ErrLimited.
func (n *Notify) Mail(ctx context.Context, m Email) error {
	id := digest(m)
	if m.Key != "" {
		id = identity{key: "key/" + m.Key + "/" + m.Address}
	}
	return n.later(ctx, m, id)
}

// Later is Mail for any channel. What has the same key goes to an address once within a time.
func (n *Notify) Later(ctx context.Context, m message.Message, key string, within time.Duration) error {
	return n.later(ctx, m, identity{key: "later/" + key + "/" + m.Channel() + "/" + m.To(), within: within})
}

func (n *Notify) later(ctx context.Context, m message.Message, id identity) error {
	if !n.on(m.Channel()) {
		return errOff(m.Channel())
	}
	if err := m.Check(); err != nil {
		return err
	}
	p := parcel{identity: id, channel: m.Channel(), address: m.To()}
	p.body.take(m)
	state, _, err := n.enqueue(ctx, p)
	if err == nil {
		n.wakeUp(m.Channel())
		err = state.refusal()
	}
	return err
}

// post enqueues and sends.
func (n *Notify) post(ctx context.Context, m message.Message, id identity) (Outcome, error) {
	if !n.on(m.Channel()) {
		return 0, errOff(m.Channel())
	}
	if err := m.Check(); err != nil {
		return 0, err
	}
	p := parcel{identity: id, channel: m.Channel(), address: m.To(), claimed: true}
	p.body.take(m)
	state, r, err := n.enqueue(ctx, p)
	switch {
	case err != nil:
		return 0, err
	case errors.Is(state.refusal(), ErrLimited):
		return Limited, nil
	case state.refusal() != nil:
		return 0, state.refusal()
	case r == nil:
		return Duplicate, nil
	}
	// The message is ours for a while; who called may go away meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTime)
	defer cancel()
	err = n.attempt(ctx, *r)
	var f *message.Failure
	switch {
	case err == nil:
		return Sent, nil
	case errors.As(err, &f) && f.Temporary && !id.test:
		return Waiting, nil
	}
	return 0, err
}

// postTime is how long a caller waits for the other side.
const postTime = 15 * time.Second

// digest makes the identity of a message of its content (taskcluster-map 9).
func digest(m message.Message) identity {
	text, err := json.Marshal(m)
	if err != nil {
		text = fmt.Append(nil, m)
	}
	sum := sha256.Sum256(append([]byte(m.Channel()+"\n"), text...))
	return identity{key: "same/" + base64.RawURLEncoding.EncodeToString(sum[:]), within: SameWithin}
}

func failed(what string, err error) error {
	return fmt.Errorf("notify: %s: %w", what, pg.Classify(err))
}

// Statements are the room's SQL, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{lockSQL, enqueueSQL, claimSQL, sentSQL, laterSQL, failSQL, denySQL, allowSQL, deniedSQL, listSQL, pruneSQL, wasteSQL, figuresSQL}
}
