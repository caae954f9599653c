package queueapi_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queueapi"
)

// additions are endpoints of ours that the peer does not have.
var additions = []string{"createTasks", "listTaskGroups"}

// TestTheTableSaysWhatClientsExpect compares the endpoints with the facts of taskcluster-map
// appendix A: name, method, route, query, stability, category, scopes.
func TestTheTableSaysWhatClientsExpect(t *testing.T) {
	file, err := os.Open("testdata/endpoints.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := map[string][]any{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var row []any
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		want[row[0].(string)] = row
	}
	if err := lines.Err(); err != nil || len(want) == 0 {
		t.Fatalf("%d rows: %v", len(want), err)
	}
	for _, e := range queueapi.Service(queue.New(queue.Deps{})).Endpoints {
		if slices.Contains(additions, e.Name) {
			continue
		}
		query := []any{}
		for name := range e.Query {
			query = append(query, name)
		}
		slices.SortFunc(query, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		data, err := json.Marshal(e.Scopes)
		if err != nil {
			t.Fatal(err)
		}
		var scopes any
		if err := json.Unmarshal(data, &scopes); err != nil {
			t.Fatal(err)
		}
		got := []any{e.Name, strings.ToLower(e.Method), strings.ReplaceAll(e.Route, "*>", ">"), query, e.Stability, e.Category, scopes}
		if diff := cmp.Diff(want[e.Name], got); diff != "" {
			t.Errorf("%s: %s", e.Name, diff)
		}
		delete(want, e.Name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}
