package app

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/localgit"
)

func TestAStartLeavesRolesAsTheOperatorMadeThem(t *testing.T) {
	who, err := auth.New(t.Context(), pgtest.DB(t), auth.Config{EncryptionKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a := &App{auth: who, repos: map[string]*localgit.Repo{"mine": nil}}
	ids := []string{"anonymous", "repo:local/mine:*", "repo:local/mine:action:*"}
	if err := a.bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	allow := func([]string) error { return nil }
	for _, id := range ids {
		role, err := who.Role(t.Context(), id)
		if err != nil || len(role.Scopes) == 0 {
			t.Fatalf("%s is not made: %v", id, err)
		}
		if _, err := who.UpdateRole(t.Context(), "operator", id, auth.RoleInput{Scopes: []string{"little"}}, allow); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		role, err := who.Role(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"little"}, role.Scopes); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}
