package auth_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// TestEveryChangeIsInTheFeed makes each change once and reads the feed.
func TestEveryChangeIsInTheFeed(t *testing.T) {
	pool := pgtest.DB(t)
	feed := event.NewFeed(pool, slog.New(slog.DiscardHandler))
	woken := 0
	cfg := config()
	cfg.Wake = func() { woken++ }
	a, err := auth.New(t.Context(), pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	input := auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: []string{"a"}}
	role := auth.RoleInput{Scopes: []string{"a"}}
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	anyScopes := func([]string) error { return nil }

	_, _, err = a.CreateClient(ctx, "x", "team/one", input)
	do("create", err)
	_, err = a.UpdateClient(ctx, "x", "team/one", input, anyScopes)
	do("update", err)
	_, _, err = a.ResetAccessToken(ctx, "x", "team/one", 0)
	do("reset", err)
	_, err = a.SetDisabled(ctx, "x", "team/one", true)
	do("disable", err)
	do("delete", a.DeleteClient(ctx, "x", "team/one"))
	do("delete what is gone", a.DeleteClient(ctx, "x", "team/one"))
	_, _, err = a.CreateClient(ctx, "x", "old", auth.ClientInput{Expires: time.Now().Add(-2 * time.Hour), DeleteOnExpiration: true})
	do("create an expired one", err)
	_, err = a.Prune(ctx)
	do("prune", err)

	_, err = a.CreateRole(ctx, "x", "r:*", role)
	do("create role", err)
	_, err = a.CreateRole(ctx, "x", "r:*", role)
	do("create the same role", err)
	_, err = a.UpdateRole(ctx, "x", "r:*", auth.RoleInput{Scopes: []string{"b"}}, anyScopes)
	do("update role", err)
	do("ensure a role", a.EnsureRole(ctx, "s", []string{"a"}, ""))
	do("delete role", a.DeleteRole(ctx, "x", "r:*"))
	do("delete a role that is gone", a.DeleteRole(ctx, "x", "r:*"))

	refused := errors.New("no")
	if _, err := a.UpdateRole(ctx, "x", "s", auth.RoleInput{Scopes: []string{"c"}}, func([]string) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("a change that is not allowed: %v", err)
	}
	if _, err := a.CreateRole(ctx, "x", "s", auth.RoleInput{Scopes: []string{"assume:s"}}); err == nil || errors.Is(err, fault.Internal) {
		t.Errorf("a change that is refused: %v", err)
	}
	_, err = auth.New(ctx, pool, auth.Config{Log: cfg.Log, EncryptionKey: key})
	do("start without the static client", err)

	if woken == 0 {
		t.Error("the feed was not woken")
	}
	feed.Start(ctx)
	defer feed.Stop()
	want := []string{
		`client-created {"version":1,"clientId":"static/test/root"}`,
		`client-created {"version":1,"clientId":"team/one"}`, `client-updated {"version":1,"clientId":"team/one"}`,
		`client-updated {"version":1,"clientId":"team/one"}`, `client-updated {"version":1,"clientId":"team/one"}`,
		`client-deleted {"version":1,"clientId":"team/one"}`,
		`client-created {"version":1,"clientId":"old"}`, `client-deleted {"version":1,"clientId":"old"}`,
		`role-created {"version":1,"roleId":"r:*"}`, `role-updated {"version":1,"roleId":"r:*"}`, `role-created {"version":1,"roleId":"s"}`,
		`role-deleted {"version":1,"roleId":"r:*"}`,
		`client-deleted {"version":1,"clientId":"static/test/root"}`,
	}
	first := int64(0)
	var got []string
	for e, err := range feed.Subscribe(ctx, event.Filter{After: &first}) {
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(e.Payload) || e.Topic != "" || e.TaskID != "" {
			t.Errorf("event %+v", e)
		}
		if got = append(got, e.Kind+" "+string(e.Payload)); len(got) == len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
