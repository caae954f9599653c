package combine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/combine"
)

// recorder runs batches that take a second each, and remembers them. Items are answered in capitals.
type recorder struct {
	mu      sync.Mutex
	batches []string
	ended   []string // batches whose context ended
	fail    func(batch string) error
}

func (r *recorder) run(ctx context.Context, calls []combine.Call[string]) ([]combine.Answer[string], error) {
	var names []string
	answers := make([]combine.Answer[string], len(calls))
	for i, c := range calls {
		names = append(names, c.Item)
		answers[i].Value = strings.ToUpper(c.Item)
	}
	batch := strings.Join(names, "")
	r.mu.Lock()
	r.batches = append(r.batches, batch)
	r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(batch); err != nil {
			return nil, err
		}
	}
	select {
	case <-time.After(time.Second):
		return answers, nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, batch)
		return nil, ctx.Err()
	}
}

func (r *recorder) seen() (batches, ended []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.batches), slices.Clone(r.ended)
}

// begin calls Do for each item, in order, and returns where their answers will be.
func begin(ctx context.Context, c *combine.Combiner[string, string], items string) *sync.Map {
	var out sync.Map
	for _, item := range strings.Split(items, "") {
		go func() {
			got, err := c.Do(ctx, item)
			if err != nil {
				got = err.Error()
			}
			out.Store(item, got)
		}()
		synctest.Wait()
	}
	return &out
}

func list(m *sync.Map) string {
	var all []string
	m.Range(func(k, v any) bool {
		all = append(all, fmt.Sprintf("%s=%s", k, v))
		return true
	})
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestCalls(t *testing.T) {
	late := 5 * time.Second
	for _, tt := range []struct {
		name    string
		o       combine.Options[string, string]
		items   string
		fail    func(batch string) error
		batches []string
		answers string
	}{
		{"one that comes alone runs alone", combine.Options[string, string]{Patience: late}, "a", nil, []string{"a"}, "a=A"},
		{"those that come while a batch runs are the next", combine.Options[string, string]{Patience: late}, "abcd", nil,
			[]string{"a", "bcd"}, "a=A b=B c=C d=D"},
		{"batches have a most", combine.Options[string, string]{Patience: late, MaxCalls: 2}, "abcdef", nil,
			[]string{"a", "bc", "de", "f"}, "a=A b=B c=C d=D e=E f=F"},
		{"large items have a batch of their own", combine.Options[string, string]{Patience: late, MaxSize: 2, Size: func(s string) int {
			if s == "x" {
				return 3
			}
			return 1
		}}, "abxcde", nil, []string{"a", "b", "x", "cd", "e"}, "a=A b=B c=C d=D e=E x=X"},
		{"two batches at once", combine.Options[string, string]{Patience: late, Running: 2}, "abcd", nil, []string{"a", "b", "cd"}, "a=A b=B c=C d=D"},
		{"other keys have batches of their own", combine.Options[string, string]{Patience: late, Key: func(s string) string {
			return string("even odd"[5*(s[0]%2):][:3])
		}}, "abce", nil, []string{"a", "b", "ce"}, "a=A b=B c=C e=E"},
		{"a failing batch is split until the culprit is alone", combine.Options[string, string]{Patience: late}, "abcxe", func(b string) error {
			if strings.Contains(b, "x") {
				return io.EOF
			}
			return nil
		}, []string{"a", "bcxe", "bc", "xe", "x", "e"}, "a=A b=B c=C e=E x=EOF"},
		{"a panic is no other call's", combine.Options[string, string]{Patience: late}, "abx", func(b string) error {
			if b == "bx" {
				panic("at the disco")
			}
			return nil
		}, []string{"a", "bx", "b", "x"}, "a=A b=B x=X"},
		{"what is nobody's fault goes to all", combine.Options[string, string]{Patience: late}, "abc", func(b string) error {
			if b == "bc" {
				return fault.New(fault.Unavailable, "away")
			}
			return nil
		}, []string{"a", "bc"}, "a=A b=away c=away"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{fail: tt.fail}
				tt.o.Run = r.run
				got := begin(t.Context(), combine.New(tt.o), tt.items)
				time.Sleep(time.Minute)
				batches, _ := r.seen()
				if diff := cmp.Diff(tt.batches, batches); diff != "" {
					t.Errorf("batches: %s", diff)
				}
				if diff := cmp.Diff(tt.answers, list(got)); diff != "" {
					t.Errorf("answers: %s", diff)
				}
			})
		})
	}
}

func TestAPanicAloneIsAnError(t *testing.T) {
	c := combine.New(combine.Options[string, string]{Run: func(context.Context, []combine.Call[string]) ([]combine.Answer[string], error) {
		panic("at the disco")
	}})
	if _, err := c.Do(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "at the disco") {
		t.Errorf("got %v", err)
	}
}

func TestASlowBatchHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c := combine.New(combine.Options[string, string]{Run: r.run, Patience: 100 * time.Millisecond, MaxRunning: 3})
		got := begin(t.Context(), c, "ab")
		time.Sleep(50 * time.Millisecond)
		if batches, _ := r.seen(); len(batches) != 1 {
			t.Errorf("without patience: %v", batches)
		}
		time.Sleep(60 * time.Millisecond) // a has lost its patience: b runs beside it
		begin(t.Context(), c, "cd")
		time.Sleep(100 * time.Millisecond) // so has b
		begin(t.Context(), c, "ef")
		time.Sleep(100 * time.Millisecond) // three run: e and f wait for one to end
		batches, _ := r.seen()
		if diff := cmp.Diff([]string{"a", "b", "cd"}, batches); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Minute)
		batches, _ = r.seen()
		if diff := cmp.Diff([]string{"a", "b", "cd", "ef"}, batches); diff != "" {
			t.Error(diff)
		}
		if got := list(got); got != "a=A b=B" {
			t.Error(got)
		}
	})
}

func TestCallersThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			r    = &recorder{}
			c    = combine.New(combine.Options[string, string]{Run: r.run, Patience: time.Minute})
			stay = begin(t.Context(), c, "a")
		)
		ctx, leave := context.WithCancel(t.Context())
		gone := begin(ctx, c, "bc")
		leave()
		synctest.Wait()
		if got := list(gone); got != "b=context canceled c=context canceled" {
			t.Errorf("those who left before their batch: %s", got)
		}
		begin(t.Context(), c, "d")
		time.Sleep(1500 * time.Millisecond) // a is done, d runs

		ctx, leave = context.WithCancel(t.Context())
		gone = begin(ctx, c, "ef")
		half, leaveHalf := context.WithCancel(t.Context())
		begin(half, c, "g")
		time.Sleep(time.Second) // d is done, e, f and g run
		leaveHalf()
		synctest.Wait()
		if _, ended := r.seen(); len(ended) != 0 {
			t.Error("one who leaves ends the batch of others")
		}
		leave()
		synctest.Wait()
		_, ended := r.seen()
		if diff := cmp.Diff([]string{"efg"}, ended); diff != "" {
			t.Errorf("a batch that nobody waits for goes on: %s", diff)
		}
		if got := list(gone); got != "e=context canceled f=context canceled" {
			t.Error(got)
		}
		time.Sleep(time.Minute)
		batches, _ := r.seen()
		if diff := cmp.Diff([]string{"a", "d", "efg"}, batches); diff != "" {
			t.Error(diff)
		}
		if got := list(stay); got != "a=A" {
			t.Error(got)
		}
		if _, err := c.Do(ctx, "h"); !errors.Is(err, context.Canceled) {
			t.Errorf("who has left before: %v", err)
		}
	})
}

func TestAnswersThatNobodyTakesAreNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, lost := &recorder{}, make(chan string, 3)
		c := combine.New(combine.Options[string, string]{Run: r.run, Patience: time.Minute, Lost: func(ctx context.Context, item, value string) {
			lost <- fmt.Sprint(item, "=", value, " ", ctx.Err())
		}})
		begin(t.Context(), c, "a")
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		begin(t.Context(), c, "b")
		begin(ctx, c, "c")
		time.Sleep(1500 * time.Millisecond) // a is done, b and c run
		leave()
		time.Sleep(time.Minute)
		synctest.Wait()
		close(lost)
		var got []string
		for l := range lost {
			got = append(got, l)
		}
		if diff := cmp.Diff([]string{"c=C <nil>"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestManyCallers has the race detector look, and every answer be the caller's own.
func TestManyCallers(t *testing.T) {
	var calls, batches, left atomic.Int64
	c := combine.New(combine.Options[int, int]{
		Key: func(i int) string { return fmt.Sprint(i % 3) }, MaxCalls: 7, Running: 2, Patience: 100 * time.Microsecond,
		Run: func(_ context.Context, calls []combine.Call[int]) ([]combine.Answer[int], error) {
			batches.Add(1)
			answers := make([]combine.Answer[int], len(calls))
			for i, c := range calls {
				if c.Item%3 != calls[0].Item%3 {
					return nil, io.ErrNoProgress
				}
				if c.Item%50 == 0 {
					return nil, io.EOF
				}
				answers[i].Value = -c.Item
			}
			return answers, nil
		},
	})
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for i := n * 1000; i < n*1000+500; i++ {
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == 0 {
					go cancel()
				}
				got, err := c.Do(ctx, i)
				switch {
				case errors.Is(err, context.Canceled) && i%7 == 0:
					left.Add(1)
				case i%50 == 0 && errors.Is(err, io.EOF):
				case err != nil || got != -i:
					t.Errorf("%d: %d, %v", i, got, err)
				}
				cancel()
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls in %d batches, %d left", calls.Load(), batches.Load(), left.Load())
}
