package hg

import (
	"container/list"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/treefs"
)

// Servers are the Mercurial servers that a program reads: repositories of the same server share its
// connections, at most four, and all share a memory of what stands in changesets. It is safe for
// concurrent use.
type Servers struct {
	mu         sync.Mutex
	transports map[string]*http.Transport

	contents map[string]*list.Element // of *content, by repository and changeset
	order    *list.List               // the one used last is at the front
	kept     int64
	limit    int64
}

// NewServers keeps up to so many bytes of what stands in changesets. They never change, so what is kept
// is as good as the server's.
func NewServers(keep int64) *Servers {
	return &Servers{transports: map[string]*http.Transport{}, contents: map[string]*list.Element{}, order: list.New(), limit: keep}
}

// transport has the connections to a server.
func (s *Servers) transport(origin string, o Options, config *tls.Config) *http.Transport {
	pins := slices.Sorted(slices.Values(o.Fingerprints))
	key := fmt.Sprintf("%s %s %p %d", origin, strings.Join(pins, " "), o.RootCAs, o.HostConnections)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.transports[key]
	if t == nil {
		n := o.HostConnections
		if n == 0 {
			n = maxPerHost
		}
		t = &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			MaxConnsPerHost: n, MaxIdleConnsPerHost: n, IdleConnTimeout: 2 * time.Minute,
			TLSHandshakeTimeout: 15 * time.Second, MaxResponseHeaderBytes: maxHeader,
		}
		s.transports[key] = t
	}
	return t
}

// content is what is known of a changeset's files.
type content struct {
	key  string
	size int64 // guarded by Servers.mu

	mu    sync.Mutex
	dirs  map[string][]treefs.Entry // by path; nil for one that is not there
	blobs map[string][]byte
}

// content returns what is known of a changeset, to be added to.
func (s *Servers) content(key string) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.contents[key]; e != nil {
		s.order.MoveToFront(e)
		return e.Value.(*content)
	}
	c := &content{key: key, dirs: map[string][]treefs.Entry{}, blobs: map[string][]byte{}}
	if s.limit > 0 {
		s.contents[key] = s.order.PushFront(c)
	}
	return c
}

// grew notes that so many bytes were added to c. What was used longest ago is forgotten; trees that are
// in use keep what they have.
func (s *Servers) grew(c *content, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.contents[c.key]; e == nil || e.Value != c {
		return
	}
	c.size += n
	s.kept += n
	for s.kept > s.limit {
		last := s.order.Back()
		old := last.Value.(*content)
		s.order.Remove(last)
		delete(s.contents, old.key)
		s.kept -= old.size
	}
}

// overhead is what an entry of a directory or a file costs beside its text, about, in bytes.
const overhead = 120

func (t *Tree) keepBlob(name string, blob []byte) {
	t.known.mu.Lock()
	_, had := t.known.blobs[name]
	t.known.blobs[name] = blob
	t.known.mu.Unlock()
	if !had {
		t.repo.servers.grew(t.known, int64(len(blob)+len(name)+overhead))
	}
}
