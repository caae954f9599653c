// Package webhook delivers webhooks as GitHub does: signed, in order, with a log of what came of each, and with faults on
// command.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub still sends this signature beside the other
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Delivery is one attempt to deliver a webhook, as the App's delivery log has it.
type Delivery struct {
	ID         int64
	GUID       string // the same in a redelivery
	Event      string
	Action     string // "" when the event has none
	Redelivery bool
	Status     string // OK, or what went wrong
	StatusCode int    // of the answer; 0 without one
	Answer     string
	Body       []byte
	At         time.Time
	Took       time.Duration

	App, Installation, Repository int64 // ids; Repository 0 without
}

// Fate is what becomes of a delivery.
type Fate int

// The fates of deliveries.
const (
	Deliver Fate = iota // sent
	Fail                // not sent; the log has it, as one that failed to connect
	Vanish              // not sent, and no longer in the log, as after three days
	Double              // sent twice
)

// Sender sends webhooks, in order. It is safe for concurrent use.
type Sender struct {
	Now    func() time.Time
	Log    *slog.Logger
	Target func(app int64) (url, secret string) // where an App's webhooks go now, and what signs them

	client *http.Client
	end    context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when something changed
	queue   []*Delivery
	log     []*Delivery // oldest first
	fate    Fate
	held    bool
	busy    bool
}

// Start makes a sender that works until Close; each delivery may take as long as timeout.
func Start(d *Sender, timeout time.Duration) *Sender {
	ctx, end := context.WithCancel(context.Background())
	d.client, d.end, d.ended, d.changed = &http.Client{Timeout: timeout}, end, make(chan struct{}), make(chan struct{})
	go d.run(ctx)
	return d
}

// Close ends the sender; deliveries not sent yet are not sent.
func (d *Sender) Close() {
	d.end()
	<-d.ended
	d.client.CloseIdleConnections()
}

// signal tells those who wait that something changed; the mutex is held.
func (d *Sender) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// until waits for a condition, which is asked with the mutex held.
func (d *Sender) until(ctx context.Context, condition func() bool) error {
	d.mu.Lock()
	for !condition() {
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		d.mu.Lock()
	}
	d.mu.Unlock()
	return nil
}

// Drain waits until everything that was queued is sent, or ctx ends.
func (d *Sender) Drain(ctx context.Context) error {
	if err := d.until(ctx, func() bool { return len(d.queue) == 0 && !d.busy }); err != nil {
		return fmt.Errorf("webhook: drain: %w", err)
	}
	return nil
}

func (d *Sender) run(ctx context.Context) {
	defer close(d.ended)
	for {
		if d.until(ctx, func() bool { return len(d.queue) > 0 && !d.held }) != nil {
			return
		}
		d.mu.Lock()
		next := d.queue[0]
		d.queue = d.queue[1:]
		d.busy = true
		fate := d.fate
		if next.Redelivery {
			fate = Deliver
		}
		d.mu.Unlock()
		switch fate {
		case Deliver, Double:
			d.send(ctx, next)
			if fate == Double {
				again := *next
				d.send(ctx, &again)
			}
		case Fail:
			next.Status = "failed to connect to host"
		}
		d.mu.Lock()
		d.busy = false
		if fate != Vanish {
			d.log = append(d.log, next)
		}
		d.signal()
		d.mu.Unlock()
	}
}

// send makes one attempt.
func (d *Sender) send(ctx context.Context, x *Delivery) {
	address, secret := d.Target(x.App)
	begun := time.Now()
	x.At = d.Now()
	defer func() { x.Took = time.Since(begun) }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(x.Body))
	if err != nil {
		x.Status = "invalid URL"
		return
	}
	sign := func(kind func() hash.Hash) string {
		mac := hmac.New(kind, []byte(secret))
		mac.Write(x.Body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	for name, value := range map[string]string{
		"Accept": "*/*", "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/fake",
		"X-GitHub-Event": x.Event, "X-GitHub-Delivery": x.GUID, "X-GitHub-Hook-ID": strconv.FormatInt(x.App*10, 10),
		"X-GitHub-Hook-Installation-Target-ID": strconv.FormatInt(x.App, 10), "X-GitHub-Hook-Installation-Target-Type": "integration",
		"X-Hub-Signature-256": "sha256=" + sign(sha256.New), "X-Hub-Signature": "sha1=" + sign(sha1.New),
	} {
		r.Header.Set(name, value)
	}
	answer, err := d.client.Do(r)
	if err != nil {
		x.Status = "failed to connect to host"
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16)) // what came is what is logged
	x.StatusCode, x.Answer, x.Status = answer.StatusCode, string(text), "OK"
	if answer.StatusCode/100 != 2 {
		x.Status = "Invalid HTTP Response: " + strconv.Itoa(answer.StatusCode)
	}
	d.Log.Debug("webhook", "event", x.Event, "action", x.Action, "status", x.Status)
}

// Decide says what becomes of deliveries from now on.
func (d *Sender) Decide(f Fate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fate = f
}

// Hold keeps deliveries back, or lets them go.
func (d *Sender) Hold(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = on
	d.signal()
}

// Queue takes a delivery to be sent.
func (d *Sender) Queue(x *Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, x)
	d.signal()
}

// Delivered returns the log of deliveries, oldest first.
func (d *Sender) Delivered() []Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Delivery, len(d.log))
	for i, x := range d.log {
		out[i] = *x
	}
	return out
}

// Find returns a delivery of the log; ok is false when there is none.
func (d *Sender) Find(id int64) (x Delivery, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.log, func(x *Delivery) bool { return x.ID == id })
	if i < 0 {
		return x, false
	}
	return *d.log[i], true
}

// Again sends a delivery of the log once more, under another id.
func (d *Sender) Again(x Delivery, id int64) {
	d.Queue(&Delivery{
		ID: id, GUID: x.GUID, Event: x.Event, Action: x.Action, Redelivery: true, Body: x.Body, App: x.App, Installation: x.Installation, Repository: x.Repository,
	})
}
