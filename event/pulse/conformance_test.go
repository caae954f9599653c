package pulse_test

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event/pulse"
)

// lines reads a file of JSON values, one a line.
func lines(t *testing.T, name string) [][]any {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rows [][]any
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		var row []any
		if err := json.Unmarshal(scanner.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := scanner.Err(); err != nil || len(rows) == 0 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows
}

// TestTheExchangesAreThoseThatListenersKnow compares the tables with the facts of taskcluster-map
// appendix C: exchange, name, type, schema, and the fields of the routing key (? is optional, # holds
// several words).
func TestTheExchangesAreThoseThatListenersKnow(t *testing.T) {
	var got [][]any
	for _, s := range pulse.Services() {
		r := s.Reference("")
		if want := "exchange/taskcluster-" + s.Name + "/v1/"; r.Prefix != want {
			t.Errorf("the prefix is %s, want %s", r.Prefix, want)
		}
		for _, e := range r.Entries {
			var fields []any
			for _, f := range e.RoutingKey {
				name := f.Name
				if f.Constant != "" {
					name += "=" + f.Constant
				}
				if !f.Required {
					name += "?"
				}
				if f.Multiple {
					name += "#"
				}
				fields = append(fields, name)
			}
			got = append(got, []any{s.Name, e.Exchange, e.Name, e.Type, e.Schema, fields})
		}
	}
	if diff := cmp.Diff(lines(t, "testdata/exchanges.jsonl"), got); diff != "" {
		t.Error(diff)
	}
}

// TestTheSchemasSayWhatListenersExpect compares the schemas of messages, without their prose, with the
// facts.
func TestTheSchemasSayWhatListenersExpect(t *testing.T) {
	files := map[string]bool{}
	for _, s := range pulse.Services() {
		schemas, err := s.Schemas()
		if err != nil {
			t.Fatal(err)
		}
		names, err := fs.Glob(schemas, "*.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			files[s.Name+"/"+name] = true
		}
	}
	for _, row := range lines(t, "testdata/schemas.jsonl") {
		name := row[0].(string) + "/" + row[1].(string)
		text, err := os.ReadFile("schemas/" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		delete(files, name)
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(name, err)
		}
		if doc["$id"] != "/schemas/"+strings.Replace(name, "/", "/v1/", 1)+"#" {
			t.Errorf("%s calls itself %v", name, doc["$id"])
		}
		if diff := cmp.Diff(withoutProse(row[2]), withoutProse(doc)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name := range files {
		t.Errorf("%s is compared with nothing", name)
	}
}

// withoutProse leaves of a schema what decides which values it accepts.
func withoutProse(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			_, text := member.(string)
			if text && slices.Contains([]string{"title", "description", "$id", "$schema"}, name) {
				continue
			}
			if list, ok := member.([]any); ok && name == "required" {
				member = slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			}
			out[name] = withoutProse(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = withoutProse(v[i])
		}
		return out
	}
	return v
}
