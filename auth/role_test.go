package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func anything([]string) error { return nil }

func TestRoles(t *testing.T) {
	a := newAuth(t, pgtest.DB(t))
	ctx := t.Context()
	in := func(scopes ...string) auth.RoleInput { return auth.RoleInput{Scopes: scopes, Description: "d"} }
	if _, err := a.CreateRole(ctx, "x", "one", in("b", "a")); err != nil {
		t.Fatal(err)
	}
	t.Run("creating again is fine with equal content only", func(t *testing.T) {
		got, err := a.CreateRole(ctx, "x", "one", in("a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "assume:one", "b"}, got.Expanded); diff != "" {
			t.Error(diff)
		}
		if _, err := a.CreateRole(ctx, "x", "one", in("a")); !errors.Is(err, fault.Conflict) {
			t.Errorf("with other scopes: %v", err)
		}
		if _, err := a.CreateRole(ctx, "x", "one", auth.RoleInput{Scopes: []string{"a", "b"}}); !errors.Is(err, fault.Conflict) {
			t.Errorf("with another description: %v", err)
		}
	})
	t.Run("an update asks about what the role did not expand to before", func(t *testing.T) {
		if _, err := a.CreateRole(ctx, "x", "two", in("assume:one", "c:*")); err != nil {
			t.Fatal(err)
		}
		var asked []string
		got, err := a.UpdateRole(ctx, "x", "two", in("a", "c:1", "d"), func(added []string) error { asked = added; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"d"}, asked); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a", "c:1", "d"}, got.Scopes); diff != "" {
			t.Error(diff)
		}
		refuse := func([]string) error { return fault.New(fault.Forbidden, "no") }
		if _, err := a.UpdateRole(ctx, "x", "two", in("e"), refuse); !errors.Is(err, fault.Forbidden) {
			t.Errorf("refused update: %v", err)
		}
		if _, err := a.UpdateRole(ctx, "x", "none", in("e"), anything); !errors.Is(err, fault.NotFound) {
			t.Errorf("update of nothing: %v", err)
		}
	})
	t.Run("a circle is refused with its chain", func(t *testing.T) {
		_, err := a.CreateRole(ctx, "x", "three", in("assume:two"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.UpdateRole(ctx, "x", "two", in("assume:three"), anything)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "assume:three -> assume:two") && !strings.Contains(fault.Message(err), "assume:two -> assume:three") {
			t.Error(err)
		}
	})
	t.Run("bad input is refused", func(t *testing.T) {
		for id, scopes := range map[string]string{"": "a", "x\n": "a", "x": "a**", "p*": "a<..>b<..>"} {
			if _, err := a.CreateRole(ctx, "x", id, in(scopes)); !errors.Is(err, fault.Invalid) {
				t.Errorf("role %q with %q: %v", id, scopes, err)
			}
		}
	})
	t.Run("deleting is final and may be repeated", func(t *testing.T) {
		for range 2 {
			if err := a.DeleteRole(ctx, "x", "three"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Role(ctx, "three"); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
	t.Run("the list is ordered and has pages", func(t *testing.T) {
		page, err := a.Roles(ctx, "one", 5)
		if err != nil || len(page) != 1 || page[0].ID != "two" {
			t.Errorf("%v, %v", page, err)
		}
		if all, err := a.Roles(ctx, "", 0); err != nil || len(all) != 2 {
			t.Errorf("%v, %v", all, err)
		}
	})
	t.Run("two halves of a circle made at once do not both get in", func(t *testing.T) {
		for round := range 10 {
			left, right := fmt.Sprintf("l%d", round), fmt.Sprintf("r%d", round)
			var errs [2]error
			var both sync.WaitGroup
			both.Go(func() { _, errs[0] = a.CreateRole(ctx, "x", left, in("assume:"+right)) })
			both.Go(func() { _, errs[1] = a.CreateRole(ctx, "x", right, in("assume:"+left)) })
			both.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("%v and %v", errs[0], errs[1])
			}
		}
	})
}

func TestAuditAndCleaning(t *testing.T) {
	pool := pgtest.DB(t)
	a := newAuth(t, pool)
	ctx := t.Context()
	create(t, a, "c")
	if _, _, err := a.ResetAccessToken(ctx, "ann", "c", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SetDisabled(ctx, "ann", "c", true); err != nil {
		t.Fatal(err)
	}
	if err := a.EnsureRole(ctx, "r", nil, ""); err != nil {
		t.Fatal(err)
	}
	history := func(t *testing.T) []string {
		list, err := a.EntityHistory(ctx, "client", "c", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, r := range list {
			lines = append(lines, r.ClientID+": "+r.Action)
		}
		return lines
	}
	t.Run("each change leaves a record, the newest first", func(t *testing.T) {
		want := []string{"ann: client disabled", "ann: access token reset", root.ClientID + ": client created"}
		if diff := cmp.Diff(want, history(t)); diff != "" {
			t.Error(diff)
		}
		page, err := a.ClientHistory(ctx, "ann", 0, 1)
		if err != nil || len(page) != 1 {
			t.Fatal(page, err)
		}
		if page, err = a.ClientHistory(ctx, "ann", page[0].ID, 10); err != nil || len(page) != 1 || page[0].Action != "access token reset" {
			t.Errorf("second page %v, %v", page, err)
		}
	})
	t.Run("cleaning removes who asked for it, an hour after expiry", func(t *testing.T) {
		for id, in := range map[string]auth.ClientInput{
			"old": {Expires: time.Now().Add(-2 * time.Hour), DeleteOnExpiration: true}, "recent": {Expires: time.Now().Add(-time.Minute), DeleteOnExpiration: true},
			"kept": {Expires: time.Now().Add(-2 * time.Hour)},
		} {
			if _, _, err := a.CreateClient(ctx, "x", id, in); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := pool.Exec(ctx, `UPDATE auth_audit SET created = now() - interval '31 days' WHERE entity_id = 'c'`); err != nil {
			t.Fatal(err)
		}
		if n, err := a.Prune(ctx); err != nil || n == 0 {
			t.Fatal(err)
		}
		list, err := a.Clients(ctx, "", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		if diff := cmp.Diff([]string{"c", "kept", "recent", root.ClientID}, ids); diff != "" {
			t.Error(diff)
		}
		if lines := history(t); len(lines) != 0 {
			t.Errorf("audit rows of a month ago are kept: %v", lines)
		}
	})
}
