package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/object/store"
)

const fullAt = 1 << 20

// fillDisk is what the test program does when TestDiskFull starts it: no file of its process can be
// larger than fullAt, which fails a write in the middle as a full disk does.
func fillDisk(ctx context.Context, dir, url string) error {
	signal.Ignore(syscall.SIGXFSZ)
	pool, err := pg.Open(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := New(pool, Config{Dir: dir, RootURL: "http://tc", URLKey: urlKey, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: fullAt, Max: fullAt}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	large := strings.Repeat("x", 3*fullAt)
	for name, try := range map[string]func() error{
		"a put":  func() error { return fillByPut(ctx, s, large) },
		"pieces": func() error { return fillByPieces(ctx, s, large) },
		"parts":  func() error { return fillByParts(ctx, s, large) },
		"a direct": func() error {
			_, err := s.Put(ctx, "direct", "p", "text/plain", fixed("").Expires, strings.NewReader(large), "")
			return err
		},
	} {
		if err := try(); !errors.Is(err, fault.Unavailable) {
			return fmt.Errorf("%s on a full disk: %w", name, err)
		}
	}
	// What fits is stored still.
	_, err = s.Put(ctx, "small", "p", "text/plain", fixed("").Expires, strings.NewReader("small"), "")
	return err
}

func idOf(s *Store, right Right, name, address string) (int64, error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	return s.Holds(right, name, u.Query().Get("token"))
}

func fillByPut(ctx context.Context, s *Store, large string) error {
	address, _, err := s.SignedPut(ctx, "put", "p", "text/plain", -1, fixed("").Expires)
	if err != nil {
		return err
	}
	id, err := idOf(s, Write, "put", address)
	if err != nil {
		return err
	}
	return s.PutContent(ctx, id, "text/plain", "", -1, strings.NewReader(large))
}

func fillByPieces(ctx context.Context, s *Store, large string) error {
	u, err := s.CreateUpload(ctx, fixed("pieces"))
	if err != nil {
		return err
	}
	id, err := idOf(s, Append, "pieces", u.Append.AppendURL)
	if err != nil {
		return err
	}
	_, _, err = s.AppendContent(ctx, id, 0, strings.NewReader(large))
	return err
}

func fillByParts(ctx context.Context, s *Store, large string) error {
	r := fixed("parts")
	r.Append, r.Parts = nil, &PartsUpload{ContentType: "text/plain", ContentLength: int64(len(large))}
	u, err := s.CreateUpload(ctx, r)
	if err != nil {
		return err
	}
	id, err := idOf(s, Parts, "parts", u.Parts.URL)
	if err != nil {
		return err
	}
	_, err = s.PutPart(ctx, id, 1, hashOf(large), strings.NewReader(large))
	return err
}

func TestDiskFull(t *testing.T) {
	url, dir := pgtest.URL(t), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "TREELINE_TEST_OBJECT_FULL="+dir, "TREELINE_TEST_OBJECT_URL="+url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pool, err := pg.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := openWith(t, pool, Config{Dir: dir})
	wantContent(t, s, "small", "small")
	t.Run("nothing is left of what did not fit", func(t *testing.T) {
		if left := must[[]os.DirEntry](t)(os.ReadDir(dir + "/tmp")); len(left) > 0 {
			t.Errorf("%v", left)
		}
		for _, name := range []string{"put", "direct", "pieces", "parts"} {
			_, err := s.Get(t.Context(), name)
			wantKind(t, err, fault.NotFound)
		}
	})
	t.Run("an upload by pieces goes on when there is room again", func(t *testing.T) {
		large := strings.Repeat("x", 3*fullAt)
		u := must[Upload](t)(s.CreateUpload(t.Context(), fixed("pieces")))
		id := holder(t, s, Append, "pieces", u.Append.AppendURL)
		there, _, err := s.AppendContent(t.Context(), id, 0, bytes.NewReader(nil))
		if err != nil || there == 0 || there > fullAt {
			t.Fatalf("%d bytes are there, %v", there, err)
		}
		add(t, s, id, there, large[there:])
		finish(t, s, fixed("pieces"), map[string]string{"sha256": hashOf(large)})
		wantContent(t, s, "pieces", large)
	})
	t.Run("one in parts as well", func(t *testing.T) {
		r, large := fixed("parts"), strings.Repeat("x", 3*fullAt)
		r.Append = nil
		sendParts(t, s, r, large)
		finish(t, s, r, nil)
		wantContent(t, s, "parts", large)
	})
}

// cpuPerByte reports the processor time of the whole process for each byte of a benchmark.
func cpuPerByte(b *testing.B, bytes int64) (done func()) {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() {
		b.ReportMetric(float64(used()-before)/float64(b.N)/float64(bytes)*1e9/1e6, "cpu-ms/GB")
	}
}

// BenchmarkStore moves 64 MiB through the store in a folder; MB/s are of the content.
func BenchmarkStore(b *testing.B) {
	s := openWith(b, pgtest.DB(b), Config{Dir: b.TempDir()})
	content := noise(64 << 20)
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		defer cpuPerByte(b, int64(len(content)))()
		for b.Loop() {
			if _, err := store.HashOf(strings.NewReader(content)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		defer cpuPerByte(b, int64(len(content)))()
		for i := 0; b.Loop(); i++ {
			name := fmt.Sprint("put", i)
			if _, err := s.Put(b.Context(), name, "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader(content), ""); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := s.Delete(b.Context(), name); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	if _, err := s.Put(b.Context(), "read", "p", "text/plain", time.Now().Add(time.Hour), strings.NewReader(content), ""); err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		defer cpuPerByte(b, int64(len(content)))()
		for b.Loop() {
			_, f, err := s.Open(b.Context(), "read")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, struct{ io.Reader }{f}); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
