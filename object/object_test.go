package object

import (
	"bytes"
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
	"sync"
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
	s, err := New(pool, Config{Dir: dir, RootURL: "http://tc", URLKey: urlKey, Log: slog.New(slog.DiscardHandler), MaxSize: 1 << 20})
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
	wantKind(t, s.PutContent(ctx, id, "text/html", 5, strings.NewReader("hello")), fault.Invalid)
	wantKind(t, s.PutContent(ctx, id, "text/plain", 4, strings.NewReader("hell")), fault.Invalid)
	wantKind(t, s.PutContent(ctx, id, "text/plain", -1, strings.NewReader("hell")), fault.Invalid)
	wantKind(t, s.PutContent(ctx, id, "text/plain", -1, strings.NewReader("hello!")), fault.TooLarge)
	broken := io.MultiReader(strings.NewReader("he"), errReader{})
	wantKind(t, s.PutContent(ctx, id, "text/plain", 5, broken), fault.Invalid)
	for _, text := range []string{"first", "hello", "hello"} { // the last one counts
		if err := s.PutContent(ctx, id, "text/plain", 5, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, s.FinishUpload(ctx, "put", "p", r.UploadID, map[string]string{"sha256": hashOf("first")}), fault.Invalid)
	finish(t, s, r, map[string]string{"sha256": hashOf("hello")})
	wantContent(t, s, "put", "hello")
	wantKind(t, s.PutContent(ctx, id, "text/plain", 5, strings.NewReader("later")), fault.Conflict)
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
		if err := s.PutContent(ctx, put, "text/plain", 3, strings.NewReader("put")); err != nil {
			t.Fatal(err)
		}
		r.Put = nil
		id := begin(t, s, r)
		wantKind(t, s.PutContent(ctx, put, "text/plain", 3, strings.NewReader("put")), fault.Conflict)
		add(t, s, id, 0, "pieces")
		finish(t, s, r, nil)
		wantContent(t, s, "switch", "pieces")
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("the network is gone") }

func TestAppendUpload(t *testing.T) {
	dir, pool := t.TempDir(), pgtest.DB(t)
	s := open(t, pool, dir)
	r := request("log")
	id := begin(t, s, r)
	steps := []struct {
		name   string
		offset int64
		piece  string
		size   int64
		fits   bool
	}{
		{"the first piece", 0, "one ", 4, true},
		{"the same again", 0, "one ", 4, true},
		{"part of it again", 1, "ne", 4, true},
		{"the next", 4, "two ", 8, true},
		{"one that overlaps and goes on", 6, "o three", 13, true},
		{"one that leaves a gap", 14, "x", 13, false},
		{"one that differs", 4, "TWO ", 13, false},
		{"one that begins right and differs later", 4, "two THREE and more", 13, false},
		{"an empty one", 13, "", 13, true},
		{"one larger than a buffer", 13, strings.Repeat("x", 200_000), 200_013, true},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			if size, fits := add(t, s, id, step.offset, step.piece); size != step.size || fits != step.fits {
				t.Errorf("size %d, fits %v", size, fits)
			}
		})
	}
	want := "one two three" + strings.Repeat("x", 200_000)
	t.Run("a piece that breaks off leaves what came, and can be sent again", func(t *testing.T) {
		_, _, err := s.AppendContent(t.Context(), id, int64(len(want)), io.MultiReader(strings.NewReader("par"), errReader{}))
		wantKind(t, err, fault.Invalid)
		if size, fits := add(t, s, id, int64(len(want)), "part"); !fits || size != int64(len(want))+4 {
			t.Errorf("size %d, fits %v", size, fits)
		}
		want += "part"
	})
	t.Run("another server goes on where this one was", func(t *testing.T) {
		other := open(t, pool, dir)
		if begin(t, other, r) != id {
			t.Error("asking again gave another upload")
		}
		add(t, other, id, int64(len(want)), "!")
		want += "!"
	})
	t.Run("it is finished only with the right hash", func(t *testing.T) {
		err := s.FinishUpload(t.Context(), "log", "p", r.UploadID, map[string]string{"sha256": hashOf("other")})
		wantKind(t, err, fault.Invalid)
		add(t, s, id, int64(len(want)), "?") // and goes on after a refusal
		want += "?"
		finish(t, s, r, map[string]string{"sha256": hashOf(want)})
		wantContent(t, s, "log", want)
	})
	t.Run("once finished it takes only what is there", func(t *testing.T) {
		if size, fits := add(t, s, id, 4, "two "); !fits || size != int64(len(want)) {
			t.Errorf("a known piece: size %d, fits %v", size, fits)
		}
		if size, fits := add(t, s, id, int64(len(want)), "more"); fits || size != int64(len(want)) {
			t.Errorf("a new piece: size %d, fits %v", size, fits)
		}
		wantContent(t, s, "log", want)
	})
	t.Run("an empty one is an object as well", func(t *testing.T) {
		r := request("empty")
		begin(t, s, r)
		finish(t, s, r, map[string]string{"sha256": hashOf("")})
		wantContent(t, s, "empty", "")
	})
	t.Run("the limit holds for the whole", func(t *testing.T) {
		r := request("large")
		id := begin(t, s, r)
		_, _, err := s.AppendContent(t.Context(), id, 0, bytes.NewReader(make([]byte, 1<<20+1)))
		wantKind(t, err, fault.TooLarge)
	})
	t.Run("a deleted one takes nothing", func(t *testing.T) {
		r := request("gone")
		id := begin(t, s, r)
		if err := s.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.AppendContent(t.Context(), id, 0, strings.NewReader("x"))
		wantKind(t, err, fault.NotFound)
	})
}

