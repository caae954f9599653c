package reseal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func things() reseal.Table {
	return reseal.Table{
		Name: "things", Columns: 2, Context: func(key []string) []byte { return []byte(strings.Join(key, "/")) },
		Page: pg.Statement{Name: "page", Text: `SELECT ARRAY[a, b], sealed FROM things
			WHERE (a, b) > (($1::text[])[1], ($1::text[])[2]) ORDER BY a, b LIMIT $2`},
		Swap: pg.Statement{Name: "swap", Text: `UPDATE things SET sealed = $3
			WHERE a = ($1::text[])[1] AND b = ($1::text[])[2] AND sealed = $2`},
	}
}

func ring(t *testing.T, ids ...string) *crypt.Ring {
	t.Helper()
	var keys []crypt.Key
	for _, id := range ids {
		keys = append(keys, crypt.Key{ID: id, Secret: []byte(strings.Repeat(id, 32))})
	}
	r, err := crypt.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill makes rows a/0 … of which every third is sealed with a key that nobody has.
func fill(t *testing.T, pool *pgxpool.Pool, rows int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "CREATE TABLE things (a text, b text, sealed bytea, PRIMARY KEY (a, b))"); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		r := ring(t, "1")
		if i%3 == 0 {
			r = ring(t, "x")
		}
		key := []string{"a", fmt.Sprintf("%04d", i)}
		sealed, err := r.Seal([]byte(key[1]), things().Context(key))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), "INSERT INTO things VALUES ($1, $2, $3)", key[0], key[1], sealed); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryPageIsSealedAgainAndWhatDoesNotOpenIsLeftAndNamed(t *testing.T) {
	pool := pgtest.Empty(t)
	fill(t, pool, 450)
	for _, want := range []reseal.Report{
		{Table: "things", Resealed: 300, Keys: map[string]int{"2": 300, "x": 150}},
		{Table: "things", Resealed: 0, Keys: map[string]int{"2": 300, "x": 150}}, // once more: nothing to do
	} {
		reports, err := reseal.Run(t.Context(), pool, ring(t, "2", "1"), true, things())
		if err != nil {
			t.Fatal(err)
		}
		got := reports[0]
		if len(got.Lost) != 150 || got.Lost[1][1] != "0003" {
			t.Errorf("lost %d: %v", len(got.Lost), got.Lost)
		}
		got.Lost = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	var sealed []byte
	if err := pool.QueryRow(t.Context(), "SELECT sealed FROM things WHERE b = '0449'").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if plain, err := ring(t, "2").Open(sealed, []byte("a/0449")); err != nil || string(plain) != "0449" {
		t.Errorf("%q %v", plain, err)
	}
}

func TestARunThatWasInterruptedGoesOn(t *testing.T) {
	pool := pgtest.Empty(t)
	fill(t, pool, 30)
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := things()
	opened := 0
	interrupted.Open = func(r *crypt.Ring, key []string, sealed []byte) ([]byte, error) {
		if opened++; opened == 15 {
			cancel()
		}
		return r.Open(sealed, interrupted.Context(key))
	}
	if _, err := reseal.Run(ctx, pool, ring(t, "2", "1"), true, interrupted); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	reports, err := reseal.Run(t.Context(), pool, ring(t, "2", "1"), true, things())
	if err != nil || reports[0].Keys["2"] != 20 || reports[0].Resealed == 0 || reports[0].Resealed >= 20 {
		t.Errorf("%+v, %v", reports, err)
	}
}

func TestARowThatChangesMeanwhileIsLeftToItsWriter(t *testing.T) {
	pool := pgtest.Empty(t)
	fill(t, pool, 3)
	now := ring(t, "2", "1")
	raced := things()
	raced.Open = func(r *crypt.Ring, key []string, sealed []byte) ([]byte, error) {
		fresh, err := now.Seal([]byte("newer"), things().Context(key))
		if err == nil {
			_, err = pool.Exec(t.Context(), "UPDATE things SET sealed = $2 WHERE b = $1", key[1], fresh)
		}
		if err != nil {
			t.Error(err)
		}
		return r.Open(sealed, things().Context(key))
	}
	reports, err := reseal.Run(t.Context(), pool, now, true, raced)
	if err != nil || reports[0].Resealed != 0 {
		t.Errorf("%+v, %v", reports, err)
	}
	var sealed []byte
	if err := pool.QueryRow(t.Context(), "SELECT sealed FROM things WHERE b = '0001'").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if plain, err := now.Open(sealed, []byte("a/0001")); err != nil || string(plain) != "newer" {
		t.Errorf("%q %v", plain, err)
	}
}

func TestKeysThatTheServerLacksAreNamed(t *testing.T) {
	pool := pgtest.Empty(t)
	fill(t, pool, 5)
	for name, c := range map[string]struct {
		ring *crypt.Ring
		want map[string][]string
	}{
		"both":    {ring(t, "2", "1", "x"), map[string][]string{}},
		"one":     {ring(t, "1"), map[string][]string{"x": {"things"}}},
		"neither": {ring(t, "2"), map[string][]string{"1": {"things"}, "x": {"things"}}},
	} {
		got, err := reseal.Unknown(t.Context(), pool, c.ring, things())
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}
