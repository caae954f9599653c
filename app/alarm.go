package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/secrets"
)

// alarmsEvery is how often the same client reading the same secret is told.
const alarmsEvery = time.Hour

// maxAlarms is how many readings a server remembers; the outbox knows them all.
const maxAlarms = 10000

// Alarms says who hears of secrets that people read, and which clients may read them unheard.
type Alarms struct {
	To     []AlarmTo
	Except []string // client ids; * at the end stands for any rest
}

// AlarmTo is an address, on a channel of notify's.
type AlarmTo struct{ Channel, Address string }

// ParseAlarms reads addresses, CHANNEL:ADDRESS with spaces between, and clients.
func ParseAlarms(to, except string) (Alarms, error) {
	a := Alarms{Except: strings.Fields(except)}
	for _, word := range strings.Fields(to) {
		channel, address, _ := strings.Cut(word, ":")
		t := AlarmTo{channel, address}
		m := t.message("client", "secret", "https://root.invalid", time.Now())
		if m == nil {
			return a, fault.New(fault.Invalid, "%q is no address: say email:ADDRESS, slack-channel:ID, matrix-room:ID or pulse:KEY", word)
		}
		if err := m.Check(); err != nil {
			return a, fmt.Errorf("%s: %w", word, err)
		}
		a.To = append(a.To, t)
	}
	return a, nil
}

// check says which addresses nothing can be sent to.
func (a Alarms) check(n Notify) error {
	on := map[string]bool{message.ChannelPulse: true, message.ChannelEmail: n.SMTP.On(), message.ChannelSlack: n.Slack.Token != "", message.ChannelMatrix: n.Matrix.Token != ""}
	for _, to := range a.To {
		if !on[to.Channel] {
			return fault.New(fault.Invalid, "TREELINE_ALARM_TO: nothing can be sent to %s:%s, for this server has no such way out (docs/reference/notify.md)", to.Channel, to.Address)
		}
	}
	return nil
}

// message tells of a reading; nil when there is no such channel.
func (t AlarmTo) message(clientID, name, rootURL string, at time.Time) message.Message {
	when := at.UTC().Format(time.RFC3339)
	subject := "A secret was read: " + name
	if len(subject) > 200 {
		subject = strings.ToValidUTF8(subject[:200], "") + "…"
	}
	plain := fmt.Sprintf("%s read the secret %s of %s at %s. It is no task. The audit log has it; within an hour this is told once.", clientID, name, rootURL, when)
	switch t.Channel {
	case message.ChannelEmail:
		return message.Email{
			Address: t.Address, Subject: subject, Link: &message.Link{Text: "Audit log", Href: rootURL + "/audit"}, Why: "TREELINE_ALARM_TO of the deployment names your address.",
			Content: "Somebody who is no task has read a secret at " + when + ". Who:\n\n" + notify.Block(clientID) + "\n\nWhich secret:\n\n" + notify.Block(name) +
				"\n\nWithin an hour this is told once. Who reads secrets as a program belongs into TREELINE_ALARM_EXCEPT.",
		}
	case message.ChannelSlack:
		return message.Slack{ChannelID: t.Address, Text: strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(plain)}
	case message.ChannelMatrix:
		return message.Matrix{RoomID: t.Address, Body: plain}
	case message.ChannelPulse:
		text, err := json.Marshal(map[string]string{"event": "secret-read", "clientId": clientID, "secret": name, "time": when})
		if err != nil {
			return nil
		}
		return message.Pulse{RoutingKey: t.Address, Message: text}
	}
	return nil
}

// alarm tells of secrets that people read. It is safe for concurrent use.
type alarm struct {
	Alarms
	rootURL string
	log     *slog.Logger
	count   func()
	send    func(ctx context.Context, m message.Message, key string, within time.Duration) error

	mu   sync.Mutex
	told map[string]time.Time
}

func (a *App) alarm() *alarm {
	return &alarm{
		Alarms: a.config.Alarms, rootURL: a.config.RootURL, log: a.config.Log, count: a.metrics.SecretRead, told: map[string]time.Time{},
		send: func(ctx context.Context, m message.Message, key string, within time.Duration) error {
			return a.notify.Later(ctx, m, key, within)
		},
	}
}

// program reports whether a reader is a task or a worker: the server itself gave them their credentials, which nobody
// else can have under such a name. Or it is a client that is known to read secrets.
func (a *alarm) program(by secrets.Reader) bool {
	if by.Issuer == queueClient && strings.HasPrefix(by.ClientID, "task-client/") || by.Issuer == poolsClient && strings.HasPrefix(by.ClientID, "worker/") {
		return true
	}
	for _, pattern := range a.Except {
		if prefix, any := strings.CutSuffix(pattern, "*"); by.ClientID == pattern || any && strings.HasPrefix(by.ClientID, prefix) {
			return true
		}
	}
	return false
}

// read raises the alarm, before the reader gets the secret. Its error is one of the outbox: then nobody gets it. That an
// address cannot be told is in the log, for a message that is not sent must not keep somebody from what is urgent.
func (a *alarm) read(ctx context.Context, by secrets.Reader, name string) error {
	if a.program(by) {
		return nil
	}
	a.count()
	now := time.Now()
	sum := sha256.Sum256([]byte(by.ClientID + "\n" + name))
	key := "secret-read/" + hex.EncodeToString(sum[:])
	if !a.first(key, now) {
		return nil
	}
	a.log.WarnContext(ctx, "a secret was read by somebody who is no task", "secret", name, "clientId", by.ClientID)
	for _, to := range a.To {
		err := a.send(ctx, to.message(by.ClientID, name, a.rootURL, now), key, alarmsEvery)
		switch {
		case err == nil:
		case errors.Is(err, notify.ErrOff), errors.Is(err, notify.ErrDenied), errors.Is(err, notify.ErrLimited), fault.KindOf(err) == fault.Invalid:
			a.log.ErrorContext(ctx, "nobody is told that a secret was read", "channel", to.Channel, "address", to.Address, "secret", name, "clientId", by.ClientID, "err", err)
		default:
			a.mu.Lock()
			delete(a.told, key)
			a.mu.Unlock()
			return fmt.Errorf("raise the alarm: %w", err)
		}
	}
	return nil
}

// first reports whether it is the first time in an hour, as far as this server knows.
func (a *alarm) first(key string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, ok := a.told[key]; ok && now.Sub(at) < alarmsEvery {
		return false
	}
	if len(a.told) >= maxAlarms {
		maps.DeleteFunc(a.told, func(_ string, at time.Time) bool { return now.Sub(at) >= alarmsEvery })
	}
	if len(a.told) >= maxAlarms {
		clear(a.told) // the outbox still tells each once
	}
	a.told[key] = now
	return true
}
