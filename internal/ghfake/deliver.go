package ghfake

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // GitHub still sends this signature beside the other
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
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

	app          *App
	installation int64
	repository   int64
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

// sender sends webhooks, in order.
type sender struct {
	s      *Server
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

func newSender(s *Server) *sender {
	ctx, end := context.WithCancel(context.Background())
	d := &sender{s: s, client: &http.Client{Timeout: s.Timeout}, end: end, ended: make(chan struct{}), changed: make(chan struct{})}
	go d.run(ctx)
	return d
}

func (d *sender) close() {
	d.end()
	<-d.ended
	d.client.CloseIdleConnections()
}

// signal tells those who wait that something changed; the mutex is held.
func (d *sender) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// until waits for a condition, which is asked with the mutex held.
func (d *sender) until(ctx context.Context, condition func() bool) error {
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

func (d *sender) drain(ctx context.Context) error {
	if err := d.until(ctx, func() bool { return len(d.queue) == 0 && !d.busy }); err != nil {
		return fmt.Errorf("ghfake: drain: %w", err)
	}
	return nil
}

func (d *sender) run(ctx context.Context) {
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
func (d *sender) send(ctx context.Context, x *Delivery) {
	d.s.mu.Lock()
	hook := x.app.hook
	d.s.mu.Unlock()
	begun := time.Now()
	x.At = d.s.Now()
	defer func() { x.Took = time.Since(begun) }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.url, bytes.NewReader(x.Body))
	if err != nil {
		x.Status = "invalid URL"
		return
	}
	sign := func(kind func() hash.Hash) string {
		mac := hmac.New(kind, []byte(hook.secret))
		mac.Write(x.Body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	for name, value := range map[string]string{
		"Accept": "*/*", "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/fake",
		"X-GitHub-Event": x.Event, "X-GitHub-Delivery": x.GUID, "X-GitHub-Hook-ID": strconv.FormatInt(x.app.ID*10, 10),
		"X-GitHub-Hook-Installation-Target-ID": strconv.FormatInt(x.app.ID, 10), "X-GitHub-Hook-Installation-Target-Type": "integration",
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
	d.s.Log.Debug("webhook", "event", x.Event, "action", x.Action, "status", x.Status)
}

// Deliveries decides what becomes of deliveries from now on.
func (s *Server) Deliveries(f Fate) {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	s.sender.fate = f
}

// Hold keeps deliveries back, or lets them go.
func (s *Server) Hold(on bool) {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	s.sender.held = on
	s.sender.signal()
}

// Delivered returns the log of deliveries, oldest first.
func (s *Server) Delivered() []Delivery {
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	out := make([]Delivery, len(s.sender.log))
	for i, d := range s.sender.log {
		out[i] = *d
	}
	return out
}

// Redeliver sends a delivery again, as the button on the App's page does.
func (s *Server) Redeliver(id int64) error {
	s.mu.Lock()
	next := s.nextID()
	s.mu.Unlock()
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	if d := s.sender.find(id); d != nil {
		s.sender.again(d, next)
		return nil
	}
	return fmt.Errorf("ghfake: there is no delivery %d", id)
}

func (d *sender) find(id int64) *Delivery {
	for _, x := range d.log {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (d *sender) again(x *Delivery, id int64) {
	d.queue = append(d.queue, &Delivery{
		ID: id, GUID: x.GUID, Event: x.Event, Action: x.Action, Redelivery: true, Body: x.Body, app: x.app, installation: x.installation, repository: x.repository,
	})
	d.signal()
}

// emit queues a webhook for an App.
func (s *Server) emit(a *App, event, action string, installation, repository int64, body obj) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		s.Log.Error("webhook cannot be written", "event", event, "err", err)
		return
	}
	var b [16]byte
	rand.Read(b[:])
	guid := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	d := &Delivery{ID: s.nextID(), GUID: guid, Event: event, Action: action, Body: bytes.TrimSpace(text.Bytes()), At: s.Now(), app: a, installation: installation, repository: repository}
	s.sender.mu.Lock()
	defer s.sender.mu.Unlock()
	s.sender.queue = append(s.sender.queue, d)
	s.sender.signal()
}

// tell sends an event of a repository to every App installed at it that subscribed it.
func (s *Server) tell(r *Repository, event, action string, sender *User, rest obj) {
	for _, in := range s.installations {
		if in.reaches(r) && in.suspended.IsZero() && slices.Contains(in.app.Events, event) {
			s.tellOne(in, r, event, action, sender, rest)
		}
	}
}

func (s *Server) tellOne(in *Installation, r *Repository, event, action string, sender *User, rest obj) {
	body := obj{"repository": s.repoJSON(r), "sender": s.userJSON(sender), "installation": obj{"id": in.ID, "node_id": nodeID("IntegrationInstallation", in.ID)}}
	if r.owner.Kind == "Organization" {
		body["organization"] = s.organizationJSON(r.owner)
	}
	if action != "" {
		body["action"] = action
	}
	for k, v := range rest {
		body[k] = v
	}
	s.emit(in.app, event, action, in.ID, r.ID, body)
}

func (s *Server) organizationJSON(u *User) obj {
	api := s.APIURL() + "orgs/" + u.Login
	return obj{"login": u.Login, "id": u.ID, "node_id": nodeID("Organization", u.ID), "url": api, "repos_url": api + "/repos", "avatar_url": s.root + "/avatars/" + u.Login, "description": ""}
}

func (s *Server) installationJSON(in *Installation) obj {
	selection := "selected"
	if in.all {
		selection = "all"
	}
	api := s.APIURL()
	o := obj{
		"id": in.ID, "account": s.userJSON(in.account), "repository_selection": selection, "app_id": in.app.ID, "app_slug": in.app.Slug,
		"target_id": in.account.ID, "target_type": in.account.Kind, "permissions": in.app.Permissions, "events": in.app.Events,
		"access_tokens_url": fmt.Sprintf("%sapp/installations/%d/access_tokens", api, in.ID), "repositories_url": api + "installation/repositories",
		"html_url":   fmt.Sprintf("%s/organizations/%s/settings/installations/%d", s.root, in.account.Login, in.ID),
		"created_at": stamp(in.created), "updated_at": stamp(in.created), "single_file_name": nil, "suspended_by": nil, "suspended_at": stamp(in.suspended),
	}
	return o
}

func (s *Server) shortRepo(r *Repository) any {
	return obj{"id": r.ID, "node_id": nodeID("Repository", r.ID), "name": r.Name, "full_name": r.FullName(), "private": r.private}
}

func (s *Server) tellInstallation(in *Installation, action string, sender *User) {
	var list []*Repository
	for _, r := range s.repos {
		if in.reaches(r) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Repository) int { return int(a.ID - b.ID) })
	s.emit(in.app, "installation", action, in.ID, 0, obj{
		"action": action, "installation": s.installationJSON(in), "repositories": each(list, s.shortRepo), "sender": s.userJSON(sender),
	})
}

func (s *Server) tellInstallationRepositories(in *Installation, action string, list []*Repository, sender *User) {
	body := obj{
		"action": action, "installation": s.installationJSON(in), "repository_selection": "selected", "requester": nil, "sender": s.userJSON(sender),
		"repositories_added": []any{}, "repositories_removed": []any{},
	}
	body["repositories_"+action] = each(list, s.shortRepo)
	s.emit(in.app, "installation_repositories", action, in.ID, 0, body)
}

// listDeliveries answers the App's log, newest first, by cursor.
func (c *call) listDeliveries() (any, error) {
	d := c.s.sender
	d.mu.Lock()
	defer d.mu.Unlock()
	q := c.r.URL.Query()
	size := 30
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	var list []*Delivery
	for _, x := range slices.Backward(d.log) {
		if x.app == c.app {
			list = append(list, x)
		}
	}
	if at := q.Get("cursor"); at != "" {
		i := slices.IndexFunc(list, func(x *Delivery) bool { return strconv.FormatInt(x.ID, 10) == at })
		if i < 0 {
			return nil, &apiError{Status: http.StatusUnprocessableEntity, Message: "Invalid cursor"}
		}
		list = list[i:]
	}
	if len(list) > size {
		c.header.Set("Link", fmt.Sprintf(`<%sapp/hook/deliveries?per_page=%d&cursor=%d>; rel="next"`, c.s.APIURL(), size, list[size].ID))
		list = list[:size]
	}
	return each(list, func(x *Delivery) any { return x.json() }), nil
}

func (x *Delivery) json() obj {
	o := obj{
		"id": x.ID, "guid": x.GUID, "delivered_at": stamp(x.At), "redelivery": x.Redelivery, "duration": x.Took.Seconds(), "status": x.Status, "status_code": x.StatusCode,
		"event": x.Event, "action": nil, "installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
	if x.Action != "" {
		o["action"] = x.Action
	}
	if x.installation != 0 {
		o["installation_id"] = x.installation
	}
	if x.repository != 0 {
		o["repository_id"] = x.repository
	}
	return o
}

func (c *call) getDelivery() (any, error) {
	d := c.s.sender
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.find(c.pathID("id"))
	if x == nil || x.app != c.app {
		return nil, notFound()
	}
	o := x.json()
	o["request"] = obj{"headers": obj{"X-GitHub-Event": x.Event, "X-GitHub-Delivery": x.GUID}, "payload": json.RawMessage(x.Body)}
	o["response"] = obj{"headers": obj{}, "payload": x.Answer}
	o["url"] = c.app.hook.url
	return o, nil
}

func (c *call) redeliver() (any, error) {
	d := c.s.sender
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.find(c.pathID("id"))
	if x == nil || x.app != c.app {
		return nil, notFound()
	}
	d.again(x, c.s.nextID())
	c.status = http.StatusAccepted
	return obj{}, nil
}
