package index_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// A task's author writes the data of its entries; whatever it is, the transaction that resolves the
// task must go on.
func TestDataThatTheDatabaseRefusesIsRejectedBefore(t *testing.T) {
	pool := pgtest.DB(t)
	ix := index.New(pool)
	for data, good := range map[string]bool{
		`{}`: true,
		`{"true": [true, 1e5, -2E+9999, 1e-9999], "é": "\\u0000 \n \" \u00e9 \ud83d\ude00"}`: true,
		`{"a": "\u0000"}`:             false,
		`{"\u0000": 1}`:               false,
		`{"a": "\\\u0000"}`:           false,
		`{"a": "\ud83d"}`:             false,
		`{"a": "\ud83d\n"}`:           false,
		`{"a": "\ude00\ud83d"}`:       false,
		"{\"a\": \"\xff\"}":           false,
		`{"a": [1e200000]}`:           false,
		`{"a": -1.5E-99999}`:          false,
		`{"a": "1e200000", "b": "e"}`: true,
	} {
		var rejected []index.Rejected
		err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) (err error) {
			e := entry("a.b", first, 0)
			e.Data = json.RawMessage(data)
			rejected, err = ix.WriteCompleted(ctx, tx, []index.Entry{e})
			return err
		})
		if err != nil || (len(rejected) == 0) != good {
			t.Errorf("%s: rejected %v, %v", data, rejected, err)
		}
	}
}

func TestAnEntryThatExpiresWithTheCalendarDoesNotBreakTheListing(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	e := entry("a.b", first, 0)
	e.Expires = time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)
	if _, err := ix.Insert(t.Context(), e); err == nil {
		t.Error("it was taken")
	}
	e.Expires = time.Date(9998, 12, 31, 23, 0, 0, 0, time.UTC)
	if _, err := ix.Insert(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	list, err := ix.ListNamespaces(t.Context(), "", "", 10)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if _, err := json.Marshal(list); err != nil {
		t.Error(err)
	}
}
