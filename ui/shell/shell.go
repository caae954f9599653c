// Package shell connects people's browsers with shells in running tasks. A worker that offers shells keeps one
// WebSocket to the server, so it may stand behind any firewall; for each person who opens a shell it makes another,
// and the two are joined here (taskcluster-map 16.4, interactive). What goes through is never kept; who opened
// what, and for how long, is logged.
//
// Both ends meet in the memory of one server. Where there are several, Among lets each find the one that has the worker.
package shell

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

// Scope is what a person needs to open shells: the right to read the artifact that leads to them.
const Scope = "queue:get-artifact:private/generic-worker/shell.html"

const (
	patience   = 20 * time.Second // for the worker to answer
	pingEvery  = 20 * time.Second
	maxMessage = 1 << 20
	maxOpen    = 20 // shells of one run at once
)

// Who asks.
type Who struct {
	ClientID string // "" is a visitor
	Scopes   []string
}

// Hub joins both ends. It is safe for concurrent use.
type Hub struct {
	worker func(*http.Request) (Who, error)
	log    *slog.Logger
	peers  *Peers // nil: this is the only server

	mu     sync.Mutex
	offers map[string]*offer // by task and run
}

// offer is a worker that waits for people.
type offer struct {
	wanted  chan Wanted
	waiting map[string]chan *websocket.Conn // by session
	open    int
	people  map[string]Person // by session
}

// Person is somebody with an open shell.
type Person struct {
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
}

// People are those who have shells of a run open through this server, in the order in which they came.
func (h *Hub) People(taskID, run string) []Person {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.offers[taskID+"/"+run]
	if o == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(o.people), func(a, b Person) int { return a.Since.Compare(b.Since) })
}

// Wanted asks a worker for a shell, or for a file.
type Wanted struct {
	Session string `json:"session"`
	Who     string `json:"who"`
	Shell   string `json:"shell,omitempty"` // the person's name of the shell, to come back to it
	File    string `json:"file,omitempty"`  // "get" or "put"
	Path    string `json:"path,omitempty"`
	Size    int64  `json:"size,omitempty"`
}

const maxWish = 4096 // bytes of each of a wish's words

// wish reads what the address of a person's socket asks for.
func wish(r *http.Request, session string, who Who) (Wanted, error) {
	q := r.URL.Query()
	w := Wanted{Session: session, Who: who.ClientID, Shell: q.Get("shell"), File: q.Get("file"), Path: q.Get("path")}
	if w.File != "" && w.File != "get" && w.File != "put" {
		return w, fault.New(fault.Invalid, "files are got and put, not %.20q", w.File)
	}
	if w.File == "put" {
		var err error
		if w.Size, err = strconv.ParseInt(q.Get("size"), 10, 64); err != nil || w.Size < 0 {
			return w, fault.New(fault.Invalid, "size must be how many bytes the file has")
		}
	}
	if len(w.Shell) > maxWish || len(w.Path) > maxWish {
		return w, fault.New(fault.Invalid, "names have at most %d bytes", maxWish)
	}
	return w, nil
}

// New makes a hub; worker tells who signed a worker's request.
func New(worker func(*http.Request) (Who, error), log *slog.Logger) *Hub {
	return &Hub{worker: worker, log: log.With("room", "shell"), offers: map[string]*offer{}}
}

// WorkerRoutes are those that workers use.
func (h *Hub) WorkerRoutes(mux web.Router) {
	mux.HandleFunc("GET /shell/worker/{task}/{run}", h.offer)
	mux.HandleFunc("GET /shell/worker/{task}/{run}/{session}", h.answer)
}

// PeopleRoutes are those that browsers use besides the pages (package connect); person tells whose session a request
// belongs to.
func (h *Hub) PeopleRoutes(mux web.Router, person func(*http.Request) (Who, error)) {
	allowed := func(next func(http.ResponseWriter, *http.Request, Who)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			who, err := person(r)
			if err == nil {
				err = scope.Check("you", false, who.Scopes, scope.String(Scope))
			}
			if err != nil {
				refuse(w, err)
				return
			}
			next(w, r, who)
		}
	}
	mux.HandleFunc("GET /shell/{task}/{run}/socket", allowed(h.view))
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		status = http.StatusUnauthorized
	case fault.Forbidden:
		status = http.StatusForbidden
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Conflict:
		status = http.StatusConflict
	case fault.Invalid:
		status = http.StatusBadRequest
	}
	http.Error(w, fault.Message(err), status)
}

func key(r *http.Request) string { return r.PathValue("task") + "/" + r.PathValue("run") }

// authorized says whether the request is of the worker that has the run.
func (h *Hub) authorized(w http.ResponseWriter, r *http.Request) bool {
	who, err := h.worker(r)
	if err == nil {
		err = scope.Check("the worker", false, who.Scopes, scope.String("queue:reclaim-task:"+key(r)))
	}
	if err != nil {
		refuse(w, err)
	}
	return err == nil
}

