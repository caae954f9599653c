package object

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
)

var urlKey = []byte(strings.Repeat("k", 32))

func open(t testing.TB, pool *pgxpool.Pool, dir string) *Store {
	t.Helper()
	return openWith(t, pool, Config{Dir: dir, MaxSize: 1 << 20})
}

func openWith(t testing.TB, pool *pgxpool.Pool, c Config) *Store {
	t.Helper()
	c.RootURL, c.URLKey, c.Log = "http://tc", urlKey, slog.New(slog.DiscardHandler)
	s, err := New(pool, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fresh(t testing.TB) *Store { return open(t, pgtest.DB(t), t.TempDir()) }

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// request begins an upload of the project "p" that expires in an hour.
func request(name string) UploadRequest {
	return UploadRequest{Name: name, ProjectID: "p", UploadID: slug.New(), Expires: time.Now().Add(time.Hour)}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// begin begins an upload by pieces and returns the id in its URL.
func begin(t testing.TB, s *Store, r UploadRequest) int64 {
	t.Helper()
	r.Append = &AppendUpload{ContentType: "text/plain"}
	u := must[Upload](t)(s.CreateUpload(t.Context(), r))
	return holder(t, s, Append, r.Name, u.Append.AppendURL)
}

func holder(t testing.TB, s *Store, right Right, name, address string) int64 {
	t.Helper()
	return must[int64](t)(s.Holds(right, name, must[*url.URL](t)(url.Parse(address)).Query().Get("token")))
}

func add(t testing.TB, s *Store, id, offset int64, text string) (size int64, fits bool) {
	t.Helper()
	size, fits, err := s.AppendContent(t.Context(), id, offset, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return size, fits
}

func finish(t testing.TB, s *Store, r UploadRequest, hashes map[string]string) {
	t.Helper()
	if err := s.FinishUpload(t.Context(), r.Name, r.ProjectID, r.UploadID, hashes); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t testing.TB, s *Store, name, want string) {
	t.Helper()
	if err := compare(t.Context(), s, name, want); err != nil {
		t.Error(err)
	}
}

func compare(ctx context.Context, s *Store, name, want string) error {
	o, f, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if string(got) != want || o.Size != int64(len(want)) || o.SHA256 != hashOf(want) {
		return fmt.Errorf("%s has %d bytes %.40q with sha256 %s, want %d bytes %.40q", name, o.Size, got, o.SHA256, len(want), want)
	}
	return nil
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

func TestInlineUpload(t *testing.T) {
	s := fresh(t)
	ctx := t.Context()
	r := request("t/abc/0/public/a b?.txt")
	r.Inline = &InlineUpload{ContentType: "text/plain", Data: base64.StdEncoding.EncodeToString([]byte("hello"))}
	r.Hashes = map[string]string{"sha256": hashOf("hello")}
	for range 2 { // asking again is fine
		if u := must[Upload](t)(s.CreateUpload(ctx, r)); !u.Inline {
			t.Errorf("upload %+v", u)
		}
	}
	t.Run("an unfinished object is not there", func(t *testing.T) {
		_, err := s.Get(ctx, r.Name)
		wantKind(t, err, fault.NotFound)
		_, _, err = s.Open(ctx, r.Name)
		wantKind(t, err, fault.NotFound)
		_, err = s.DownloadURL(ctx, r.Name)
		wantKind(t, err, fault.NotFound)
	})
	t.Run("somebody else's upload is a conflict", func(t *testing.T) {
		for name, change := range map[string]func(*UploadRequest){
			"upload id": func(r *UploadRequest) { r.UploadID = slug.New() }, "project": func(r *UploadRequest) { r.ProjectID = "q" },
			"expiry": func(r *UploadRequest) { r.Expires = r.Expires.Add(time.Second) },
			"hash":   func(r *UploadRequest) { r.Hashes = map[string]string{"sha256": hashOf("other")} },
		} {
			other := r
			change(&other)
			if _, err := s.CreateUpload(ctx, other); !errors.Is(err, fault.Conflict) {
				t.Errorf("another %s: %v", name, err)
			}
		}
		wantKind(t, s.FinishUpload(ctx, r.Name, "p", slug.New(), nil), fault.Conflict)
	})
	finish(t, s, r, nil)
	t.Run("a finished object is whole and stays so", func(t *testing.T) {
		wantContent(t, s, r.Name, "hello")
		finish(t, s, r, nil)
		wantKind(t, s.FinishUpload(ctx, r.Name, "p", r.UploadID, map[string]string{"sha256": hashOf("other")}), fault.Conflict)
		_, err := s.CreateUpload(ctx, r)
		wantKind(t, err, fault.Conflict)
	})
	t.Run("bad input is refused", func(t *testing.T) {
		for name, change := range map[string]func(*UploadRequest){
			"name": func(r *UploadRequest) { r.Name = "ä" }, "long name": func(r *UploadRequest) { r.Name = strings.Repeat("n", 2001) },
			"project": func(r *UploadRequest) { r.ProjectID = "" }, "upload id": func(r *UploadRequest) { r.UploadID = "x" },
			"base64": func(r *UploadRequest) { r.Inline = &InlineUpload{Data: "!"} },
			"hash":   func(r *UploadRequest) { r.Hashes = map[string]string{"sha256": "x"} },
		} {
			bad := request("bad")
			change(&bad)
			if _, err := s.CreateUpload(ctx, bad); !errors.Is(err, fault.Invalid) {
				t.Errorf("bad %s: %v", name, err)
			}
		}
		large := request("large")
		large.Inline = &InlineUpload{Data: base64.StdEncoding.EncodeToString(make([]byte, maxInline+1))}
		_, err := s.CreateUpload(ctx, large)
		wantKind(t, err, fault.TooLarge)
	})
}

func TestPutUpload(t *testing.T) {
	s := fresh(t)
	ctx := t.Context()
	r := request("put")
	r.Put = &PutUpload{ContentType: "text/plain", ContentLength: 5}
	u := must[Upload](t)(s.CreateUpload(ctx, r))
	id := holder(t, s, Write, r.Name, u.Put.URL)
	if diff := cmp.Diff(map[string]string{"Content-Type": "text/plain", "Content-Length": "5"}, u.Put.Headers); diff != "" {
		t.Error(diff)
	}
	wantKind(t, s.FinishUpload(ctx, "put", "p", r.UploadID, nil), fault.Conflict)
	wantKind(t, s.PutContent(ctx, id, "text/html", "", 5, strings.NewReader("hello")), fault.Invalid)
	wantKind(t, s.PutContent(ctx, id, "text/plain", "", 4, strings.NewReader("hell")), fault.Invalid)
	wantKind(t, s.PutContent(ctx, id, "text/plain", "", -1, strings.NewReader("hell")), fault.Invalid)
	wantKind(t, s.PutContent(ctx, id, "text/plain", "", -1, strings.NewReader("hello!")), fault.TooLarge)
	broken := io.MultiReader(strings.NewReader("he"), errReader{})
	wantKind(t, s.PutContent(ctx, id, "text/plain", "", 5, broken), fault.Invalid)
	for _, text := range []string{"first", "hello", "hello"} { // the last one counts
		if err := s.PutContent(ctx, id, "text/plain", "", 5, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, s.FinishUpload(ctx, "put", "p", r.UploadID, map[string]string{"sha256": hashOf("first")}), fault.Invalid)
	finish(t, s, r, map[string]string{"sha256": hashOf("hello")})
	wantContent(t, s, "put", "hello")
	wantKind(t, s.PutContent(ctx, id, "text/plain", "", 5, strings.NewReader("later")), fault.Conflict)
	t.Run("nothing is left in the folder for temporary files", func(t *testing.T) {
		if left := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(s.disk.dir, "tmp"))); len(left) != 0 {
			t.Errorf("%v", left)
		}
	})
	t.Run("more than the limit is refused beforehand", func(t *testing.T) {
		r := request("large")
		r.Put = &PutUpload{ContentLength: 1<<20 + 1}
		_, err := s.CreateUpload(ctx, r)
		wantKind(t, err, fault.TooLarge)
	})
	t.Run("an upload may go another way while it is not finished", func(t *testing.T) {
		r := request("switch")
		r.Put = &PutUpload{ContentType: "text/plain", ContentLength: 3}
		u := must[Upload](t)(s.CreateUpload(ctx, r))
		put := holder(t, s, Write, r.Name, u.Put.URL)
		if err := s.PutContent(ctx, put, "text/plain", "", 3, strings.NewReader("put")); err != nil {
			t.Fatal(err)
		}
		r.Put = nil
		id := begin(t, s, r)
		wantKind(t, s.PutContent(ctx, put, "text/plain", "", 3, strings.NewReader("put")), fault.Conflict)
		add(t, s, id, 0, "pieces")
		finish(t, s, r, nil)
		wantContent(t, s, "switch", "pieces")
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("the network is gone") }

func TestPut(t *testing.T) {
	s := fresh(t)
	expires := time.Now().Add(time.Hour)
	put := func(name, text, want string) error {
		_, err := s.Put(t.Context(), name, "p", "application/json", expires, strings.NewReader(text), want)
		return err
	}
	wantKind(t, put("a", "{}", hashOf("other")), fault.Invalid)
	for range 2 {
		if err := put("a", "{}", hashOf("{}")); err != nil {
			t.Fatal(err)
		}
	}
	wantContent(t, s, "a", "{}")
	wantKind(t, put("a", "[]", ""), fault.Conflict)
	wantKind(t, put("b", strings.Repeat("x", 1<<20+1), ""), fault.TooLarge)
	if err := put("c", "{}", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "c", "{}") // the same bytes under another name stay
}

func TestKeep(t *testing.T) {
	s := fresh(t)
	ctx, expires := t.Context(), time.Now().Add(time.Hour)
	for range 2 {
		if err := s.Keep(ctx, "t/1/log", "p", "text/plain", expires, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	o, body, err := s.Open(ctx, "t/1/log")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != "hello" || o.ContentType != "text/plain" || o.ProjectID != "p" {
		t.Errorf("%q, %v: %+v", got, err, o)
	}
	if err := s.Keep(ctx, "t/1/log", "p", "text/plain", expires, []byte("other")); !errors.Is(err, fault.Conflict) {
		t.Errorf("other content: %v", err)
	}
	if err := os.Remove(s.disk.Path(o.SHA256)); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(ctx, "t/1/log", "p", "text/plain", expires, []byte("hello")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.disk.Path(o.SHA256)); err != nil {
		t.Errorf("a content that was lost is not stored again: %v", err)
	}
}

func TestNamesNeverBecomePaths(t *testing.T) {
	s := fresh(t)
	ours := regexp.MustCompile(`^(sha256(/[0-9a-f]{2}(/[0-9a-f]{62})?)?|partial(/[0-9]+)?|tmp|parts|\.)$`)
	for i, name := range []string{"../../etc/passwd", "/etc/passwd", "..", ".", "a/../../../b", "a\\..\\b", "~root", "%2e%2e%2f", "sha256/ab", "x/\x20/y", "-rf", "a//b", "a;rm -rf $HOME|"} {
		text := fmt.Sprint("content ", i)
		r := request(name)
		add(t, s, begin(t, s, r), 0, text)
		finish(t, s, r, nil)
		wantContent(t, s, name, text)
		begin(t, s, request(name+"/unfinished"))
	}
	err := filepath.WalkDir(s.disk.dir, func(path string, _ fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(s.disk.dir, path)
		if !ours.MatchString(filepath.ToSlash(rel)) {
			t.Errorf("the file %s appeared", rel)
		}
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	around := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(s.disk.dir)))
	if len(around) != 1 {
		t.Errorf("beside the folder there are %v", around)
	}
}

func TestStatements(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), Statements()...)
}