func TestStream(t *testing.T) {
	s := fresh(t)
	r := request("log")
	id := begin(t, s, r)
	add(t, s, id, 0, "early ")
	var readers sync.WaitGroup
	got := make([]string, 3)
	for i, from := range []int64{0, 6, 2} {
		stream := must[*Stream](t)(s.StreamReader(t.Context(), "log", from))
		if !stream.Growing || stream.ContentType != "text/plain" {
			t.Errorf("stream %+v", stream)
		}
		readers.Go(func() {
			defer stream.Close()
			text, err := io.ReadAll(stream)
			got[i] = string(text)
			if err != nil {
				t.Error(err)
			}
		})
	}
	text := "early "
	for i := range 20 {
		piece := fmt.Sprintf("line %d\n", i)
		add(t, s, id, int64(len(text)), piece)
		text += piece
	}
	finish(t, s, r, map[string]string{"sha256": hashOf(text)})
	readers.Wait()
	if diff := cmp.Diff([]string{text, text[6:], text[2:]}, got); diff != "" {
		t.Error(diff)
	}
	t.Run("after the end it is the object", func(t *testing.T) {
		stream := must[*Stream](t)(s.StreamSigned(t.Context(), id, 3))
		defer stream.Close()
		if got := must[[]byte](t)(io.ReadAll(stream)); string(got) != text[3:] || stream.Growing {
			t.Errorf("%q", got)
		}
	})
	t.Run("a reader leaves when it wants to, and when the server stops", func(t *testing.T) {
		begin(t, s, request("quiet"))
		ctx, cancel := context.WithCancel(t.Context())
		stream := must[*Stream](t)(s.StreamReader(ctx, "quiet", 0))
		defer stream.Close()
		cancel()
		if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("after cancel: %v", err)
		}
		patient := must[*Stream](t)(s.StreamReader(t.Context(), "quiet", 0))
		defer patient.Close()
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := patient.Read(make([]byte, 1))
		wantKind(t, err, fault.Unavailable)
	})
	t.Run("a deleted upload ends its stream", func(t *testing.T) {
		s := open(t, s.pool, s.disk.dir)
		id := begin(t, s, request("cut"))
		add(t, s, id, 0, "x")
		stream := must[*Stream](t)(s.StreamReader(t.Context(), "cut", 0))
		defer stream.Close()
		if err := s.Delete(t.Context(), "cut"); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(stream); err != nil || string(got) != "x" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

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

func TestNamesNeverBecomePaths(t *testing.T) {
	s := fresh(t)
	ours := regexp.MustCompile(`^(sha256(/[0-9a-f]{2}(/[0-9a-f]{62})?)?|partial(/[0-9]+)?|tmp|\.)$`)
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

func TestSignedURLs(t *testing.T) {
	s := fresh(t)
	address := s.sign(Read, "a/b c", 7, time.Now().Add(time.Hour))
	u := must[*url.URL](t)(url.Parse(address))
	if u.EscapedPath() != "/api/object/v1/content/a%2Fb%20c" {
		t.Errorf("path %s", u.EscapedPath())
	}
	token := u.Query().Get("token")
	if id, err := s.Holds(Read, "a/b c", token); err != nil || id != 7 {
		t.Errorf("%d, %v", id, err)
	}
	late := must[*url.URL](t)(url.Parse(s.sign(Read, "a/b c", 7, time.Now().Add(-time.Second)))).Query().Get("token")
	other := open(t, s.pool, s.disk.dir)
	other.key = []byte(strings.Repeat("o", 32))
	for name, tt := range map[string]struct {
		store *Store
		right Right
		name  string
		token string
		kind  fault.Kind
	}{
		"another right":          {s, Append, "a/b c", token, fault.Unauthenticated},
		"another name":           {s, Read, "a/b", token, fault.Unauthenticated},
		"another id":             {s, Read, "a/b c", strings.Replace(token, ".7.", ".8.", 1), fault.Unauthenticated},
		"another expiry":         {s, Read, "a/b c", "9" + token, fault.Unauthenticated},
		"another key":            {other, Read, "a/b c", token, fault.Unauthenticated},
		"nothing":                {s, Read, "a/b c", "", fault.Unauthenticated},
		"too much":               {s, Read, "a/b c", token + strings.Repeat("x", 200), fault.Unauthenticated},
		"a token that has ended": {s, Read, "a/b c", late, fault.Gone},
	} {
		if _, err := tt.store.Holds(tt.right, tt.name, tt.token); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Run("a URL is not for an object made anew under the name", func(t *testing.T) {
		put := func() string {
			if _, err := s.Put(t.Context(), "n", "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader("x"), ""); err != nil {
				t.Fatal(err)
			}
			return must[string](t)(s.DownloadURL(t.Context(), "n"))
		}
		id := holder(t, s, Read, "n", put())
		if err := s.Delete(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		put()
		_, _, err := s.OpenSigned(t.Context(), "n", id)
		wantKind(t, err, fault.NotFound)
	})
}

func FuzzHolds(f *testing.F) {
	s := &Store{key: urlKey}
	f.Add("a", must[*url.URL](f)(url.Parse(s.sign(Append, "a", 1, time.Now().Add(time.Hour)))).Query().Get("token"))
	f.Add("a", "1.2.3")
	f.Fuzz(func(t *testing.T, name, token string) {
		if _, err := s.Holds(Read, name, token); err == nil {
			t.Fatalf("%q gives a right to %q", token, name)
		}
	})
}

func TestStatements(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), readSQL, readLockedSQL, readByIDSQL, deleteSQL, insertSQL, renewSQL, enterContentSQL, setContentSQL,
		insertWholeSQL, finishSQL, expireSQL, abandonedSQL, prolongSQL, deleteUnfinishedSQL, unusedSQL, deleteContentSQL, keepContentSQL, adoptContentSQL)
}
