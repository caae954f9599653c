// Package providertest holds what every provider that makes workers must do: Run is a suite that each type
// passes, with a real part behind it or a double of the cloud's endpoint.
package providertest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/pools/provider"
)

// Case is a provider to be held to the suite.
type Case struct {
	Scaler provider.Scaler
	Config json.RawMessage // a launch config that works
	Bad    json.RawMessage // one that the provider refuses
	// Proof is what a worker has to show.
	Proof func(t *testing.T, i provider.Instance) json.RawMessage
	// Settle lets pass what the provider needs before an instance that was stopped is gone; nil: nothing.
	Settle func()
}

const (
	rootURL = "https://tc.example.com"
	pool    = "proj/work"
	limit   = 30 * time.Second
)

func launchOf(key string, config json.RawMessage) provider.Launch {
	return provider.Launch{Key: key, WorkerPoolID: pool, ProviderID: "prov", ConfigID: "lc-1", Config: config, Owner: "ada@example.com", RootURL: rootURL, Capacity: 1}
}

// Run holds a provider to the suite.
func Run(t *testing.T, c Case) {
	t.Helper()
	s := suite{t, c}
	key, other := slug.Nice(), slug.Nice()
	first, second := s.launch(key), s.launch(other)
	t.Cleanup(func() { s.stop(first); s.stop(second) })

	t.Run("the same launch again is the same worker", func(t *testing.T) {
		again := s.launch(key)
		if again.Group != first.Group || again.ID != first.ID || again.Key != key {
			t.Errorf("%s/%s of %s, then %s/%s of %s", first.Group, first.ID, key, again.Group, again.ID, again.Key)
		}
		if second.ID == first.ID {
			t.Error("another launch is the same worker")
		}
		if n := s.listed(key); n != 1 {
			t.Errorf("%d workers of one launch", n)
		}
	})
	t.Run("what it does not like it refuses for good", func(t *testing.T) {
		_, err := c.Scaler.Launch(t.Context(), launchOf(slug.Nice(), c.Bad))
		if !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%v", err)
		}
	})
	t.Run("it tells how workers are, in order, and knows nothing of others", func(t *testing.T) {
		strange := first
		strange.Key, strange.ID = slug.Nice(), strangeID(first.ID)
		got, err := c.Scaler.Look(t.Context(), []provider.Instance{strange, first, second})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 3 || got[0] != provider.Gone || got[1] == provider.Gone || got[2] == provider.Gone {
			t.Errorf("%v", got)
		}
	})
	t.Run("who is a worker can show it, and nobody else", func(t *testing.T) {
		verify := func(i provider.Instance, content json.RawMessage) error {
			return c.Scaler.Verify(t.Context(), i, provider.Proof{WorkerPoolID: pool, RootURL: rootURL, Content: content})
		}
		proof := c.Proof(t, first)
		if err := verify(first, proof); err != nil {
			t.Errorf("its own proof: %v", err)
		}
		if verify(second, proof) == nil {
			t.Error("another's proof is taken")
		}
		for _, bad := range []string{`{}`, `null`, `7`, `{"token": ""}`, `{"token": "a.b.c"}`, `{"document": "{}", "signature": "AAAA"}`, `{"document": "AAAA"}`} {
			if verify(first, json.RawMessage(bad)) == nil {
				t.Errorf("%s is taken", bad)
			}
		}
	})
	t.Run("one that is stopped is gone, and the other is not", func(t *testing.T) {
		s.stop(first)
		s.until("the worker to be gone", func() bool { return s.look(first) == provider.Gone })
		s.stop(first)
		if h := s.look(second); h == provider.Gone {
			t.Error("the other is gone too")
		}
		if n := s.listed(key); n != 0 {
			t.Error("it is listed still")
		}
		if n := s.listed(other); n != 1 {
			t.Errorf("the other is listed %d times", n)
		}
	})
}

// strangeID is another id of the same form.
func strangeID(id string) string {
	b := []byte(id)
	for i, c := range b {
		if c >= '0' && c <= '9' {
			b[i] = '0' + '9' - c
		}
	}
	if string(b) == id {
		return id + "0"
	}
	return string(b)
}

type suite struct {
	t *testing.T
	Case
}

func (s suite) launch(key string) provider.Instance {
	s.t.Helper()
	i, err := s.Scaler.Launch(s.t.Context(), launchOf(key, s.Config))
	if err != nil {
		s.t.Fatalf("launch: %v", err)
	}
	return i
}

func (s suite) stop(i provider.Instance) {
	s.t.Helper()
	if err := s.Scaler.Stop(s.t.Context(), i); err != nil && s.t.Context().Err() == nil {
		s.t.Errorf("stop: %v", err)
	}
	if s.Settle != nil {
		s.Settle()
	}
}

func (s suite) look(i provider.Instance) provider.Health {
	s.t.Helper()
	got, err := s.Scaler.Look(s.t.Context(), []provider.Instance{i})
	if err != nil || len(got) != 1 {
		s.t.Fatalf("look: %v, %v", got, err)
	}
	return got[0]
}

func (s suite) listed(key string) int {
	s.t.Helper()
	list, err := s.Scaler.List(s.t.Context(), []json.RawMessage{s.Config})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for _, f := range list {
		if f.Key != key {
			continue
		}
		if n++; f.Created.IsZero() || time.Since(f.Created) > time.Hour {
			s.t.Errorf("it was made at %v", f.Created)
		}
	}
	return n
}

func (s suite) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %s for %s", limit, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
