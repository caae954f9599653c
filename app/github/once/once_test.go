package once_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github/once"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), once.Statements()...)
}

func TestAThingIsDoneByOne(t *testing.T) {
	r := once.Record{Pool: pgtest.DB(t)}
	ctx := t.Context()
	claim := func(what, who string, want bool) {
		t.Helper()
		if mine, err := r.Claim(ctx, what, who); mine != want || err != nil {
			t.Errorf("%s claims %s: %v %v", who, what, mine, err)
		}
	}
	claim("button", "one", true)
	claim("button", "two", false)
	claim("button", "one", true) // after a failure
	claim("another", "two", true)
	if err := r.Release(ctx, "button", "one"); err != nil {
		t.Fatal(err)
	}
	claim("button", "two", true)
	claim("button", "one", false)
	if _, err := r.Prune(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	claim("button", "one", false)
	if _, err := r.Prune(ctx, -time.Hour); err != nil {
		t.Fatal(err)
	}
	claim("button", "one", true)

	var claims atomic.Int32
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			mine, err := r.Claim(ctx, "at once", fmt.Sprint(n))
			if err != nil {
				t.Error(err)
			}
			if mine {
				claims.Add(1)
			}
		})
	}
	wait.Wait()
	if claims.Load() != 1 {
		t.Errorf("%d may do it", claims.Load())
	}
	for n, want := range []bool{true, false} {
		if first, err := r.First(ctx, "a", "word"); first != want || err != nil {
			t.Errorf("%d: %v %v", n, first, err)
		}
	}
	if bytes.Equal(once.Digest("a", "b"), once.Digest("a,1:b")) || bytes.Equal(once.Digest("ab"), once.Digest("a", "b")) {
		t.Error("different words have one digest")
	}
}
