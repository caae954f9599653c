package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

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
