package drain_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/treeline-ci/treeline/internal/drain"
)

func TestAStreamIsCut(t *testing.T) {
	t.Run("when the server is about to stop", func(t *testing.T) {
		begun := make(chan struct{})
		ctx, cancel := drain.Context(drain.With(t.Context(), begun))
		defer cancel()
		if ctx.Err() != nil {
			t.Fatal("it ended before")
		}
		close(begun)
		<-ctx.Done()
	})
	t.Run("after a while, so that its reader's rights are judged anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			ctx, cancel := drain.Context(t.Context())
			defer cancel()
			<-ctx.Done()
			if lasted := time.Since(began); lasted < drain.Longest*4/5 || lasted > drain.Longest {
				t.Errorf("it lasted %s", lasted)
			}
		})
	})
}
