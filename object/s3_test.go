package object

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/object/store"
)

// remote is a bucket on a real server, and what opens a Store that uploads to it.
type remote struct {
	server *s3test.Server
	proxy  *s3test.Proxy
	bucket *store.S3
	name   string // of the bucket
	pool   *pgxpool.Pool
	dir    string
}

func newRemote(t testing.TB) *remote {
	t.Helper()
	r := &remote{server: s3test.Start(t), pool: pgtest.DB(t), dir: t.TempDir()}
	r.proxy = s3test.NewProxy(t, r.server)
	r.name = r.server.Bucket(t)
	r.bucket = must[*store.S3](t)(openBucket(r.proxy.Endpoint, r.name))
	return r
}

// open is another process with the same database, folder and bucket.
func (r *remote) open(t testing.TB, change ...func(*Config)) *Store {
	t.Helper()
	c := Config{Dir: r.dir, Uploads: "far", Places: []Place{{Name: "far", Region: "far", Store: r.bucket}}}
	for _, f := range change {
		f(&c)
	}
	return openWith(t, r.pool, c)
}

func (r *remote) direct(c *Config) { c.Places[0].DirectReads, c.Places[0].DirectUploads = true, true }

func (r *remote) has(t testing.TB, content string) bool {
	t.Helper()
	return in(t, r.bucket, content)
}

func in(t testing.TB, s store.Store, content string) bool {
	t.Helper()
	size, err := s.Stat(t.Context(), hashOf(content))
	return err == nil && size == int64(len(content))
}

func noise(size int) string {
	data := make([]byte, size)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], rand.Uint64())
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails
	return string(data)
}

