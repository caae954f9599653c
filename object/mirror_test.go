package object

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/object/store"
)

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(text))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// mirrored is a Store whose home is the bucket, with a folder in the region "near".
func mirrored(t testing.TB, r *remote, near *store.Disk) *Store {
	t.Helper()
	return r.open(t, func(c *Config) { c.Places = append(c.Places, Place{Name: "near", Region: "near", Store: near}) })
}

func nearDisk(t testing.TB) *store.Disk {
	t.Helper()
	return must[*store.Disk](t)(store.OpenDisk(t.TempDir()))
}

// readFrom reads an object as somebody in a region does.
func readFrom(t testing.TB, s *Store, name, region, want string) {
	t.Helper()
	o := must[*record](t)(s.read(t.Context(), s.pool, readSQL.Text, name))
	body, err := s.openContent(t.Context(), o, region)
	if err != nil {
		t.Error(err)
		return
	}
	defer body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(body); err != nil || got.String() != want {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

// reads counts the GET requests for a content since the proxy was last told what to do.
func reads(p *s3test.Proxy, content string) int {
	requests := p.Requests()
	n := len(requests)
	return n - len(slices.DeleteFunc(requests, func(r string) bool {
		return strings.HasPrefix(r, "GET ") && strings.HasSuffix(r, hashOf(content)[2:])
	}))
}

func TestTheFirstReadInARegionCopies(t *testing.T) {
	t.Parallel()
	r, near := newRemote(t), nearDisk(t)
	a, b := mirrored(t, r, near), mirrored(t, r, near) // as two processes
	content := noise(3 << 20)
	putText(t, a, "x", content)
	r.proxy.Spoil(nil)
	t.Run("once, however many come", func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			for _, s := range []*Store{a, b} {
				all.Go(func() { readFrom(t, s, "x", "near", content) })
			}
		}
		all.Wait()
		if n := reads(r.proxy, content); n != 1 || !in(t, near, content) {
			t.Errorf("the origin was read %d times: %v", n, r.proxy.Requests())
		}
	})
	t.Run("readers without a region, or of one without a store, read the origin", func(t *testing.T) {
		for _, region := range []string{"", "moon", "far"} {
			readFrom(t, a, "x", region, content)
		}
		if n := reads(r.proxy, content); n != 4 {
			t.Errorf("the origin was read %d times", n)
		}
	})
	t.Run("later reads stay there, also while the origin is away", func(t *testing.T) {
		r.server.Kill()
		readFrom(t, b, "x", "near", content)
		readFrom(t, b, "x", "", content) // from the copy, for want of better
		r.server.Run(t)
	})
	t.Run("a copy that somebody removed is made again", func(t *testing.T) {
		if err := near.Remove(t.Context(), hashOf(content)); err != nil {
			t.Fatal(err)
		}
		readFrom(t, a, "x", "near", content)
		if !in(t, near, content) {
			t.Error("it was not")
		}
	})
	t.Run("a content that is lost at home comes home to its copy", func(t *testing.T) {
		if err := r.bucket.Remove(t.Context(), hashOf(content)); err != nil {
			t.Fatal(err)
		}
		if err := a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o := must[*record](t)(a.read(t.Context(), a.pool, readSQL.Text, "x")); *o.Home != "near" || o.Lost {
			t.Errorf("home %s, lost %v", *o.Home, o.Lost)
		}
		readFrom(t, a, "x", "far", content)
		if !r.has(t, content) {
			t.Error("the other region has no copy")
		}
	})
	t.Run("and goes everywhere when it expires", func(t *testing.T) {
		run(t, a, `UPDATE objects SET expires = now() - interval '1 second'`)
		clean(t, a)
		run(t, a, `UPDATE object_contents SET unused_since = unused_since - interval '2 hours'`)
		clean(t, a)
		if in(t, near, content) || r.has(t, content) {
			t.Error("a copy is left")
		}
		var rows int
		if err := a.pool.QueryRow(t.Context(), `SELECT count(*) FROM object_copies`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

func TestCopiesThatFail(t *testing.T) {
	t.Parallel()
	r, near := newRemote(t), nearDisk(t)
	s := mirrored(t, r, near)
	content := noise(1 << 20)
	putText(t, s, "x", content)
	again := func() { run(t, s, `UPDATE object_copies SET until = now() - interval '1 second'`) }
	t.Run("wrong bytes are no copy; the origin answers", func(t *testing.T) {
		first := true
		r.proxy.Spoil(func(q *http.Request) s3test.Fault {
			flip := q.Method == http.MethodGet && first
			if flip {
				first = false
			}
			return s3test.Fault{Flip: flip}
		})
		readFrom(t, s, "x", "near", content)
		if in(t, near, content) {
			t.Error("it was copied")
		}
		readFrom(t, s, "x", "near", content) // at once: not tried again yet
		if n := reads(r.proxy, content); n != 3 || in(t, near, content) {
			t.Errorf("%d reads", n)
		}
	})
	t.Run("it is tried again after a while", func(t *testing.T) {
		again()
		readFrom(t, s, "x", "near", content)
		if !in(t, near, content) {
			t.Error("it was not copied")
		}
	})
	t.Run("one that broke off with its process is made by another", func(t *testing.T) {
		run(t, s, `UPDATE object_copies SET state = 'copying', until = now() - interval '1 second'`)
		if err := near.Remove(t.Context(), hashOf(content)); err != nil {
			t.Fatal(err)
		}
		readFrom(t, s, "x", "near", content)
		if !in(t, near, content) {
			t.Error("it was not copied")
		}
	})
	t.Run("who waits too long reads the origin, and the copy is made nevertheless", func(t *testing.T) {
		slow := noise(1 << 20)
		putText(t, s, "slow", slow)
		s.copies.wait = 50 * time.Millisecond
		held := make(chan struct{})
		first := true
		r.proxy.Spoil(func(q *http.Request) s3test.Fault {
			if q.Method == http.MethodGet && first {
				first = false
				go func() { <-held }()
				return s3test.Fault{CutAt: 1000} // the copy has to ask again, after a pause
			}
			return s3test.Fault{}
		})
		readFrom(t, s, "slow", "near", slow)
		close(held)
		for deadline := time.Now().Add(20 * time.Second); !in(t, near, slow); {
			if time.Now().After(deadline) {
				t.Fatal("the copy was not made")
			}
			readFrom(t, s, "x", "near", content)
		}
	})
}

func TestRegionOf(t *testing.T) {
	s := &Store{regions: Regions{
		Networks: []Network{{netip.MustParsePrefix("10.0.0.0/8"), "house"}, {netip.MustParsePrefix("10.2.0.0/16"), "cellar"}, {netip.MustParsePrefix("fd00::/8"), "six"}},
		Proxies:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Header: "X-Region",
	}}
	for name, c := range map[string]struct {
		remote, forwarded, header, want string
	}{
		"by network":                      {"10.1.1.1:1", "", "", "house"},
		"the smallest counts":             {"10.2.1.1:1", "", "", "cellar"},
		"IPv6":                            {"[fd12::1]:1", "", "", "six"},
		"an IPv4 address in IPv6 form":    {"[::ffff:10.2.1.1]:1", "", "", "cellar"},
		"elsewhere":                       {"8.8.8.8:1", "", "", ""},
		"a client cannot say where it is": {"8.8.8.8:1", "10.2.1.1", "cellar", ""},
		"a proxy can":                     {"192.0.2.1:1", "", "moon", "moon"},
		"or whom it speaks for":           {"192.0.2.1:1", "10.2.1.1", "", "cellar"},
		"through several":                 {"192.0.2.1:1", "10.2.1.1, 192.0.2.7", "", "cellar"},
		"what a client put before is not looked at": {"192.0.2.1:1", "10.2.1.1, 8.8.8.8", "", ""},
		"nonsense":   {"192.0.2.1:1", "what?", "", ""},
		"no address": {"@", "", "", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if c.header != "" {
			r.Header.Set("X-Region", c.header)
		}
		if got := s.RegionOf(r); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPlacesThatCannotBe(t *testing.T) {
	disk := nearDisk(t)
	for name, c := range map[string]Config{
		"no name":        {Places: []Place{{Store: disk}}},
		"the folder's":   {Places: []Place{{Name: "disk", Store: disk}}},
		"twice":          {Places: []Place{{Name: "a", Store: disk}, {Name: "a", Store: disk}}},
		"region twice":   {Places: []Place{{Name: "a", Region: "r", Store: disk}, {Name: "b", Region: "r", Store: disk}}},
		"upload nowhere": {Uploads: "x"},
	} {
		if _, err := c.places(disk); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
