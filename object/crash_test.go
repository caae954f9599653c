package object

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/s3test"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/object/store"
)

// TestMain lets the test program be the server that TestKilled kills, and that of TestDiskFull.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TREELINE_TEST_OBJECT_DIR"); dir != "" {
		err := uploadForever(context.Background(), dir, os.Getenv("TREELINE_TEST_OBJECT_URL"), os.Getenv("TREELINE_TEST_OBJECT_ROUND"))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if dir := os.Getenv("TREELINE_TEST_OBJECT_FULL"); dir != "" {
		if err := fillDisk(context.Background(), dir, os.Getenv("TREELINE_TEST_OBJECT_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// textOf is the content that the object of a name has to have.
func textOf(name string) string {
	return strings.Repeat(name+"\n", 2000)
}

// fixed is the upload of a name; another process makes the same.
func fixed(name string) UploadRequest {
	sum := sha256.Sum256([]byte(name))
	return UploadRequest{
		Name: name, ProjectID: "p", UploadID: slug.FromBytes([16]byte(sum[:16])), Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		Append: &AppendUpload{ContentType: "text/plain"},
	}
}

// uploadForever makes objects in all ways, and says which are finished.
func uploadForever(ctx context.Context, dir, url, round string) error {
	pool, err := pg.Open(ctx, url)
	if err != nil {
		return err
	}
	c := Config{Dir: dir, RootURL: "http://tc", URLKey: urlKey, Log: slog.New(slog.DiscardHandler)}
	if endpoint, bucket, ok := strings.Cut(os.Getenv("TREELINE_TEST_OBJECT_BUCKET"), " "); ok {
		far, err := openBucket(endpoint, bucket)
		if err != nil {
			return err
		}
		c.Places, c.Uploads = []Place{{Name: "far", Store: far}}, "far"
	}
	s, err := New(pool, c)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("append/%s/%d", round, i)
		if err := appendAll(ctx, s, name, 7000); err != nil {
			return err
		}
		fmt.Println(name)
		name = fmt.Sprintf("parts/%s/%d", round, i)
		if err := partsAll(ctx, s, name); err != nil {
			return err
		}
		fmt.Println(name)
		name = fmt.Sprintf("put/%s/%d", round, i)
		if _, err := s.Put(ctx, name, "p", "text/plain", fixed(name).Expires, strings.NewReader(textOf(name)), ""); err != nil {
			return err
		}
		fmt.Println(name)
	}
}

// appendAll uploads what is missing of an object in pieces and finishes it.
func appendAll(ctx context.Context, s *Store, name string, piece int) error {
	r, text := fixed(name), textOf(name)
	u, err := s.CreateUpload(ctx, r)
	if err != nil {
		return err
	}
	id, err := s.Holds(Append, name, u.Append.AppendURL[strings.Index(u.Append.AppendURL, "?token=")+7:])
	if err != nil {
		return err
	}
	at, _, err := s.AppendContent(ctx, id, 0, bytes.NewReader(nil)) // how far it is
	if err != nil {
		return err
	}
	for int(at) < len(text) {
		next, fits, err := s.AppendContent(ctx, id, at, strings.NewReader(text[at:min(len(text), int(at)+piece)]))
		if err != nil || !fits {
			return fmt.Errorf("append at %d: size %d, fits %v, %w", at, next, fits, err)
		}
		at = next
	}
	return s.FinishUpload(ctx, name, r.ProjectID, r.UploadID, map[string]string{"sha256": hashOf(text)})
}

// partsAll uploads an object in its one part, unless that is there, and finishes it.
func partsAll(ctx context.Context, s *Store, name string) error {
	r, text := fixed(name), textOf(name)
	r.Append, r.Parts = nil, &PartsUpload{ContentType: "text/plain", ContentLength: int64(len(text))}
	u, err := s.CreateUpload(ctx, r)
	if err == nil {
		var id int64
		if id, err = idOf(s, Parts, name, u.Parts.URL); err != nil {
			return err
		}
		state, err := s.ListParts(ctx, id)
		if err == nil && len(state.Parts) == 0 {
			_, err = s.PutPart(ctx, id, 1, hashOf(text), strings.NewReader(text))
		}
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fault.Conflict) { // which it is when it is decided
		return err
	}
	return s.FinishUpload(ctx, name, r.ProjectID, r.UploadID, map[string]string{"sha256": hashOf(text)})
}

func openBucket(endpoint, bucket string) (*store.S3, error) {
	return store.OpenS3(store.S3Config{Endpoint: endpoint, Bucket: bucket, AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey})
}

func TestKilled(t *testing.T) {
	t.Run("disk", func(t *testing.T) { killed(t, 12, "", Config{}) })
	t.Run("s3", func(t *testing.T) {
		r := newRemote(t)
		far := Place{Name: "far", Store: r.bucket}
		killed(t, 6, r.server.Endpoint+" "+r.name, Config{Places: []Place{far}, Uploads: "far"})
	})
}

func killed(t *testing.T, rounds int, bucket string, c Config) {
	url, dir := pgtest.URL(t), t.TempDir()
	pool, err := pg.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	c.Dir = dir
	s := openWith(t, pool, c)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	continued := 0
	for round := range rounds {
		for _, name := range killedRound(t, dir, url, bucket, fmt.Sprint(round), time.Duration(20+rng.IntN(120))*time.Millisecond) {
			wantContent(t, s, name, textOf(name)) // what was acknowledged is there
		}
		continued += checkAll(t, s)
	}
	t.Logf("%d broken uploads were continued", continued)
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// killedRound runs a server, kills it some time after it began to work, and returns what it finished.
func killedRound(t *testing.T, dir, url, bucket, round string, after time.Duration) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "TREELINE_TEST_OBJECT_DIR="+dir, "TREELINE_TEST_OBJECT_URL="+url, "TREELINE_TEST_OBJECT_ROUND="+round, "TREELINE_TEST_OBJECT_BUCKET="+bucket)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var names []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if len(names) == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended by itself; Wait tells
		}
		names = append(names, lines.Text())
	}
	_ = cmd.Wait() // killed, as intended
	if complaint.Len() > 0 || len(names) == 0 {
		t.Fatalf("the server ended by itself: %s", complaint.String())
	}
	return names
}

