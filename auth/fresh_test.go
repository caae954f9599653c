package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// A change from a browser is made, and told of with the sign-in, or refused as a whole.
func TestAChangeTakesAFreshSignIn(t *testing.T) {
	pool := pgtest.DB(t)
	a := newAuth(t, pool)
	proved := time.Now().Add(-90 * time.Minute).UTC().Truncate(time.Millisecond)
	from := func(stale bool) (context.Context, *auth.SignIn) {
		s := &auth.SignIn{Proved: proved, Within: time.Hour, Stale: stale}
		return auth.From(t.Context(), s), s
	}
	newest := func() auth.Record {
		t.Helper()
		list, err := a.AuditLog(t.Context(), auth.AuditQuery{Limit: 1})
		if err != nil || len(list) == 0 {
			t.Fatalf("%v, %v", list, err)
		}
		return list[0]
	}
	t.Run("a stale one changes nothing", func(t *testing.T) {
		ctx, s := from(true)
		_, err := a.CreateRole(ctx, "ann", "one", auth.RoleInput{Scopes: []string{"a"}})
		stale, ok := errors.AsType[*auth.StaleSignIn](err)
		if !ok || !errors.Is(err, fault.Forbidden) || !stale.Proved.Equal(proved) || stale.Within != time.Hour {
			t.Errorf("got %v", err)
		}
		if want := "Sign in again to change this: it takes a sign-in of the last 1 h, and yours is of " + proved.Format("2 Jan 15:04") + " UTC."; fault.Message(err) != want {
			t.Errorf("it says %q", fault.Message(err))
		}
		if s.Refused() == nil {
			t.Error("the request does not know of it")
		}
		if _, err := a.Role(t.Context(), "one"); !errors.Is(err, fault.NotFound) {
			t.Errorf("the role is there: %v", err)
		}
	})
	t.Run("a fresh one is in the record", func(t *testing.T) {
		ctx, s := from(false)
		if _, err := a.CreateRole(ctx, "ann", "one", auth.RoleInput{Scopes: []string{"a"}}); err != nil || s.Refused() != nil {
			t.Fatalf("%v, %v", err, s.Refused())
		}
		if r := newest(); r.EntityID != "one" || !r.Proved.Equal(proved) {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("what comes from no browser is not asked", func(t *testing.T) {
		if err := a.DeleteRole(t.Context(), "ann", "one"); err != nil {
			t.Fatal(err)
		}
		if r := newest(); r.Action != "deleted" || !r.Proved.IsZero() {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("nor is everyday work on tasks", func(t *testing.T) {
		ctx, s := from(true)
		err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			return auth.Audit(ctx, tx, auth.Record{EntityType: "task", EntityID: "x", ClientID: "ann", Action: "priority changed", After: json.RawMessage(`{"priority":"high"}`)})
		})
		if err != nil || s.Refused() != nil {
			t.Errorf("%v, %v", err, s.Refused())
		}
	})
}
