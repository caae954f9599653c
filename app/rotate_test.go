package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/chore"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/keyservice"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/secrets"
)

// text is a log that can be read while a server writes.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

// The key of a whole deployment is changed while it serves; secrets, hooks and access tokens outlive it.
func TestTheKeyOfADeploymentIsChangedWhileItServes(t *testing.T) {
	ctx, dir, database := t.Context(), t.TempDir(), pgtest.URL(t)
	base, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	key := func() []byte { k := make([]byte, crypt.KeySize); rand.Read(k); return k }
	old, fresh, other := base.EncryptionKey, key(), key()
	start := func(current []byte, retired ...[]byte) (*App, *text, func()) {
		t.Helper()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, log := base, &text{}
		s.EncryptionKey, s.RetiredKeys = current, retired
		a, err := Start(ctx, Config{
			RootURL: "http://" + listener.Addr().String(), Listener: listener, DatabaseURL: database,
			DataDir: filepath.Join(dir, "objects"), Secrets: s, Log: slog.New(slog.NewTextHandler(log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		stop := func() {
			once.Do(func() {
				if err := a.Stop(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
			})
		}
		t.Cleanup(stop)
		return a, log, stop
	}
	set := func(a *App, name string) {
		t.Helper()
		value := secrets.Secret{Value: json.RawMessage(`{"for": "` + name + `"}`), Expires: time.Now().Add(time.Hour)}
		if err := a.secrets.Set(ctx, "me", name, value); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(a *App, names ...string) {
		t.Helper()
		for _, name := range names {
			if got, err := a.secrets.Get(ctx, "me", name); err != nil || string(got.Value) != `{"for": "`+name+`"}` {
				t.Errorf("%s: %s, %v", name, got.Value, err)
			}
		}
	}

	first, _, stopFirst := start(old)
	set(first, "a")
	if err := first.hooks.Ensure(ctx, RootClient, testHook("kept")); err != nil {
		t.Fatal(err)
	}
	token, err := first.hooks.Token(ctx, "project-a", "kept")
	if err != nil {
		t.Fatal(err)
	}
	// One server knows the new key and does not write with it yet, another does already.
	second, _, stopSecond := start(old, fresh)
	third, log, stopThird := start(fresh, old)
	stopFirst()
	set(second, "b")
	set(third, "c")
	reads(second, "a", "b", "c")
	reads(third, "a", "b", "c")
	reports, err := reseal.Run(ctx, third.pool, third.ring, true, Sealed()...)
	if err != nil {
		t.Fatal(err)
	}
	resealed := 0
	for _, r := range reports {
		if resealed += r.Resealed; len(r.Lost) > 0 || len(r.Keys) > 1 {
			t.Errorf("%+v", r)
		}
	}
	if resealed < 5 { // two secrets, the hook's token and task, static clients
		t.Errorf("only %d values were sealed again: %+v", resealed, reports)
	}
	reads(second, "a", "b", "c")
	stopSecond()
	stopThird()
	if strings.Contains(log.String(), "has not") {
		t.Errorf("%s", log)
	}

	last, log, stopLast := start(fresh)
	reads(last, "a", "b", "c")
	if got, err := last.hooks.Token(ctx, "project-a", "kept"); err != nil || got != token {
		t.Errorf("the hook's token is another, or lost: %v", err)
	}
	if strings.Contains(log.String(), "has not") {
		t.Errorf("%s", log)
	}
	stopLast()

	stranger, log, _ := start(other)
	if !strings.Contains(log.String(), "has not") || !strings.Contains(log.String(), crypt.Fingerprint(fresh)) {
		t.Errorf("the log does not name the key that is missing: %s", log)
	}
	if _, err := stranger.secrets.Get(ctx, "me", "a"); !errors.Is(err, crypt.ErrSealed) {
		t.Errorf("%v", err)
	}
}

// A server needs its key service when it starts; later it tells when that fails, and goes on.
func TestAKeyServiceThatFailsIsToldOf(t *testing.T) {
	ctx := t.Context()
	vault := keyservicetest.StartVault(t)
	t.Setenv(MasterKeySetting, "transit:///treeline?deployment=ci")
	keeper, err := keyservice.Open(ctx, "transit:///treeline?deployment=ci")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := crypt.FormatKey(ctx, bytes.Repeat([]byte("k"), crypt.KeySize), keeper)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(KeysSetting, wrapped)
	s, err := LoadSecrets(filepath.Join(t.TempDir(), "secrets.json"))
	if err == nil {
		_, err = s.LoadKeys(ctx)
	}
	if err != nil || s.Recheck == nil {
		t.Fatalf("nothing is looked at again, %v", err)
	}
	log, rounds := &text{}, make(chan error)
	a := &App{config: Config{Secrets: s, KeysEvery: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))}}
	a.watchKeys(chore.With(ctx, func(ctx context.Context, r chore.Round) {
		select {
		case rounds <- r.Err:
		case <-ctx.Done():
		}
	}))
	for range 2 {
		if err := <-rounds; err != nil {
			t.Errorf("while it works: %v", err)
		}
	}
	vault.Set(func(v *keyservicetest.Double) { v.Down = true })
	for err = <-rounds; err == nil; err = <-rounds { // one may be under way
	}
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("while it is down: %v", err)
	}
	<-rounds // so the one before was logged
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "would not start again") {
		t.Errorf("the log does not tell: %s", log)
	}
	if _, err := s.LoadKeys(ctx); !keyservice.Failed(err) {
		t.Errorf("a start while it is down: %v", err)
	}
}
