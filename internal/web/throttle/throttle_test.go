package throttle

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// clock is moved by hand.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestBuckets(t *testing.T) {
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l := New(map[Kind]Rate{Anonymous: {2, 10}, Failures: {0.1, 3}}, c.now)
	taken := func(kind Kind, key string, tries int) (n int) {
		for range tries {
			if l.Take(kind, key) == nil {
				n++
			}
		}
		return n
	}
	t.Run("a flood gets its burst, and leaves others theirs", func(t *testing.T) {
		if n := taken(Anonymous, "a", 1000); n != 10 {
			t.Errorf("%d, want the burst", n)
		}
		if n := taken(Anonymous, "b", 10); n != 10 {
			t.Errorf("somebody else got %d", n)
		}
		if n := l.Refused()[Anonymous]; n != 990 {
			t.Errorf("%d refusals are counted, want 990", n)
		}
	})
	t.Run("after a while there is more", func(t *testing.T) {
		c.t = c.t.Add(3 * time.Second)
		if n := taken(Anonymous, "a", 100); n != 6 {
			t.Errorf("%d, want 2 a second", n)
		}
	})
	t.Run("a refusal says when to come again", func(t *testing.T) {
		taken(Failures, "a", 3)
		err := l.Take(Failures, "a")
		if !errors.Is(err, fault.Limited) || Seconds(fmt.Errorf("wrapped: %w", err)) != 10 {
			t.Errorf("%v, %d s", err, Seconds(err))
		}
		c.t = c.t.Add(10 * time.Second)
		if err := l.Spent(Failures, "a"); err != nil {
			t.Errorf("when that time has come: %v", err)
		}
		if err := l.Take(Failures, "a"); err != nil {
			t.Errorf("looking takes nothing: %v", err)
		}
		if err := l.Spent(Failures, "a"); !errors.Is(err, fault.Limited) {
			t.Errorf("%v", err)
		}
	})
	t.Run("what has no rate, and this machine, has no limit", func(t *testing.T) {
		if n := taken(Client, "a", 1000) + taken(Anonymous, "", 1000); n != 2000 {
			t.Errorf("%d of 2000", n)
		}
		var none *Limits
		if err := none.Take(Client, "a"); err != nil || none.Spent(Client, "a") != nil {
			t.Error(err)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	l := New(map[Kind]Rate{Anonymous: {0.001, 1}}, time.Now)
	for i := range 3 * maxKeys {
		if err := l.Take(Anonymous, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if l.Take(Anonymous, "flood") == nil && i > 0 {
			t.Fatalf("who asks all the time was forgotten after %d others", i)
		}
	}
	table := l.tables[Anonymous]
	if n := len(table.young) + len(table.old); n > 2*maxKeys {
		t.Errorf("%d keys are kept", n)
	}
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:443": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "[::ffff:192.0.2.7]:1": "192.0.2.7",
		"127.0.0.1:5": "", "[::1]:5": "", "127.9.9.9:1": "", "[fe80::1%eth0]:1": "fe80::/64", "@": "@", "192.0.2.7": "192.0.2.7",
	} {
		if got := Address(remote); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	rates, err := Parse(" anonymous=0.5/20  client=off ")
	if err != nil || rates[Anonymous] != (Rate{0.5, 20}) || rates[Client] != (Rate{}) || rates[Failures] != Defaults()[Failures] {
		t.Errorf("%v, %v", rates, err)
	}
	for _, bad := range []string{"anonymous", "other=1/1", "client=1", "client=0/5", "client=-1/5", "client=NaN/5", "client=Inf/5", "client=1/0", "client=1/x", "=1/1"} {
		if _, err := Parse(bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("anonymous=200/2000 client=off")
	f.Fuzz(func(t *testing.T, text string) {
		rates, err := Parse(text)
		for kind, r := range rates {
			if err == nil && (math.IsNaN(r.PerSecond) || r.PerSecond < 0 || r.Burst < 0) {
				t.Errorf("%s: %v", kind, r)
			}
		}
	})
}
