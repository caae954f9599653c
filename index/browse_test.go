package index_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
)

func TestBrowse(t *testing.T) {
	ix := index.New(pgtest.DB(t))
	put := func(path, id string, rank float64) {
		t.Helper()
		if _, err := ix.Insert(t.Context(), index.Entry{Namespace: path, TaskID: id, Rank: rank, Data: json.RawMessage(`{}`), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"a.b.one", "a.b.two", "a.b.deep.x", "a.bb.x", "a.c.x", "a.task", "a.tusk", "z.x"} {
		put(path, slug.New(), 1)
	}
	t.Run("namespaces with counts", func(t *testing.T) {
		list, err := ix.Browse(t.Context(), "a", "", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, fmt.Sprintf("%s %d %d", c.Namespace.Namespace, c.Namespaces, c.Tasks))
		}
		if diff := cmp.Diff([]string{"a.b 1 2", "a.bb 0 1", "a.c 0 1"}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("by the beginning of the name, after one", func(t *testing.T) {
		list, err := ix.Browse(t.Context(), "a", "b", "b", 10)
		if err != nil || len(list) != 1 || list[0].Name != "bb" {
			t.Errorf("got %v, %v", list, err)
		}
		tasks, err := ix.BrowseTasks(t.Context(), "a", "tu", "", 10)
		if err != nil || len(tasks) != 1 || tasks[0].Namespace != "a.tusk" {
			t.Errorf("got %v, %v", tasks, err)
		}
	})
	t.Run("who was replaced, the newest first, at most twenty", func(t *testing.T) {
		ids := make([]string, 25)
		for i := range ids {
			ids[i] = slug.New()
			put("h.latest", ids[i], float64(i))
		}
		put("h.latest", ids[24], 30) // the same task again replaces nobody
		indexed, former, err := ix.History(t.Context(), "h.latest")
		if err != nil || len(former) != 20 || former[0].TaskID != ids[23] || former[19].TaskID != ids[4] || former[0].Rank != 23 {
			t.Fatalf("got %v, %v", former, err)
		}
		if indexed.Before(former[0].Replaced) || former[0].Replaced.Before(former[0].Indexed) {
			t.Errorf("indexed %v, the one before %+v", indexed, former[0])
		}
	})
}
