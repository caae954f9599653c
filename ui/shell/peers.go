package shell

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/web"
)

// Peers lets several servers share what they are offered: the connection of a worker that offers shells ends at one of
// them, that of a person at another, and the worker's end of the shell at a third. All three meet where the offer
// is, which stands in the database; the others pass what they get on to that server's internal address. There it
// is taken only with a pass, signed with a key that the servers share, for one path and a few seconds.
type Peers struct {
	Pool    *pgxpool.Pool
	Address string // of this server, for the others, such as http://10.0.0.3:8080
	Key     []byte // the same on all servers, of 32 bytes or more
}

const (
	passHeader = "Treeline-Shell-Pass"
	passFor    = 30 * time.Second // also how far the servers' clocks may be apart
	maxPass    = 8 << 10
	// forgotten is how long after its last ping an offer is believed.
	forgotten = 3 * pingEvery
)

// Among makes the hub one of several. It must be called before any request comes.
func (h *Hub) Among(p Peers) error {
	address, err := url.Parse(p.Address)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return fault.New(fault.Invalid, "the internal URL %q of this server must be of the form http://host:port", p.Address)
	}
	if len(p.Key) < 32 {
		return fault.New(fault.Invalid, "the key of shells between servers has %d bytes: 32 are needed", len(p.Key))
	}
	p.Address = address.Scheme + "://" + address.Host
	h.peers = &p
	return nil
}

// PeerRoutes are those that other servers use.
func (h *Hub) PeerRoutes(mux web.Router) {
	if h.peers == nil {
		return
	}
	mux.HandleFunc("GET /shell/peer/{task}/{run}/socket", func(w http.ResponseWriter, r *http.Request) {
		if who, ok := h.passed(w, r); ok {
			h.view(w, r, who)
		}
	})
	mux.HandleFunc("GET /shell/peer/{task}/{run}/{session}/answer", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := h.passed(w, r); ok {
			h.meet(w, r)
		}
	})
}

// pass is what one server tells another.
type pass struct {
	Path  string    `json:"path"`
	Who   Who       `json:"who"`
	Until time.Time `json:"until"`
}

