package pushlogapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/treeherder/pushlogapi"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/push"
)

func TestPushesAreServedAsAPushlogHasThem(t *testing.T) {
	l := push.New(pgtest.DB(t), func() {}, slog.New(slog.DiscardHandler))
	for _, name := range []string{"mine", "empty", "secret"} {
		if err := l.Register(t.Context(), push.Repository{Name: name, Kind: push.LocalGit, URL: "https://ci.example.org/git/" + name, Level: 1, DefaultBranch: "main"}); err != nil {
			t.Fatal(err)
		}
	}
	known := ""
	for _, rev := range []string{"a", "b", "c"} {
		head := strings.Repeat(rev, 40)
		p := push.Push{Repository: "mine", Revision: head, Base: known, Branch: "main", Email: "ada@example.org", Message: "tip " + rev, Author: "Ada"}
		if rev == "b" {
			p.Commits = []push.Commit{{Revision: head, Author: "Ada", Email: "ada@example.org", Message: "second"}, {Revision: strings.Repeat("1", 40), Author: "Bo", Email: "bo@example.org", Message: "first"}}
		}
		if _, fresh, err := l.Record(t.Context(), p, known); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
		known = head
	}
	handler, err := web.Mount([]web.Service{pushlogapi.Service(l)}, webtest.As("me", "pushlog:read:mine", "pushlog:read:empty", "pushlog:read:none"), web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"mine/json-pushes": "200 3: 1=a 2=1,b 3=c",
		"mine/json-pushes?version=2&full=0&startID=1&endID=2":                  "200 3: 2=1,b",
		"mine/json-pushes?version=2&full=1&startID=1&endID=2":                  "200 3: 2=1 first Bo <bo@example.org> of a,b second Ada <ada@example.org> of 1",
		"mine/json-pushes?full=1&startID=2":                                    "200 3: 3=c tip c Ada <ada@example.org> of b",
		"mine/json-pushes?startID=3&endID=9":                                   "200 3:",
		"mine/json-pushes?changeset=bbb":                                       "200 3: 2=1,b",
		"mine/json-pushes?changeset=dead":                                      "404",
		"mine/json-pushes?version=1":                                           "400",
		"mine/json-pushes?startID=x":                                           "400",
		"mine/json-pushes?endID=-1":                                            "400",
		"empty/json-pushes":                                                    "200 0:",
		"none/json-pushes":                                                     "404",
		"secret/json-pushes":                                                   "403",
		"mine/json-pushes?startID=999999999999999999&endID=999999999999999999": "200 3:",
	} {
		t.Run(path, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://tc.example/api/pushlog/v1/repository/"+path, nil))
			if diff := cmp.Diff(want, brief(t, w)); diff != "" {
				t.Errorf("%s\n%s", diff, w.Body)
			}
		})
	}
}

// brief writes an answer in one line: its status, the newest push, and each push with its changesets.
func brief(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code != http.StatusOK {
		return strconv.Itoa(w.Code)
	}
	var body struct {
		LastPushID json.Number
		Pushes     map[string]struct {
			Changesets []json.RawMessage
			User       string
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	out := "200 " + body.LastPushID.String() + ":"
	for _, id := range []string{"1", "2", "3"} {
		p, ok := body.Pushes[id]
		if !ok {
			continue
		}
		if p.User != "ada@example.org" {
			t.Errorf("push %s is %s's", id, p.User)
		}
		var sets []string
		for _, raw := range p.Changesets {
			var node string
			if json.Unmarshal(raw, &node) == nil {
				sets = append(sets, node[:1])
				continue
			}
			var c struct {
				Node, Author, Desc string
				Parents            []string
			}
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			sets = append(sets, c.Node[:1]+" "+c.Desc+" "+c.Author+" of "+c.Parents[0][:1])
		}
		out += " " + id + "=" + strings.Join(sets, ",")
	}
	return out
}
