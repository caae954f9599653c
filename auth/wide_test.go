package auth

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestTheWidestClientsAndRoles(t *testing.T) {
	pool := pgtest.DB(t)
	if _, err := pool.Exec(t.Context(), `
INSERT INTO auth_clients (client_id, description, encrypted_token, scopes, expires, disabled) VALUES
	('a', '', '', '{x,*}', now() + interval '1 hour', false), ('b', '', '', '{*}', now() - interval '1 hour', false),
	('c', '', '', '{*}', now() + interval '1 hour', true), ('d', '', '', '{queue:*}', now() + interval '1 hour', false),
	('static/e', '', '', '{*}', now() + interval '1 hour', false)`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `INSERT INTO auth_roles (role_id, scopes, description) VALUES ('r', '{*}', ''), ('s', '{secrets:*}', '')`); err != nil {
		t.Fatal(err)
	}
	got, err := Widest(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	want := []Wide{{ID: "a"}, {ID: "static/e", Static: true}, {ID: "r", Role: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