// offer keeps a worker's connection and tells it of people who want a shell. A new connection takes the place of
// an older one.
func (h *Hub) offer(w http.ResponseWriter, r *http.Request) {
	if !h.authorized(w, r) {
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = conn.CloseNow() }()
	o := &offer{wanted: make(chan Wanted), waiting: map[string]chan *websocket.Conn{}}
	h.mu.Lock()
	h.offers[key(r)] = o
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.offers[key(r)] == o {
			delete(h.offers, key(r))
		}
	}()
	ctx := conn.CloseRead(r.Context())
	name := rand.Text()
	if err := h.peers.note(ctx, r, name); err != nil {
		h.log.Warn("other servers do not know of an offer of shells; they are told again", "error", err)
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if err := h.peers.forget(late, r, name); err != nil {
			h.log.Warn("other servers still know of an offer of shells that is over", "error", err)
		}
	}()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case want := <-o.wanted:
			err = wsjson.Write(ctx, conn, want)
		case <-ping.C:
			if err = conn.Ping(ctx); err == nil {
				if err := h.peers.note(ctx, r, name); err != nil {
					h.log.Warn("other servers may not know of an offer of shells", "error", err)
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// answer is the worker's end of one shell.
func (h *Hub) answer(w http.ResponseWriter, r *http.Request) {
	if h.authorized(w, r) && (h.offered(r) || !h.elsewhere(w, r, r.PathValue("session")+"/answer", Who{})) {
		h.meet(w, r)
	}
}

// offered says whether this server has the run's offer.
func (h *Hub) offered(r *http.Request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.offers[key(r)] != nil
}

// meet gives the worker's end of a shell to the person who waits for it.
func (h *Hub) meet(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	var waiting chan *websocket.Conn
	if o := h.offers[key(r)]; o != nil {
		waiting = o.waiting[r.PathValue("session")]
		delete(o.waiting, r.PathValue("session"))
	}
	h.mu.Unlock()
	if waiting == nil {
		refuse(w, fault.New(fault.NotFound, "nobody waits for this shell any more"))
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = conn.CloseNow() }()
	select {
	case waiting <- conn:
	case <-r.Context().Done():
		return
	case <-time.After(patience):
		return
	}
	<-waiting // closed when the person's end is
}

// view is a person's end of a shell.
func (h *Hub) view(w http.ResponseWriter, r *http.Request, who Who) {
	if !h.offered(r) && h.elsewhere(w, r, "socket", who) {
		return
	}
	log := h.log.With("task", r.PathValue("task"), "run", r.PathValue("run"), "clientId", who.ClientID)
	session := rand.Text()
	want, err := wish(r, session, who)
	if err != nil {
		refuse(w, err)
		return
	}
	waiting := make(chan *websocket.Conn)
	h.mu.Lock()
	o := h.offers[key(r)]
	full := o != nil && o.open >= maxOpen
	if o != nil && !full {
		o.open++
		o.waiting[session] = waiting
	}
	h.mu.Unlock()
	switch {
	case o == nil:
		refuse(w, fault.New(fault.NotFound, "this run offers no shell: it has ended, or its task is not interactive"))
		return
	case full:
		refuse(w, fault.New(fault.Conflict, "%d shells of this run are open already", maxOpen))
		return
	}
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		o.open--
		delete(o.people, session)
		delete(o.waiting, session)
	}()
	conn, err := websocket.Accept(w, r, nil) // of this site's own pages only
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = conn.CloseNow() }()
	theirs, err := h.call(r.Context(), o, want, waiting)
	if err != nil {
		log.Warn("a shell could not be opened", "error", err)
		_ = conn.Close(websocket.StatusTryAgainLater, "the worker does not answer")
		return
	}
	defer close(waiting)
	began := time.Now()
	if want.File != "" {
		log = log.With("file", want.File, "path", want.Path)
	} else {
		o.enter(h, session, Person{Who: who.ClientID, Since: began})
	}
	log.Info("shell opened", "session", session)
	sent, received := join(r.Context(), conn, theirs)
	log.Info("shell closed", "session", session, "took", time.Since(began).Round(time.Second), "typed", sent, "shown", received)
}

func (o *offer) enter(h *Hub, session string, p Person) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.people == nil {
		o.people = map[string]Person{}
	}
	o.people[session] = p
}

// call waits for the worker's end.
func (h *Hub) call(ctx context.Context, o *offer, want Wanted, waiting chan *websocket.Conn) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case o.wanted <- want:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case conn := <-waiting:
		return conn, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join passes messages both ways until one end closes, and says how many bytes went each way.
func join(ctx context.Context, person, worker *websocket.Conn) (sent, received int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	pass := func(from, to *websocket.Conn, n *int64) {
		defer cancel()
		from.SetReadLimit(maxMessage)
		for {
			kind, message, err := from.Read(ctx)
			if err != nil {
				if status := websocket.CloseStatus(err); status != -1 {
					_ = to.Close(websocket.StatusNormalClosure, "the shell has ended")
				}
				return
			}
			*n += int64(len(message))
			if err := to.Write(ctx, kind, message); err != nil {
				return
			}
		}
	}
	both.Go(func() { pass(person, worker, &sent) })
	both.Go(func() { pass(worker, person, &received) })
	both.Wait()
	return sent, received
}
