package secrets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/secrets"
)

// room is the room with its trail kept in a table of the test's, within the transaction as auth's is.
type room struct {
	*secrets.Secrets
	*testing.T
	pool *pgxpool.Pool
}

func ring(t *testing.T, fills ...byte) *crypt.Ring {
	t.Helper()
	var keys []crypt.Key
	for _, fill := range fills {
		keys = append(keys, crypt.Key{Secret: bytes.Repeat([]byte{fill}, crypt.KeySize)})
	}
	r, err := crypt.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T) room {
	t.Helper()
	pool := pgtest.DB(t)
	if _, err := pool.Exec(t.Context(), "CREATE TABLE trail (id serial, deed text)"); err != nil {
		t.Fatal(err)
	}
	return room{with(t, pool, ring(t, 1)), t, pool}
}

func with(t *testing.T, pool *pgxpool.Pool, ring *crypt.Ring) *secrets.Secrets {
	return secrets.New(secrets.Deps{
		Pool: pool, Ring: ring, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Audit: func(ctx context.Context, tx pgx.Tx, name, clientID, action string) error {
			if clientID == "unwritable" {
				return errors.New("the trail is full")
			}
			_, err := tx.Exec(ctx, "INSERT INTO trail (deed) VALUES ($1)", clientID+" "+action+" "+name)
			return err
		},
	})
}

func (r room) trail() []string {
	r.Helper()
	rows, err := r.pool.Query(r.Context(), "WITH gone AS (DELETE FROM trail RETURNING id, deed) SELECT deed FROM gone ORDER BY id")
	if err != nil {
		r.Fatal(err)
	}
	deeds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		r.Fatal(err)
	}
	return deeds
}

func (r room) set(name, value string, lasts time.Duration) {
	r.Helper()
	err := r.Set(r.Context(), "me", name, secrets.Secret{Value: json.RawMessage(value), Expires: time.Now().Add(lasts)})
	if err != nil {
		r.Fatal(err)
	}
}

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), secrets.Statements()...) }

