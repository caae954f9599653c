package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/s3test"
)

// each runs a test on every kind of store, the S3 one on a real server.
func each(t *testing.T, test func(t *testing.T, s Store)) {
	server := s3test.Start(t)
	t.Run("disk", func(t *testing.T) {
		d, err := OpenDisk(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, d)
	})
	t.Run("s3", func(t *testing.T) { test(t, bucket(t, server.Endpoint, server.Bucket(t))) })
}

func bucket(t testing.TB, endpoint, name string) *S3 {
	t.Helper()
	s, err := OpenS3(S3Config{Endpoint: endpoint, Bucket: name, Prefix: "ci/", Region: s3test.Region, AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// noise is bytes that no two calls have in common.
func noise(size int) []byte {
	data := make([]byte, size)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], rand.Uint64())
	_, _ = rand.NewChaCha8(seed).Read(data) // never fails
	return data
}

func sumsOf(t testing.TB, data []byte) Sums {
	t.Helper()
	sums, err := HashOf(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// put stores data and returns its hash.
func put(t testing.TB, s Store, data []byte) string {
	t.Helper()
	staged, err := s.Receive(t.Context(), bytes.NewReader(data), int64(len(data)))
	if err == nil {
		err = s.Place(t.Context(), staged)
	}
	if err == nil {
		err = s.Discard(t.Context(), staged)
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := sumsOf(t, data); staged.Sums != want {
		t.Fatalf("got %+v, want %+v", staged.Sums, want)
	}
	return staged.SHA256
}

func wantBytes(t testing.TB, s Store, data []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), sumsOf(t, data).SHA256, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(data))
	}
}

func wantNone(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

// names lists everything, page by page.
func names(t testing.TB, s Store, page int) []string {
	t.Helper()
	var all []string
	for after := ""; ; {
		list, err := s.List(t.Context(), after, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Size == 0 && e.SHA256 != sumsOf(t, nil).SHA256 || time.Since(e.Modified) > time.Hour || e.SHA256 <= after {
				t.Errorf("entry %+v after %q", e, after)
			}
			after = e.SHA256
			all = append(all, e.SHA256)
		}
		if len(list) < page {
			return all
		}
	}
}

func TestContents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		for _, size := range []int{0, 1, 100_000, 8 << 20, 8<<20 + 1, 17 << 20} {
			data := noise(size)
			sum := put(t, s, data)
			wantBytes(t, s, data)
			if got, err := s.Stat(ctx, sum); err != nil || got != int64(size) {
				t.Errorf("size %d, %v, want %d", got, err, size)
			}
			put(t, s, data) // again
			if _, err := s.Open(ctx, sum, int64(size)+1); !errors.Is(err, fault.Unavailable) {
				t.Errorf("with another size: %v", err)
			}
			if err := errors.Join(s.Remove(ctx, sum), s.Remove(ctx, sum)); err != nil {
				t.Error(err)
			}
			_, err := s.Stat(ctx, sum)
			wantNone(t, err)
			_, err = s.Open(ctx, sum, int64(size))
			wantNone(t, err)
		}
		if left := names(t, s, 10); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestReadingAnywhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Store) {
		data := noise(300_000)
		r, err := s.Open(t.Context(), put(t, s, data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, at := range []int{299_999, 0, 1000, 1000, 300_000, 150_000} {
			if _, err := r.Seek(int64(at), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, min(500, len(data)-at))
			if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, data[at:at+len(got)]) {
				t.Errorf("at %d: %v", at, err)
			}
		}
		if end, err := r.Seek(0, io.SeekEnd); err != nil || end != int64(len(data)) {
			t.Errorf("end %d, %v", end, err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Store) {
		for i := range 23 {
			put(t, s, []byte(fmt.Sprint("content ", i)))
		}
		whole := names(t, s, 1000)
		if len(whole) != 23 {
			t.Fatalf("%d contents", len(whole))
		}
		for _, page := range []int{1, 5, 23} {
			if got := names(t, s, page); strings.Join(got, " ") != strings.Join(whole, " ") {
				t.Errorf("in pages of %d: %v", page, got)
			}
		}
	})
}

// broken is a sender that leaves after so many bytes.
type broken struct {
	data []byte
}

var errLeft = errors.New("the sender left")

func (b *broken) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, errLeft
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func TestReceivingRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Store) {
		for _, size := range []int{10, 10 << 20} {
			_, err := s.Receive(t.Context(), bytes.NewReader(noise(size)), int64(size-1))
			wantKind(t, err, fault.TooLarge)
			if _, err = s.Receive(t.Context(), &broken{noise(size)}, 1<<30); !errors.Is(err, errLeft) {
				t.Errorf("a sender that leaves: %v", err)
			}
		}
		left := 0
		err := s.Tidy(t.Context(), 0, func(context.Context, string) (bool, error) { left++; return true, nil })
		if err != nil || left > 0 {
			t.Errorf("%d uploads are left, %v", left, err)
		}
	})
}

func TestImport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Store) {
		for _, size := range []int{0, 1000, 20 << 20} {
			data := noise(size)
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Import(t.Context(), path, sumsOf(t, data)); err != nil {
					t.Fatal(err)
				}
			}
			wantBytes(t, s, data)
		}
		wantNone(t, s.Import(t.Context(), filepath.Join(t.TempDir(), "none"), sumsOf(t, noise(10))))
	})
}

