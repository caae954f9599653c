package historyapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/history/historyapi"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	past "github.com/treeline-ci/treeline/taskgraph/history"
)

func TestTheTableIsServedToThoseWhoMayReadIt(t *testing.T) {
	h := history.New(pgtest.DB(t), func(context.Context, pgx.Tx, string) (history.Push, bool, error) { return history.Push{}, false, nil })
	if _, err := h.For(t.Context(), history.Push{Project: "a/b", Branch: "main", ID: 7, Revision: "r", Time: time.Now(), TaskGroupID: "g"}); err != nil {
		t.Fatal(err)
	}
	handler, err := web.Mount([]web.Service{historyapi.Service(h)}, webtest.As("me", "history:read:a/*"), web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/project/a%2Fb/table":                  http.StatusOK,
		"/project/a%2Fb/table?branch=main":      http.StatusOK,
		"/project/a%2Fb/table?branch=elsewhere": http.StatusNotFound,
		"/project/a%2Fnone/table":               http.StatusNotFound,
		"/project/other/table":                  http.StatusForbidden,
		"/project/a%2Fb/table?branch=":          http.StatusBadRequest,
	} {
		t.Run(path, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://tc.example/api/history/v1"+path, nil))
			if w.Code != want {
				t.Fatalf("%d, want %d: %s", w.Code, want, w.Body)
			}
			if want != http.StatusOK {
				return
			}
			table, err := past.Read(w.Body)
			if err != nil || table.Push.Number != 2 || len(table.Pushes) != 1 || !table.Pushes[0].Undecided {
				t.Errorf("%+v, %v", table, err)
			}
		})
	}
}