func (p *Peers) sign(text string) string {
	mac := hmac.New(sha256.New, p.Key)
	mac.Write([]byte("treeline shell pass\n" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (p *Peers) issue(path string, who Who) (string, error) {
	who.Scopes = nil // they have been asked for
	data, err := json.Marshal(pass{path, who, time.Now().Add(passFor)})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(data)
	return text + "." + p.sign(text), nil
}

// passed says whether another server sent the request, and for whom.
func (h *Hub) passed(w http.ResponseWriter, r *http.Request) (Who, bool) {
	who, err := h.peers.check(r.Header.Get(passHeader), r.URL.Path)
	if err != nil {
		refuse(w, err)
	}
	return who, err == nil
}

func (p *Peers) check(header, path string) (Who, error) {
	forged := fault.New(fault.Forbidden, "this is for other servers of this deployment")
	text, signature, both := strings.Cut(header, ".")
	if len(header) > maxPass || !both || !hmac.Equal([]byte(signature), []byte(p.sign(text))) {
		return Who{}, forged
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	var got pass
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	left := time.Until(got.Until)
	if err != nil || got.Path != path || left < 0 || left > 2*passFor {
		return Who{}, forged
	}
	return got.Who, nil
}

// elsewhere passes a request on to the server that has the run's offer. It says no when there is none, or it is this one.
func (h *Hub) elsewhere(w http.ResponseWriter, r *http.Request, tail string, who Who) bool {
	p := h.peers
	if p == nil || r.Header.Get(passHeader) != "" { // what was passed on is not passed on again
		return false
	}
	address, err := p.find(r.Context(), r.PathValue("task"), r.PathValue("run"))
	if err != nil {
		h.log.Warn("which server has an offer of shells cannot be found", "error", err)
	}
	if address == "" || address == p.Address {
		return false
	}
	if err := sameOrigin(r); err != nil {
		refuse(w, err)
		return true
	}
	to, err := url.Parse(address)
	path := "/shell/peer/" + key(r) + "/" + tail
	var signed string
	if err == nil {
		signed, err = p.issue(path, who)
	}
	if err != nil {
		refuse(w, err)
		return true
	}
	forward := httputil.ReverseProxy{
		Rewrite: func(x *httputil.ProxyRequest) {
			x.Out.URL = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: path, RawQuery: x.In.URL.RawQuery}
			x.Out.Host = to.Host
			for _, name := range []string{"Cookie", "Authorization", "Origin", "Referer"} { // they are for this server
				x.Out.Header.Del(name)
			}
			x.Out.Header.Set(passHeader, signed)
		},
		Transport: p.transport(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			h.log.Warn("the server with the offer of shells does not answer", "address", address, "error", err)
			http.Error(w, "the server that the worker is connected to does not answer; try again", http.StatusBadGateway)
		},
	}
	forward.ServeHTTP(w, r)
	return true
}

// transport goes straight there: servers of one deployment are not behind a proxy of each other.
func (p *Peers) transport() http.RoundTripper {
	t := &http.Transport{DisableKeepAlives: true, TLSHandshakeTimeout: patience, ResponseHeaderTimeout: 2 * patience, Protocols: &http.Protocols{}}
	t.Protocols.SetHTTP1(true) // as WebSockets begin
	return t
}

// sameOrigin refuses pages of other sites, as accepting a WebSocket does.
func sameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
		return fault.New(fault.Forbidden, "shells are for this site's own pages")
	}
	return nil
}

// note says that this server has the offer; again with each ping.
func (p *Peers) note(ctx context.Context, r *http.Request, offer string) error {
	if p == nil {
		return nil
	}
	if _, err := p.Pool.Exec(ctx, noteSQL.Text, r.PathValue("task"), r.PathValue("run"), offer, p.Address); err != nil {
		return fmt.Errorf("shell: %s: %w", noteSQL.Name, pg.Classify(err))
	}
	return nil
}

// forget takes the offer back, unless there is a newer one.
func (p *Peers) forget(ctx context.Context, r *http.Request, offer string) error {
	if p == nil {
		return nil
	}
	if _, err := p.Pool.Exec(ctx, forgetSQL.Text, r.PathValue("task"), r.PathValue("run"), offer); err != nil {
		return fmt.Errorf("shell: %s: %w", forgetSQL.Name, pg.Classify(err))
	}
	return nil
}

func (p *Peers) find(ctx context.Context, taskID, run string) (address string, err error) {
	err = p.Pool.QueryRow(ctx, findSQL.Text, taskID, run, forgotten.Seconds()).Scan(&address)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("shell: %s: %w", findSQL.Name, pg.Classify(err))
	}
	return address, nil
}

// Prune removes what servers that were killed left behind, in small steps, and returns how many rows that were.
func Prune(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	n, err := pg.Prune(ctx, pool, pruneSQL, 1000)
	if err != nil {
		return n, fmt.Errorf("shell: %w", err)
	}
	return n, nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{noteSQL, forgetSQL, findSQL, pruneSQL}

var (
	noteSQL = pg.Statement{Name: "shell.note", Text: `
INSERT INTO shell_offers (task_id, run_id, offer, address) VALUES ($1, $2, $3, $4)
ON CONFLICT (task_id, run_id) DO UPDATE SET offer = excluded.offer, address = excluded.address, seen = now()`}

	forgetSQL = pg.Statement{Name: "shell.forget", Text: `
DELETE FROM shell_offers WHERE task_id = $1 AND run_id = $2 AND offer = $3`}

	pruneSQL = pg.Statement{Name: "shell.prune", Text: `
DELETE FROM shell_offers WHERE (task_id, run_id) IN (
	SELECT task_id, run_id FROM shell_offers WHERE seen < now() - interval '1 day' LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	findSQL = pg.Statement{Name: "shell.find", Text: `
SELECT address FROM shell_offers WHERE task_id = $1 AND run_id = $2 AND seen > now() - $3 * interval '1 second'`}
)