func TestEveryUploadReachesTheBucket(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := r.open(t)
	ctx := t.Context()
	contents := map[string]string{}
	upload := func(name, content string, up func(UploadRequest, string)) {
		t.Run(name, func(t *testing.T) {
			up(request(name), content)
			contents[name] = content
			wantContent(t, s, name, content)
			if !r.has(t, content) || exists(t, s.disk.content(hashOf(content))) {
				t.Error("it is not in the bucket, or in the folder as well")
			}
		})
	}
	upload("inline", "hello", func(q UploadRequest, content string) {
		q.Inline = &InlineUpload{ContentType: "text/plain", Data: base64.StdEncoding.EncodeToString([]byte(content))}
		must[Upload](t)(s.CreateUpload(ctx, q))
		finish(t, s, q, nil)
	})
	upload("large put", noise(9<<20), func(q UploadRequest, content string) {
		q.Put = &PutUpload{ContentType: "text/plain", ContentLength: int64(len(content))}
		u := must[Upload](t)(s.CreateUpload(ctx, q))
		if err := s.PutContent(ctx, holder(t, s, Write, q.Name, u.Put.URL), "text/plain", "", -1, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		finish(t, s, q, map[string]string{"sha256": hashOf(content)})
	})
	upload("pieces", "a log", func(q UploadRequest, content string) {
		add(t, s, begin(t, s, q), 0, content)
		finish(t, s, q, nil)
	})
	upload("parts", noise(17<<20), func(q UploadRequest, content string) {
		sendParts(t, s, q, content)
		finish(t, s, q, nil)
	})
	upload("within", "a decision", func(q UploadRequest, content string) { putText(t, s, q.Name, content) })
	t.Run("and goes from there when it is deleted", func(t *testing.T) {
		for name := range contents {
			if err := s.Delete(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		run(t, s, `UPDATE object_contents SET unused_since = unused_since - interval '2 hours'`)
		clean(t, s)
		for name, content := range contents {
			if r.has(t, content) {
				t.Errorf("the content of %s is still there", name)
			}
		}
		if err := r.bucket.Tidy(ctx, 0, func(_ context.Context, key string) (bool, error) {
			t.Errorf("left: %s", key)
			return true, nil
		}); err != nil {
			t.Error(err)
		}
	})
}

// sendParts begins an upload in parts and sends those that are not there.
func sendParts(t testing.TB, s *Store, q UploadRequest, content string) (sent []int) {
	t.Helper()
	q.Parts = &PartsUpload{ContentType: "text/plain", ContentLength: int64(len(content))}
	u := must[Upload](t)(s.CreateUpload(t.Context(), q))
	id := holder(t, s, Parts, q.Name, u.Parts.URL)
	state := must[PartsState](t)(s.ListParts(t.Context(), id))
	there := map[int]bool{}
	for _, p := range state.Parts {
		there[p.Number] = true
	}
	for n := state.Count; n >= 1; n-- {
		if !there[n] {
			sendOne(t, s, id, n, content, u.Parts.PartSize)
			sent = append(sent, n)
		}
	}
	return sent
}

func sendOne(t testing.TB, s *Store, id int64, n int, content string, size int64) {
	t.Helper()
	piece := content[int64(n-1)*size : min(int64(n)*size, int64(len(content)))]
	if _, err := s.PutPart(t.Context(), id, n, hashOf(piece), strings.NewReader(piece)); err != nil {
		t.Fatal(err)
	}
}

// TestPartsGoOn breaks uploads in parts in every way, on both kinds of store.
func TestPartsGoOn(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	for name, change := range map[string]func(*Config){"s3": func(*Config) {}, "disk": func(c *Config) { c.Uploads = "" }} {
		t.Run(name, func(t *testing.T) { partsGoOn(t, r, change, name) })
	}
}

func partsGoOn(t *testing.T, r *remote, change func(*Config), prefix string) {
	s := r.open(t, change)
	ctx := t.Context()
	content := noise(17 << 20)
	start := func(name string) (UploadRequest, int64) {
		q := request(prefix + name)
		q.Parts = &PartsUpload{ContentType: "text/plain", ContentLength: int64(len(content))}
		u := must[Upload](t)(s.CreateUpload(ctx, q))
		return q, holder(t, s, Parts, q.Name, u.Parts.URL)
	}
	end := func(q UploadRequest, hash string, by ...*Store) error {
		return append(by, s)[0].FinishUpload(ctx, q.Name, "p", q.UploadID, map[string]string{"sha256": hash})
	}
	t.Run("after a crash of the store and of us, with what is missing", func(t *testing.T) {
		q, id := start("crash")
		sendOne(t, s, id, 3, content, 8<<20)
		sendOne(t, s, id, 1, content, 8<<20)
		wantKind(t, end(q, hashOf(content)), fault.Conflict)
		r.server.Kill()
		r.server.Run(t)
		other := r.open(t, change)
		q.Parts = nil
		if diff := cmp.Diff([]int{2}, sendParts(t, other, q, content)); diff != "" {
			t.Error(diff)
		}
		if err := end(q, hashOf(content)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, q.Name, content)
		if err := end(q, hashOf(content)); err != nil {
			t.Errorf("finishing again: %v", err)
		}
		_, err := s.ListParts(ctx, id)
		wantKind(t, err, fault.Conflict)
	})
	t.Run("wrong parts are refused, a wrong whole begins anew", func(t *testing.T) {
		q, id := start("wrong")
		_, err := s.PutPart(ctx, id, 1, hashOf("x"), strings.NewReader(content[:8<<20]))
		wantKind(t, err, fault.Invalid)
		_, err = s.PutPart(ctx, id, 4, hashOf("x"), strings.NewReader("x"))
		wantKind(t, err, fault.Invalid)
		for n := 1; n <= 3; n++ {
			sendOne(t, s, id, n, content, 8<<20)
		}
		wantKind(t, end(q, hashOf("other")), fault.Invalid)
		if state := must[PartsState](t)(s.ListParts(ctx, id)); len(state.Parts) != 0 {
			t.Errorf("%d parts are kept", len(state.Parts))
		}
		for n := 1; n <= 3; n++ {
			sendOne(t, s, id, n, content, 8<<20)
		}
		if err := end(q, hashOf(content)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, q.Name, content)
	})
	t.Run("finished by many at once, in two processes", func(t *testing.T) {
		other := r.open(t, change)
		q, id := start("race")
		for n := 1; n <= 3; n++ {
			sendOne(t, s, id, n, content, 8<<20)
		}
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if err := end(q, hashOf(content), []*Store{s, other}[i%2]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wantContent(t, s, q.Name, content)
	})
	t.Run("sealed before a crash, by cleaning", func(t *testing.T) {
		q, id := start("sealed")
		for n := 1; n <= 3; n++ {
			sendOne(t, s, id, n, content, 8<<20)
		}
		o := must[*record](t)(s.read(ctx, s.pool, readSQL.Text, q.Name))
		p := must[*Place](t)(s.places.named(o.Store))
		staged := must[*store.Staged](t)(p.Store.JoinParts(ctx, o.Ticket, must[[]store.Part](t)(s.parts(ctx, o))))
		if err := s.sealAs(ctx, o, nil, staged); err != nil {
			t.Fatal(err)
		}
		clean(t, r.open(t, change))
		wantContent(t, s, q.Name, content)
	})
	t.Run("given up, and nothing is left", func(t *testing.T) {
		q, id := start("given up")
		sendOne(t, s, id, 1, content, 8<<20)
		ticket := must[*record](t)(s.read(ctx, s.pool, readSQL.Text, q.Name)).Ticket
		run(t, s, `UPDATE objects SET upload_expires = now() - interval '1 second' WHERE name = $1`, q.Name)
		clean(t, s)
		_, err := s.PutPart(ctx, id, 1, hashOf(content[:8<<20]), strings.NewReader(content[:8<<20]))
		wantKind(t, err, fault.NotFound)
		for _, p := range s.places.all {
			if err := p.Store.Tidy(ctx, 0, func(_ context.Context, key string) (bool, error) {
				if strings.HasPrefix(ticket, key) {
					t.Errorf("%s is left in %s", key, p.Name)
				}
				return true, nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("an empty content has no parts", func(t *testing.T) {
		q := request(prefix + "empty")
		sendParts(t, s, q, "")
		if err := end(q, hashOf("")); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, q.Name, "")
	})
}

func send(t testing.TB, method, address, body string, headers map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := must[[]byte](t)(io.ReadAll(resp.Body))
	return resp.StatusCode, string(text)
}

func TestDirectUploadAndDownload(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := r.open(t, r.direct)
	ctx := t.Context()
	const content = "directly"
	q := request("direct")
	q.Put = &PutUpload{ContentType: "text/plain", ContentLength: int64(len(content))}
	u := must[Upload](t)(s.CreateUpload(ctx, q))
	if !strings.HasPrefix(u.Put.URL, r.proxy.Endpoint) {
		t.Fatalf("the URL %s is not one of the store", u.Put.URL)
	}
	wantKind(t, s.FinishUpload(ctx, q.Name, "p", q.UploadID, nil), fault.Conflict)
	put := func(text string) {
		t.Helper()
		if status, answer := send(t, http.MethodPut, u.Put.URL, text, u.Put.Headers); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	put("mistaken")
	_, err := s.Get(ctx, q.Name)
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.FinishUpload(ctx, q.Name, "p", q.UploadID, map[string]string{"sha256": hashOf(content)}), fault.Invalid)
	u = must[Upload](t)(s.CreateUpload(ctx, q)) // a fresh URL for the same
	put(content)
	finish(t, s, q, map[string]string{"sha256": hashOf(content)})
	wantContent(t, s, q.Name, content)
	put("tampered") // the URL lives on, but leads nowhere
	wantContent(t, s, q.Name, content)
	t.Run("who downloads is sent to the store", func(t *testing.T) {
		_, address, _, err := s.Download(ctx, q.Name, Reader{})
		if err != nil || !strings.HasPrefix(address, r.proxy.Endpoint) {
			t.Fatalf("%s, %v", address, err)
		}
		if status, text := send(t, http.MethodGet, address, "", nil); status != 200 || text != content {
			t.Errorf("%d %q", status, text)
		}
		if _, address, _, err := s.Download(ctx, q.Name, Reader{Own: true}); err != nil || !strings.HasPrefix(address, "http://tc/") {
			t.Errorf("%s, %v", address, err)
		}
	})
	t.Run("what the URL took afterwards is swept away", func(t *testing.T) {
		seen := 0
		err := r.bucket.Tidy(ctx, 0, func(ctx context.Context, key string) (bool, error) {
			seen++
			return s.keepUpload(ctx, key)
		})
		if err != nil || seen != 1 {
			t.Errorf("%d, %v", seen, err)
		}
	})
}

func TestStoreInTrouble(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := r.open(t)
	ctx := t.Context()
	q := request("put")
	content := noise(9 << 20)
	q.Put = &PutUpload{ContentType: "text/plain", ContentLength: int64(len(content))}
	id := holder(t, s, Write, q.Name, must[Upload](t)(s.CreateUpload(ctx, q)).Put.URL)
	up := func() error { return s.PutContent(ctx, id, "text/plain", "", -1, strings.NewReader(content)) }
	t.Run("a store that dies in the middle fails the upload, and it can be sent again", func(t *testing.T) {
		r.proxy.Spoil(func(q *http.Request) s3test.Fault {
			if q.Method == http.MethodPut {
				go r.server.Kill()
			}
			return s3test.Fault{}
		})
		wantKind(t, up(), fault.Unavailable)
		wantKind(t, s.FinishUpload(ctx, q.Name, "p", q.UploadID, nil), fault.Conflict)
		r.proxy.Spoil(nil)
		r.server.Kill()
		r.server.Run(t)
		if err := up(); err != nil {
			t.Fatal(err)
		}
		finish(t, s, q, nil)
		wantContent(t, s, q.Name, content)
	})
	t.Run("bytes that changed in the store are not given away as a whole", func(t *testing.T) {
		r.proxy.Spoil(func(q *http.Request) s3test.Fault { return s3test.Fault{Flip: q.Method == http.MethodGet} })
		_, f, err := s.Open(ctx, q.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := io.ReadAll(f)
		wantKind(t, err, fault.Unavailable)
		if len(got) >= len(content) {
			t.Error("all of it came")
		}
	})
	t.Run("a log grows while the store is away, and is finished when it is back", func(t *testing.T) {
		r.proxy.Spoil(func(*http.Request) s3test.Fault { return s3test.Fault{Status: 403} })
		q := request("log")
		id := begin(t, s, q)
		add(t, s, id, 0, "a line")
		wantKind(t, s.FinishUpload(ctx, q.Name, "p", q.UploadID, nil), fault.Unavailable)
		r.proxy.Spoil(nil)
		clean(t, s)
		wantContent(t, s, "log", "a line")
		if exists(t, s.disk.partial(id)) {
			t.Error("its file is left")
		}
	})
}

func TestSweepOfABucket(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := r.open(t)
	ctx := t.Context()
	for i := range 5 {
		putText(t, s, fmt.Sprint("kept", i), fmt.Sprint("kept ", i))
	}
	stray := func(text string) {
		staged := must[*store.Staged](t)(r.bucket.Receive(ctx, strings.NewReader(text), 100))
		if err := r.bucket.Place(ctx, staged); err != nil {
			t.Fatal(err)
		}
	}
	stray("young")
	sweep := func() {
		t.Helper()
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if !r.has(t, "young") {
		t.Error("a young content was removed: it may be one whose row comes")
	}
	t.Run("old strays go, also those whose row says they are elsewhere", func(t *testing.T) {
		putText(t, openWith(t, r.pool, Config{Dir: r.dir}), "moved", "moved") // lives in the folder
		stray("moved")
		place := s.places.byName["far"]
		for _, text := range []string{"young", "moved", "kept 1"} {
			if err := s.removeStray(ctx, place, store.Entry{SHA256: hashOf(text), Size: int64(len(text))}); err != nil && text != "kept 1" {
				t.Fatal(err)
			}
		}
		if r.has(t, "young") || r.has(t, "moved") || !r.has(t, "kept 1") {
			t.Error("the wrong ones went")
		}
		wantContent(t, s, "moved", "moved")
	})
	t.Run("a content that is gone is lost, until it is back", func(t *testing.T) {
		if err := r.bucket.Remove(ctx, hashOf("kept 2")); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Open(ctx, "kept2")
		wantKind(t, err, fault.Unavailable)
		sweep()
		_, _, err = s.Open(ctx, "kept2")
		wantKind(t, err, fault.Gone)
		if _, err := s.Get(ctx, "kept2"); err != nil {
			t.Error(err)
		}
		stray("kept 2")
		sweep()
		wantContent(t, s, "kept2", "kept 2")
		if must[*record](t)(s.read(ctx, s.pool, readSQL.Text, "kept2")).Lost {
			t.Error("it still counts as lost")
		}
	})
}

func TestSignedPut(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	for name, change := range map[string]func(*Config){"s3": r.direct, "disk": func(c *Config) { c.Uploads = "" }} {
		t.Run(name, func(t *testing.T) {
			s := r.open(t, change)
			ctx := t.Context()
			expires := time.Now().Add(time.Hour)
			ask := func(contentType string, expires time.Time) (string, error) {
				address, until, err := s.SignedPut(ctx, name, "p", contentType, -1, expires)
				if err == nil && (!strings.HasPrefix(address, "http://tc/") || time.Until(until) > time.Hour) {
					t.Errorf("%s until %s", address, until)
				}
				return address, err
			}
			id := holder(t, s, Write, name, must[string](t)(ask("text/plain", expires)))
			_, err := s.DownloadURL(ctx, name)
			wantKind(t, err, fault.NotFound)
			content := "by worker " + name
			put := func(text string) error {
				return s.PutContent(ctx, id, "text/plain", "", int64(len(text)), strings.NewReader(text))
			}
			wantKind(t, s.PutContent(ctx, id, "text/html", "", -1, strings.NewReader(content)), fault.Invalid)
			for range 2 { // again, as after a lost answer
				if err := put(content); err != nil {
					t.Fatal(err)
				}
				wantContent(t, s, name, content)
			}
			wantKind(t, put("other"), fault.Conflict)
			wantContent(t, s, name, content)
			if again := holder(t, s, Write, name, must[string](t)(ask("text/plain", expires.Add(time.Hour)))); again != id {
				t.Error("asking again began another upload")
			}
			if o := must[Object](t)(s.Get(ctx, name)); o.Expires.Before(expires.Add(time.Minute)) {
				t.Errorf("it expires %s", o.Expires)
			}
			_, err = ask("text/html", expires)
			wantKind(t, err, fault.Conflict)
			q := request(name)
			q.Append = &AppendUpload{ContentType: "text/plain"}
			_, err = s.CreateUpload(ctx, q)
			wantKind(t, err, fault.Conflict)
			_, _, err = s.SignedPut(ctx, "bad\n", "p", "text/plain", -1, expires)
			wantKind(t, err, fault.Invalid)
		})
	}
}

func TestCompressedContents(t *testing.T) {
	t.Parallel()
	s := openWith(t, pgtest.DB(t), Config{Dir: t.TempDir(), MaxSize: 1 << 20})
	ctx := t.Context()
	plain := strings.Repeat("a line of a log\n", 20_000)
	put := func(name string, body []byte) error {
		address, _, err := s.SignedPut(ctx, name, "p", "text/plain", -1, time.Now().Add(time.Hour))
		if err != nil {
			return err
		}
		return s.PutContent(ctx, holder(t, s, Write, name, address), "text/plain", "gzip", -1, bytes.NewReader(body))
	}
	if err := put("log", zipped(t, plain)); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "log", plain)
	o, f, err := s.Open(ctx, "log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if o.Hashes["sha256"] != hashOf(plain) || o.StoredSHA256 != hashOf(string(zipped(t, plain))) || o.StoredSize >= o.Size {
		t.Errorf("%+v", o)
	}
	for _, at := range []int64{1000, 300_000, 10, 10, o.Size} {
		got := make([]byte, min(50, o.Size-at))
		must[int64](t)(f.Seek(at, io.SeekStart))
		if _, err := io.ReadFull(f, got); err != nil || string(got) != plain[at:at+int64(len(got))] {
			t.Errorf("at %d: %q, %v", at, got, err)
		}
	}
	wantKind(t, put("broken", zipped(t, plain)[:500]), fault.Invalid)
	wantKind(t, put("no gzip", []byte(plain)), fault.Invalid)
	wantKind(t, put("bomb", zipped(t, strings.Repeat("x", 1<<20+1))), fault.TooLarge)
}