func TestASecretIsKeptAsItIsUntilItExpires(t *testing.T) {
	r, ctx := open(t), t.Context()
	const value = `{"key": "hunter2", "n": 1.50, "nested": {"ü": [null]}}`
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	if err := r.Set(ctx, "me", "project/a/b", secrets.Secret{Value: json.RawMessage(value), Expires: until}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Get(ctx, "you", "project/a/b")
	if err != nil || string(got.Value) != value || !got.Expires.Equal(until) {
		t.Errorf("%s until %s, %v", got.Value, got.Expires, err)
	}
	r.set("project/a/b", `{}`, time.Hour)
	r.set("other", `{"old": true}`, -time.Second)
	if _, err := r.Get(ctx, "you", "other"); !errors.Is(err, fault.NotFound) {
		t.Errorf("an expired one: %v", err)
	}
	if names, err := r.List(ctx, "", 10); err != nil || !cmp.Equal(names, []string{"project/a/b"}) {
		t.Errorf("%v, %v", names, err)
	}
	r.set("other", `{"new": true}`, time.Hour)
	for range 2 { // the second time there is none
		if err := r.Remove(ctx, "me", "project/a/b"); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Get(ctx, "you", "project/a/b"); !errors.Is(err, fault.NotFound) {
		t.Errorf("a removed one: %v", err)
	}
	r.set("brief", `{}`, -time.Second)
	if n, err := r.Prune(ctx); n != 1 || err != nil {
		t.Errorf("%d pruned, %v", n, err)
	}
	want := []string{
		"me created project/a/b", "you read project/a/b", "me updated project/a/b", "me created other",
		"static/taskcluster/secrets expired other", "me created other", "me deleted project/a/b",
		"me created brief", "static/taskcluster/secrets expired brief",
	}
	if diff := cmp.Diff(want, r.trail()); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsReadOrChangedThatCannotBeAudited(t *testing.T) {
	r, ctx := open(t), t.Context()
	r.set("a", `{"v": 1}`, time.Hour)
	for name, deed := range map[string]func() error{
		"get":    func() error { _, err := r.Get(ctx, "unwritable", "a"); return err },
		"remove": func() error { return r.Remove(ctx, "unwritable", "a") },
		"set": func() error {
			return r.Set(ctx, "unwritable", "a", secrets.Secret{Value: json.RawMessage(`{"v": 2}`), Expires: time.Now().Add(time.Hour)})
		},
	} {
		if err := deed(); err == nil || !strings.Contains(err.Error(), "the trail is full") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := r.Get(ctx, "you", "a"); err != nil || string(got.Value) != `{"v": 1}` {
		t.Errorf("%s, %v", got.Value, err)
	}
}

// The alarm is raised before the reader has the secret; who reads in vain raises none.
func TestNobodyReadsWithoutTheAlarm(t *testing.T) {
	r, ctx := open(t), t.Context()
	r.set("a", `{"v": 1}`, time.Hour)
	var raised []string
	full := errors.New("the outbox is full")
	r.Alarm = func(_ context.Context, by secrets.Reader, name string) error {
		raised = append(raised, by.ClientID+" of "+by.Issuer+" reads "+name)
		if by.ClientID == "unlucky" {
			return full
		}
		return nil
	}
	if got, err := r.Read(ctx, secrets.Reader{ClientID: "you", Issuer: "them"}, "a"); err != nil || string(got.Value) != `{"v": 1}` {
		t.Errorf("%s, %v", got.Value, err)
	}
	if got, err := r.Get(ctx, "unlucky", "a"); !errors.Is(err, full) || got.Value != nil {
		t.Errorf("%s, %v", got.Value, err)
	}
	if _, err := r.Get(ctx, "you", "none"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"you of them reads a", "unlucky of  reads a"}, raised); diff != "" {
		t.Error(diff)
	}
}

func TestTheDatabaseShowsNoValueAndAMovedOneDoesNotOpen(t *testing.T) {
	r, ctx := open(t), t.Context()
	r.set("mine", `{"password": "hunter2"}`, time.Hour)
	r.set("yours", `{"password": "swordfish"}`, time.Hour)
	var row string
	if err := r.pool.QueryRow(ctx, "SELECT encode(sealed, 'escape') || s::text FROM secrets s WHERE name = 'mine'").Scan(&row); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(row, "hunter2") || strings.Contains(row, "password") {
		t.Errorf("the row shows it: %s", row)
	}
	if _, err := r.pool.Exec(ctx, "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'mine') WHERE name = 'yours'"); err != nil {
		t.Fatal(err)
	}
	got, err := r.Get(ctx, "you", "yours")
	if !errors.Is(err, crypt.ErrSealed) || got.Value != nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s, %v", got.Value, err)
	}
}

func TestAValueThatIsNoObjectIsRefusedUnrepeated(t *testing.T) {
	r := open(t)
	for _, value := range []string{`"hunter2"`, `["hunter2"]`, `null`, `{"hunter2"`, ``} {
		err := r.Set(t.Context(), "me", "a", secrets.Secret{Value: json.RawMessage(value), Expires: time.Now().Add(time.Hour)})
		if !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("n", secrets.MaxName+1)} {
		err := r.Set(t.Context(), "me", name, secrets.Secret{Value: json.RawMessage(`{}`), Expires: time.Now().Add(time.Hour)})
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("a name of %d: %v", len(name), err)
		}
	}
	if trail := r.trail(); len(trail) != 0 {
		t.Error(trail)
	}
}

func TestNamesAreListedInPages(t *testing.T) {
	r := open(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("n/%d", i)
		want = append(want, name)
		r.set(name, `{}`, time.Hour)
	}
	var got []string
	for after := ""; ; {
		page, err := r.List(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < 3 {
			break
		}
		after = page[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSecretsOutliveTheirKey(t *testing.T) {
	r, ctx := open(t), t.Context()
	for i := range 250 {
		r.set(fmt.Sprintf("%03d", i), fmt.Sprintf(`{"v": %d}`, i), time.Hour)
	}
	reports, err := reseal.Run(ctx, r.pool, ring(t, 2, 1), true, secrets.Sealed())
	id := ring(t, 2).CurrentID()
	if diff := cmp.Diff([]reseal.Report{{Table: "secrets", Resealed: 250, Keys: map[string]int{id: 250}}}, reports); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	got, err := with(t, r.pool, ring(t, 2)).Get(ctx, "me", "249")
	if err != nil || string(got.Value) != `{"v": 249}` {
		t.Errorf("%s, %v", got.Value, err)
	}
	if _, err := r.Get(ctx, "me", "249"); !errors.Is(err, crypt.ErrSealed) {
		t.Errorf("with the old key alone: %v", err)
	}
}