// cut divides data as an upload in parts does.
func cut(t testing.TB, data []byte) []Part {
	t.Helper()
	var parts []Part
	size := int(PartSize(int64(len(data))))
	for at := 0; at < len(data); at += size {
		piece := data[at:min(at+size, len(data))]
		parts = append(parts, Part{Number: len(parts) + 1, Offset: int64(at), Size: int64(len(piece)), SHA256: sumsOf(t, piece).SHA256})
	}
	return parts
}

func sendPart(t testing.TB, s Store, ticket string, p *Part, data []byte) {
	t.Helper()
	var err error
	if p.Tag, err = s.PutPart(t.Context(), ticket, *p, bytes.NewReader(data[p.Offset:p.Offset+p.Size])); err != nil {
		t.Fatal(err)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		begin := func() string {
			ticket, err := s.BeginParts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return ticket
		}
		data := noise(20 << 20)
		parts, ticket := cut(t, data), begin()
		t.Run("a part is taken only as it was announced", func(t *testing.T) {
			p := parts[2]
			for name, piece := range map[string][]byte{"other": noise(int(p.Size)), "short": data[p.Offset : p.Offset+p.Size-1], "long": append(data[p.Offset:p.Offset+p.Size:p.Offset+p.Size], 'x')} {
				_, err := s.PutPart(ctx, ticket, p, bytes.NewReader(piece))
				if !errors.Is(err, fault.Invalid) {
					t.Errorf("%s bytes: %v", name, err)
				}
			}
		})
		for _, i := range []int{2, 0, 1, 0} { // in any order, and again
			sendPart(t, s, ticket, &parts[i], data)
		}
		for range 2 {
			staged, err := s.JoinParts(ctx, ticket, parts)
			if err != nil || staged.Sums != sumsOf(t, data) {
				t.Fatalf("%+v, %v", staged, err)
			}
			if err := s.Place(ctx, staged); err != nil {
				t.Fatal(err)
			}
			if _, s3 := s.(*S3); !s3 {
				break // a folder has moved the file
			}
		}
		wantBytes(t, s, data)
		t.Run("a joined upload takes no more parts", func(t *testing.T) {
			_, err := s.PutPart(ctx, ticket, parts[0], bytes.NewReader(data[:parts[0].Size]))
			wantNone(t, err)
		})
		t.Run("a dropped one leaves nothing", func(t *testing.T) {
			ticket := begin()
			sendPart(t, s, ticket, &parts[0], data)
			if err := errors.Join(s.DropParts(ctx, ticket), s.DropParts(ctx, ticket)); err != nil {
				t.Fatal(err)
			}
			_, err := s.PutPart(ctx, ticket, parts[0], bytes.NewReader(data[:parts[0].Size]))
			wantNone(t, err)
			_, err = s.JoinParts(ctx, ticket, parts[:1])
			wantNone(t, err)
		})
		t.Run("those that nobody knows are tidied away, old ones only", func(t *testing.T) {
			kept, lost := begin(), begin()
			sendPart(t, s, kept, &parts[0], data)
			sendPart(t, s, lost, &parts[0], data)
			keep := func(_ context.Context, key string) (bool, error) { return strings.HasPrefix(kept, key), nil }
			if err := s.Tidy(ctx, time.Hour, keep); err != nil {
				t.Fatal(err)
			}
			sendPart(t, s, lost, &parts[0], data)
			if err := s.Tidy(ctx, 0, keep); err != nil {
				t.Fatal(err)
			}
			sendPart(t, s, kept, &parts[0], data)
			_, err := s.PutPart(ctx, lost, parts[0], bytes.NewReader(data[:parts[0].Size]))
			wantNone(t, err)
		})
	})
}

func TestPartSize(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int64{0: 8 << 20, 50 << 30: 8 << 20, 10_000 * 8 << 20: 8 << 20, 10_000*8<<20 + 1: 16 << 20, 5 << 40: 528 << 20} {
		if got := PartSize(size); got != want || (size+got-1)/got > 10_000 {
			t.Errorf("of %d: %d, want %d", size, got, want)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	good := S3Config{Endpoint: "https://s3.example.com", Bucket: "b", AccessKey: "a", SecretKey: "s"}
	for name, change := range map[string]func(*S3Config){
		"no endpoint": func(c *S3Config) { c.Endpoint = "" }, "no scheme": func(c *S3Config) { c.Endpoint = "s3.example.com" },
		"a path": func(c *S3Config) { c.Endpoint += "/x" }, "no bucket": func(c *S3Config) { c.Bucket = "" },
		"half the keys": func(c *S3Config) { c.SecretKey = "" }, "no slash": func(c *S3Config) { c.Prefix = "x" },
		"above": func(c *S3Config) { c.Prefix = "../x/" }, "public": func(c *S3Config) { c.PublicEndpoint = "ftp://x" },
	} {
		c := good
		if _, err := OpenS3(c); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if _, err := OpenS3(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, ticket := range []string{"", "../x", "parts/../x", "tmp/content-1/../../x", "sha256/aa"} {
		if err := d.DropParts(t.Context(), ticket); err == nil {
			t.Errorf("the ticket %q is taken", ticket)
		}
	}
}
