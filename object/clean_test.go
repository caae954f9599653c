package object

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func run(t testing.TB, s *Store, sql string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func clean(t testing.TB, s *Store) {
	t.Helper()
	if _, err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func exists(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func age(t testing.TB, path string) {
	t.Helper()
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

func putText(t testing.TB, s *Store, name, text string) {
	t.Helper()
	if _, err := s.Put(t.Context(), name, "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader(text), ""); err != nil {
		t.Fatal(err)
	}
}

func TestExpiry(t *testing.T) {
	s := fresh(t)
	putText(t, s, "old", "shared")
	putText(t, s, "new", "shared")
	putText(t, s, "alone", "unique")
	run(t, s, `UPDATE objects SET expires = now() - interval '1 second' WHERE name IN ('old', 'alone')`)
	t.Run("an expired object is gone at once", func(t *testing.T) {
		_, err := s.Get(t.Context(), "old")
		wantKind(t, err, fault.NotFound)
		_, err = s.DownloadURL(t.Context(), "old")
		wantKind(t, err, fault.NotFound)
	})
	clean(t, s)
	t.Run("its file stays for an hour", func(t *testing.T) {
		if !exists(t, s.disk.content(hashOf("unique"))) {
			t.Error("it is gone")
		}
	})
	t.Run("then it goes, unless another object has it", func(t *testing.T) {
		run(t, s, `UPDATE object_contents SET unused_since = unused_since - interval '2 hours'`)
		clean(t, s)
		if exists(t, s.disk.content(hashOf("unique"))) {
			t.Error("it is still there")
		}
		wantContent(t, s, "new", "shared")
	})
	t.Run("bytes that come again have a file again", func(t *testing.T) {
		putText(t, s, "alone", "unique")
		wantContent(t, s, "alone", "unique")
	})
}

func TestUploadsGivenUp(t *testing.T) {
	s := fresh(t)
	for _, name := range []string{"empty", "quiet", "busy", "broken"} {
		r := request(name)
		if name == "broken" {
			r.Hashes = map[string]string{"sha256": hashOf("the whole")}
		}
		id := begin(t, s, r)
		if name != "empty" {
			add(t, s, id, 0, "the log of "+name)
		}
		if name != "busy" {
			age(t, s.disk.partial(id))
		}
	}
	put := request("put")
	put.Put = &PutUpload{ContentType: "text/plain", ContentLength: 1}
	u := must[Upload](t)(s.CreateUpload(t.Context(), put))
	if err := s.PutContent(t.Context(), holder(t, s, Write, "put", u.Put.URL), "text/plain", "", 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
	wantContentless := func(t *testing.T, name string) {
		_, err := s.Get(t.Context(), name)
		wantKind(t, err, fault.NotFound)
	}
	wantContentless(t, "quiet") // not before its time
	run(t, s, `UPDATE objects SET upload_expires = now() - interval '1 second'`)
	clean(t, s)
	t.Run("a log that nobody continues becomes an object as it stands", func(t *testing.T) { wantContent(t, s, "quiet", "the log of quiet") })
	t.Run("one that goes on is left alone", func(t *testing.T) {
		wantContentless(t, "busy")
		if _, err := s.StreamReader(t.Context(), "busy", 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("what never became whole is removed", func(t *testing.T) {
		for _, name := range []string{"empty", "put", "broken"} {
			wantContentless(t, name)
			var n int
			if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM objects WHERE name = $1`, name).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d rows, %v", name, n, err)
			}
		}
		if left := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(s.disk.dir, "partial"))); len(left) != 1 {
			t.Errorf("files of uploads: %v", left)
		}
	})
}

func TestSweep(t *testing.T) {
	s := fresh(t)
	write := func(path string) string {
		path = filepath.Join(s.disk.dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sum := "00" + strings.Repeat("1", 62)
	old := []string{write("tmp/content-1"), write("partial/999"), write("sha256/00/" + sum[2:])}
	young := []string{write("tmp/content-2"), write("partial/998"), write("sha256/00/" + strings.Repeat("2", 62))}
	for _, path := range old {
		age(t, path)
	}
	putText(t, s, "kept", "content")
	age(t, s.disk.content(hashOf("content")))
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
	for _, path := range old {
		if exists(t, path) {
			t.Errorf("%s is left", path)
		}
	}
	for _, path := range young {
		if !exists(t, path) {
			t.Errorf("%s was removed", path)
		}
	}
	wantContent(t, s, "kept", "content")
}

// TestSealedBeforeACrash puts the store in the state between the commit that seals an upload and the
// move of its file, and has each verb find it so.
func TestSealedBeforeACrash(t *testing.T) {
	dir, pool := t.TempDir(), pgtest.DB(t)
	for name, verb := range map[string]func(t *testing.T, s *Store, r UploadRequest, id int64){
		"finishing again": func(t *testing.T, s *Store, r UploadRequest, _ int64) { finish(t, s, r, nil) },
		"the next piece": func(t *testing.T, s *Store, _ UploadRequest, id int64) {
			if size, fits := add(t, s, id, 7, "more"); fits || size != 7 {
				t.Errorf("size %d, fits %v", size, fits)
			}
		},
		"cleaning": func(t *testing.T, s *Store, _ UploadRequest, _ int64) { clean(t, s) },
	} {
		t.Run(name+" completes it", func(t *testing.T) {
			s := open(t, pool, dir)
			text := "content of " + name
			r := request(name)
			id := begin(t, s, r)
			add(t, s, id, 0, text[:7])
			run(t, s, `INSERT INTO object_contents (sha256, size) VALUES ($1, 7) ON CONFLICT DO NOTHING`, hashOf(text[:7]))
			run(t, s, `UPDATE objects SET sha256 = $2, sha512 = '' WHERE id = $1`, id, hashOf(text[:7]))
			if err := os.Chmod(s.disk.partial(id), markedMode); err != nil {
				t.Fatal(err)
			}
			verb(t, s, r, id)
			wantContent(t, s, name, text[:7])
			if exists(t, s.disk.partial(id)) {
				t.Error("its file is left where it was")
			}
		})
	}
	t.Run("a mark without a commit means nothing", func(t *testing.T) {
		s := open(t, pool, dir)
		r := request("marked")
		id := begin(t, s, r)
		add(t, s, id, 0, "a")
		if err := os.Chmod(s.disk.partial(id), markedMode); err != nil {
			t.Fatal(err)
		}
		if size, fits := add(t, s, id, 1, "b"); !fits || size != 2 {
			t.Errorf("size %d, fits %v", size, fits)
		}
		finish(t, s, r, nil)
		wantContent(t, s, "marked", "ab")
	})
}

func TestSameBytesFromAllSidesWhileCleaning(t *testing.T) {
	s := fresh(t)
	texts := []string{"a", "b"}
	var all sync.WaitGroup
	done := make(chan struct{})
	var cleaner sync.WaitGroup
	cleaner.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := s.pool.Exec(t.Context(), `UPDATE object_contents SET unused_since = unused_since - interval '2 hours' WHERE unused_since > now() - interval '1 hour'`); err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Clean(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 4 {
		all.Go(func() {
			for i := range 25 {
				name, text := string(rune('k'+w)), texts[(i+w)%2]
				if _, err := s.Put(t.Context(), name, "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader(text), ""); err != nil {
					t.Error(err)
					return
				}
				wantContent(t, s, name, text)
				if err := s.Delete(t.Context(), name); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	close(done)
	cleaner.Wait()
}
