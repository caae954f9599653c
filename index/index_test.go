package index_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

const (
	first  = "fN1SbArXTPSVFNUvaOlinQ"
	second = "AgVWTrwETrurlUOjCZZXOQ"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), index.Statements()...) }

// later is a time that lies ahead, as the database keeps it.
func later(d time.Duration) time.Time { return time.Now().UTC().Add(d).Truncate(time.Millisecond) }

func entry(path, id string, rank float64) index.Entry {
	return index.Entry{Namespace: path, TaskID: id, Rank: rank, Data: json.RawMessage(`{"a": 1}`), Expires: later(time.Hour)}
}

func TestHighestRankWins(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	steps := []struct {
		id   string
		rank float64
		want string
	}{{first, 5, first}, {second, 4, first}, {second, 5, second}, {first, 1700000000000, first}, {second, 6, first}}
	for _, s := range steps {
		got, err := ix.Insert(t.Context(), entry("a.b.c", s.id, s.rank))
		if err != nil || got.TaskID != s.want {
			t.Errorf("after %s with rank %v: %+v, %v", s.id, s.rank, got, err)
		}
		if got, err = ix.Find(t.Context(), "a.b.c"); err != nil || got.TaskID != s.want {
			t.Errorf("found %+v, %v", got, err)
		}
	}
}

