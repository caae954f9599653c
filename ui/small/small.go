// Package small is pages that need few words each: caches to be purged, who wants no notifications, how the services
// are, the messages for listeners, and the reference of the API.
package small

import (
	"bytes"
	"context"
	"embed"
	"net/http"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use. Those whose room is nil are left out.
type Pages struct {
	Purges *purgecache.PurgeCache
	Notify *notify.Notify
	Feed   *event.Feed
	// Site is the whole server, whose references and heartbeat are read as anybody does. It is asked for when a page
	// is shown.
	Site func() http.Handler
	// Try is the server's API as somebody who signed in may use it: calls carry their page.Visit's caller (see
	// Caller). nil: nothing can be tried.
	Try func() http.Handler
	// State is how the deployment is, for operators; nil: nothing is told.
	State func(ctx context.Context) *State
	// Parts are what may be missing of a server, and whether it is there.
	Parts func(ctx context.Context) []Part
	// Messages makes what listeners get of an event; nil: there is no page of messages.
	Messages *pulse.Mapping
}

// Part is a part of the server that may be missing, with what it is good for.
type Part struct {
	Name    string `json:"name"`
	For     string `json:"for"`
	There   bool   `json:"there"`
	Problem string `json:"problem,omitempty"` // "" when it is fine
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	if ps.Purges != nil {
		k.Page("GET /purge-caches", ps.purges)
		k.Page("POST /purge-caches", ps.purge)
	}
	if ps.Notify != nil {
		k.Page("GET /notify/denylist", ps.denylist)
		k.Page("POST /notify/denylist", ps.deny)
	}
	if ps.Site != nil {
		k.Page("GET /status", ps.status)
		k.Data("GET /status.json", ps.statusData)
		k.Page("GET /docs/api", ps.docs)
		k.Page("GET /docs/{service}", ps.service)
		k.Page("GET /docs/{service}/{name}", ps.method)
		k.Page("POST /docs/{service}/{name}", ps.try)
	}
	if ps.Messages != nil {
		k.Page("GET /pulse-messages", ps.messages)
		k.Stream("GET /ui/api/pulse", ps.follow)
	}
	return k.Add(markup)
}

// answer is what the server itself says at an address.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.body.Write(p)
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// ask asks the server as anybody would, without going through the network.
func ask(ctx context.Context, site http.Handler, method, address string, body []byte) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "The address %.100q cannot be asked for.", address)
	}
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = "127.0.0.1:0"
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	a := &answer{header: http.Header{}}
	site.ServeHTTP(a, r)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a, nil
}

const perPage = 500

// purgeView is the wishes that caches be dropped.
type purgeView struct {
	List         []purgecache.Request
	Pool, Cache  string
	Problem      string
	Next         string
	MayPurgeSome bool
}

func (ps *Pages) purges(v *page.Visit) error { return ps.showPurges(v, http.StatusOK, "") }

func (ps *Pages) showPurges(v *page.Visit, status int, problem string) error {
	if err := v.Allow(scope.String("purge-cache:all-purge-requests")); err != nil {
		return err
	}
	b := purgeView{Pool: v.R.FormValue("pool"), Cache: v.R.FormValue("cache"), Problem: problem, MayPurgeSome: v.Session.ClientID != ""}
	var after purgecache.Request
	if status == http.StatusOK {
		after = purgecache.Request{WorkerPoolID: v.R.URL.Query().Get("afterPool"), CacheName: v.R.URL.Query().Get("afterCache")}
	}
	var err error
	if b.List, err = ps.Purges.All(v.R.Context(), after, perPage+1); err != nil {
		return err
	}
	if len(b.List) > perPage {
		b.List = b.List[:perPage]
		last := b.List[perPage-1]
		b.Next = "/purge-caches?" + url.Values{"afterPool": {last.WorkerPoolID}, "afterCache": {last.CacheName}}.Encode()
	}
	return v.Show(status, page.View{Title: "Caches to be purged", Name: "purgecaches", Main: "narrow", Body: b}, nil)
}

func (ps *Pages) purge(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	pool, cache := strings.TrimSpace(v.R.PostFormValue("pool")), v.R.PostFormValue("cache")
	if err := v.Allow(scope.String("purge-cache:" + pool + ":" + cache)); err != nil {
		return ps.showPurges(v, http.StatusForbidden, fault.Message(err))
	}
	var err error
	if v.R.PostFormValue("act") == "remove" {
		err = ps.Purges.Forget(v.R.Context(), pool, cache)
	} else {
		if !strings.Contains(pool, "/") {
			return ps.showPurges(v, http.StatusBadRequest, "A worker pool is named by provisioner and worker type, with a slash between.")
		}
		err = ps.Purges.Purge(v.R.Context(), pool, cache)
	}
	if fault.KindOf(err) == fault.Invalid {
		return ps.showPurges(v, http.StatusBadRequest, fault.Message(err))
	}
	if err != nil {
		return err
	}
	return v.Redirect("/purge-caches")
}

// denyView is who wants no notifications.
type denyView struct {
	List          []notify.Address
	Type, Address string
	Types         []string
	Problem       string
	Next          string
	Missing       string
}

const manageDenylist = "notify:manage-denylist"

func (ps *Pages) denylist(v *page.Visit) error { return ps.showDenylist(v, http.StatusOK, "") }

func (ps *Pages) showDenylist(v *page.Visit, status int, problem string) error {
	if err := v.Allow(scope.String(manageDenylist)); err != nil {
		return err
	}
	f := v.R.URL.Query()
	b := denyView{Type: v.R.PostFormValue("type"), Address: v.R.PostFormValue("address"), Problem: problem, Types: []string{"email", "pulse", "matrix-room", "slack-channel"}}
	var err error
	if b.List, err = ps.Notify.Denied(v.R.Context(), notify.Address{Type: f.Get("afterType"), Address: f.Get("after")}, perPage+1); err != nil {
		return err
	}
	if len(b.List) > perPage {
		b.List = b.List[:perPage]
		last := b.List[perPage-1]
		b.Next = "/notify/denylist?" + url.Values{"afterType": {last.Type}, "after": {last.Address}}.Encode()
	}
	return v.Show(status, page.View{Title: "Denylist", Name: "denylist", Main: "narrow", Body: b}, nil)
}

func (ps *Pages) deny(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	if err := v.Allow(scope.String(manageDenylist)); err != nil {
		return err
	}
	a := notify.Address{Type: v.R.PostFormValue("type"), Address: strings.TrimSpace(v.R.PostFormValue("address"))}
	do := ps.Notify.Deny
	if v.R.PostFormValue("act") == "remove" {
		do = ps.Notify.Allow
	}
	err := do(v.R.Context(), v.Session.ClientID, a)
	if kind := fault.KindOf(err); kind == fault.Invalid || kind == fault.BadInput || kind == fault.BadArguments {
		return ps.showDenylist(v, http.StatusBadRequest, fault.Message(err))
	}
	if err != nil {
		return err
	}
	return v.Redirect("/notify/denylist")
}
