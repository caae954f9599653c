package combine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue/combine"
)

func TestAGateIsSharedByCombiners(t *testing.T) {
	for _, tt := range []struct {
		name             string
		atMost, patience time.Duration
		after            time.Duration // when the second batch runs; the first takes a second
	}{
		{"who waits gathers company", time.Minute, time.Minute, 1100 * time.Millisecond},
		{"nobody waits for ever", 300 * time.Millisecond, time.Minute, 400 * time.Millisecond},
		{"a batch without patience leaves its place", time.Minute, 300 * time.Millisecond, 400 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, gate := &recorder{}, combine.NewGate(1, tt.atMost)
				o := combine.Options[string, string]{Run: r.run, Patience: tt.patience, Gate: gate}
				creates, reports := combine.New(o), combine.New(o)
				begin(t.Context(), creates, "a")
				got := begin(t.Context(), reports, "bcd")
				time.Sleep(100 * time.Millisecond)
				if batches, _ := r.seen(); !cmp.Equal([]string{"a"}, batches) {
					t.Errorf("at first %v", batches)
				}
				time.Sleep(tt.after - 100*time.Millisecond)
				if batches, _ := r.seen(); !cmp.Equal([]string{"a", "bcd"}, batches) {
					t.Errorf("then %v", batches)
				}
				time.Sleep(time.Minute)
				if got := list(got); got != "b=B c=C d=D" {
					t.Error(got)
				}
			})
		})
	}
}

func TestWhoLeavesAtAGateLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		o := combine.Options[string, string]{Run: r.run, Patience: time.Minute, Gate: combine.NewGate(1, time.Minute)}
		creates, reports := combine.New(o), combine.New(o)
		begin(t.Context(), creates, "a")
		ctx, leave := context.WithCancel(t.Context())
		gone := begin(ctx, reports, "bc")
		leave()
		time.Sleep(1500 * time.Millisecond) // a is done
		if got := list(gone); got != "b=context canceled c=context canceled" {
			t.Error(got)
		}
		begin(t.Context(), reports, "d")
		begin(t.Context(), creates, "e")
		time.Sleep(time.Minute)
		batches, _ := r.seen()
		if diff := cmp.Diff([]string{"a", "d", "e"}, batches); diff != "" {
			t.Error(diff)
		}
	})
}