func TestAnExpiredEntryIsNone(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	old := entry("a.b", first, 10)
	old.Expires = later(-time.Minute)
	if got, err := ix.Insert(t.Context(), old); err != nil || got.TaskID != first {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := ix.Find(t.Context(), "a.b"); !errors.Is(err, fault.NotFound) {
		t.Errorf("Find: %v", err)
	}
	if list, err := ix.ListTasks(t.Context(), "a", "", 10); err != nil || len(list) != 0 {
		t.Errorf("ListTasks: %v, %v", list, err)
	}
	if got, err := ix.Insert(t.Context(), entry("a.b", second, 1)); err != nil || got.TaskID != second {
		t.Errorf("a lower rank does not replace it: %+v, %v", got, err)
	}
}

func TestBadEntriesAreRefused(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	for _, path := range []string{"", ".", "a.", ".a", "a..b", "a b", "a/b", "ä", strings.Repeat("x", 256)} {
		if _, err := ix.Insert(t.Context(), entry(path, first, 0)); !errors.Is(err, fault.Invalid) {
			t.Errorf("Insert %q: %v", path, err)
		}
		if _, err := ix.Find(t.Context(), path); !errors.Is(err, fault.Invalid) {
			t.Errorf("Find %q: %v", path, err)
		}
	}
	for _, data := range []string{"", "[]", "null", "1", `{"x": "` + strings.Repeat("x", index.MaxData) + `"}`} {
		e := entry("a", first, 0)
		e.Data = json.RawMessage(data)
		if _, err := ix.Insert(t.Context(), e); !errors.Is(err, fault.Invalid) {
			t.Errorf("data %.20q: %v", data, err)
		}
	}
}

func TestWriteCompletedReportsWhatItCannotWrite(t *testing.T) {
	pool := pgtest.DB(t)
	ix := index.New(pool)
	var rejected []index.Rejected
	err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		rejected, err = ix.WriteCompleted(ctx, tx, []index.Entry{
			entry("a.b.one", first, 0), entry("a b", first, 0), entry("a.b.two", first, 0), entry("a.b.two", second, 0), entry("a.b.two", first, -1),
		})
		return err
	})
	if err != nil || len(rejected) != 1 || rejected[0].Entry.Namespace != "a b" || !errors.Is(rejected[0].Err, fault.Invalid) {
		t.Fatalf("%+v, %v", rejected, err)
	}
	found, err := ix.FindMany(t.Context(), []string{"a.b.one", "a.b.two", "a.b.three", "a.b.one"})
	if err != nil || len(found) != 2 || found["a.b.one"].TaskID != first || found["a.b.two"].TaskID != second {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestARolledBackTransactionLeavesNothing(t *testing.T) {
	pool := pgtest.DB(t)
	ix := index.New(pool)
	stop := errors.New("stop")
	err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := ix.WriteCompleted(ctx, tx, []index.Entry{entry("a.b", first, 0)}); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, err := ix.Find(t.Context(), "a.b"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
}

func TestListingGoesPageByPage(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	for _, path := range []string{"a.b.x", "a.b.Y", "a.b.z.deep", "a.c.x", "top"} {
		if _, err := ix.Insert(t.Context(), entry(path, first, 0)); err != nil {
			t.Fatal(err)
		}
	}
	names := func(namespace string, limit int) (tasks, namespaces []string) {
		after := ""
		for {
			page, err := ix.ListTasks(t.Context(), namespace, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				tasks = append(tasks, e.Namespace)
				after = e.Namespace[strings.LastIndexByte(e.Namespace, '.')+1:]
			}
			if len(page) < limit {
				break
			}
		}
		after = ""
		for {
			page, err := ix.ListNamespaces(t.Context(), namespace, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range page {
				namespaces = append(namespaces, n.Namespace)
				after = n.Name
			}
			if len(page) < limit {
				return tasks, namespaces
			}
		}
	}
	for _, tt := range []struct {
		in                string
		tasks, namespaces []string
	}{
		{"", []string{"top"}, []string{"a"}},
		{"a", nil, []string{"a.b", "a.c"}},
		{"a.b", []string{"a.b.Y", "a.b.x"}, []string{"a.b.z"}},
		{"a.b.z", []string{"a.b.z.deep"}, nil},
		{"nothing", nil, nil},
	} {
		for _, limit := range []int{1, 100} {
			tasks, namespaces := names(tt.in, limit)
			if diff := cmp.Diff([][]string{tt.tasks, tt.namespaces}, [][]string{tasks, namespaces}); diff != "" {
				t.Errorf("%q by %d: %s", tt.in, limit, diff)
			}
		}
	}
}

func TestNamespacesLiveAsLongAsTheirEntries(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	long := entry("a.b.c", first, 0)
	long.Expires = later(72 * time.Hour)
	for _, e := range []index.Entry{long, entry("a.b.d", first, 0)} {
		if _, err := ix.Insert(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	list, err := ix.ListNamespaces(t.Context(), "a", "", 10)
	if err != nil || len(list) != 1 || list[0].Expires.Before(long.Expires) || list[0].Expires.Sub(long.Expires) > 24*time.Hour {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestDeleteAndPrune(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	old := entry("old.x.y", first, 0)
	old.Expires = later(-48 * time.Hour)
	for _, e := range []index.Entry{old, entry("a.b", first, 0)} {
		if _, err := ix.Insert(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := ix.Prune(t.Context()); n != 3 || err != nil {
		t.Errorf("Prune removed %d rows, %v", n, err)
	}
	for range 2 {
		if err := ix.Delete(t.Context(), "a.b"); err != nil {
			t.Error(err)
		}
	}
	if _, err := ix.Find(t.Context(), "a.b"); !errors.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	if list, err := ix.ListNamespaces(t.Context(), "", "", 10); err != nil || len(list) != 1 || list[0].Name != "a" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestManyWritersAtOnce(t *testing.T) {
	pool := pgtest.DB(t)
	ix := index.New(pool)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 10 {
				err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
					var list []index.Entry
					for k := range 5 {
						list = append(list, entry(fmt.Sprintf("p.day.%d.t%d", (k+w)%5, (k*w)%7), first, float64(i)))
					}
					_, err := ix.WriteCompleted(ctx, tx, list)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if list, err := ix.ListNamespaces(t.Context(), "p.day", "", 100); err != nil || len(list) != 5 {
		t.Errorf("%+v, %v", list, err)
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"a.b", "", "..", "a%.b", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if index.CheckPath(path) != nil {
			return
		}
		for _, w := range strings.Split(path, ".") {
			if w == "" || strings.ContainsAny(w, " /\n\"") {
				t.Errorf("%q was accepted", path)
			}
		}
	})
}
