package ghfake

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/treeline-ci/treeline/internal/ghfake/webhook"
)

// Delivery is one attempt to deliver a webhook, as the App's delivery log has it.
type Delivery = webhook.Delivery

// Fate is what becomes of a delivery.
type Fate = webhook.Fate

// The fates of deliveries.
const (
	Deliver = webhook.Deliver // sent
	Fail    = webhook.Fail    // not sent; the log has it, as one that failed to connect
	Vanish  = webhook.Vanish  // not sent, and no longer in the log, as after three days
	Double  = webhook.Double  // sent twice
)

// Deliveries decides what becomes of deliveries from now on.
func (s *Server) Deliveries(f Fate) { s.sender.Decide(f) }

// Hold keeps deliveries back, or lets them go.
func (s *Server) Hold(on bool) { s.sender.Hold(on) }

// Delivered returns the log of deliveries, oldest first.
func (s *Server) Delivered() []Delivery { return s.sender.Delivered() }

// Redeliver sends a delivery again, as the button on the App's page does.
func (s *Server) Redeliver(id int64) error {
	x, ok := s.sender.Find(id)
	if !ok {
		return fmt.Errorf("ghfake: there is no delivery %d", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sender.Again(x, s.nextID())
	return nil
}

// target is where an App's webhooks go now, and what signs them.
func (s *Server) target(app int64) (url, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.apps[app]; a != nil {
		return a.hook.url, a.hook.secret
	}
	return "", ""
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
	d := &Delivery{ID: s.nextID(), GUID: guid, Event: event, Action: action, Body: bytes.TrimSpace(text.Bytes()), At: s.Now(), App: a.ID, Installation: installation, Repository: repository}
	s.sender.Queue(d)
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
	q := c.r.URL.Query()
	size := 30
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	list := c.s.sender.Delivered()
	list = slices.DeleteFunc(list, func(x Delivery) bool { return x.App != c.app.ID })
	slices.Reverse(list)
	if at := q.Get("cursor"); at != "" {
		i := slices.IndexFunc(list, func(x Delivery) bool { return strconv.FormatInt(x.ID, 10) == at })
		if i < 0 {
			return nil, &apiError{Status: http.StatusUnprocessableEntity, Message: "Invalid cursor"}
		}
		list = list[i:]
	}
	if len(list) > size {
		c.header.Set("Link", fmt.Sprintf(`<%sapp/hook/deliveries?per_page=%d&cursor=%d>; rel="next"`, c.s.APIURL(), size, list[size].ID))
		list = list[:size]
	}
	return each(list, func(x Delivery) any { return deliveryJSON(x) }), nil
}

func deliveryJSON(x Delivery) obj {
	o := obj{
		"id": x.ID, "guid": x.GUID, "delivered_at": stamp(x.At), "redelivery": x.Redelivery, "duration": x.Took.Seconds(), "status": x.Status, "status_code": x.StatusCode,
		"event": x.Event, "action": nil, "installation_id": nil, "repository_id": nil, "throttled_at": nil,
	}
	if x.Action != "" {
		o["action"] = x.Action
	}
	if x.Installation != 0 {
		o["installation_id"] = x.Installation
	}
	if x.Repository != 0 {
		o["repository_id"] = x.Repository
	}
	return o
}

func (c *call) getDelivery() (any, error) {
	x, ok := c.s.sender.Find(c.pathID("id"))
	if !ok || x.App != c.app.ID {
		return nil, notFound()
	}
	o := deliveryJSON(x)
	o["request"] = obj{"headers": obj{"X-GitHub-Event": x.Event, "X-GitHub-Delivery": x.GUID}, "payload": json.RawMessage(x.Body)}
	o["response"] = obj{"headers": obj{}, "payload": x.Answer}
	o["url"] = c.app.hook.url
	return o, nil
}

func (c *call) redeliver() (any, error) {
	x, ok := c.s.sender.Find(c.pathID("id"))
	if !ok || x.App != c.app.ID {
		return nil, notFound()
	}
	c.s.sender.Again(x, c.s.nextID())
	c.status = http.StatusAccepted
	return obj{}, nil
}