// checkAll checks that every object is whole or not there, and continues the uploads that broke.
func checkAll(t *testing.T, s *Store) (continued int) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT name, finished IS NOT NULL FROM objects`)
	if err != nil {
		t.Fatal(err)
	}
	type state struct {
		Name     string
		Finished bool
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state])
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		if !o.Finished {
			continued++
			if err := continueUpload(t.Context(), s, o.Name); err != nil {
				t.Fatalf("continue %s: %v", o.Name, err)
			}
		}
		wantContent(t, s, o.Name, textOf(o.Name))
	}
	return continued
}

// continueUpload does what a worker does whose server was killed: it finishes if all was sent, and
// otherwise sends the rest. What is there must be a beginning of the content.
func continueUpload(ctx context.Context, s *Store, name string) error {
	if strings.HasPrefix(name, "parts/") {
		return partsAll(ctx, s, name)
	}
	r := fixed(name)
	stream, err := s.StreamReader(ctx, name, 0)
	if errors.Is(err, fault.NotFound) { // begun, but killed before its file was there
		return appendAll(ctx, s, name, 1<<20)
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	there, err := io.ReadAll(stream.Section())
	if err != nil {
		return err
	}
	if !strings.HasPrefix(textOf(name), string(there)) {
		return fmt.Errorf("the %d bytes there are not the beginning of the content", len(there))
	}
	if err := s.FinishUpload(ctx, name, r.ProjectID, r.UploadID, map[string]string{"sha256": hashOf(textOf(name))}); err == nil {
		return nil
	}
	return appendAll(ctx, s, name, 1<<20)
}
