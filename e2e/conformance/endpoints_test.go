package conformance_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

var update = flag.Bool("update", false, "write the page anew and, where TREELINE_PEER_REFERENCES is set, the test data")

// services are those that are to be whole.
var services = []string{"auth", "queue", "index", "object", "secrets", "purge-cache", "notify", "hooks", "github", "worker-manager"}

const endpointsFile = "testdata/endpoints.jsonl"

// fact is what clients depend on of an endpoint. Titles and descriptions are ours.
type fact struct {
	Service   string          `json:"service"`
	Name      string          `json:"name"`
	Method    string          `json:"method"`
	Route     string          `json:"route"`
	Query     []string        `json:"query,omitempty"`
	Scopes    json.RawMessage `json:"scopes,omitempty"`
	Stability string          `json:"stability"`
	Category  string          `json:"category"`
	Input     string          `json:"input,omitempty"`  // such as v1/task.json, or blob
	Output    string          `json:"output,omitempty"` // likewise
}

func (f fact) key() string { return f.Service + "." + f.Name }

// facts reads the endpoints of the services from references, sorted by name.
func facts(t testing.TB, b bundle) map[string]fact {
	t.Helper()
	out := map[string]fact{}
	for _, service := range services {
		var reference struct{ Entries []fact }
		if err := json.Unmarshal(b["references/"+service+"/v1/api.json"], &reference); err != nil {
			t.Fatalf("reference of %s: %v", service, err)
		}
		for _, f := range reference.Entries {
			f.Service = service
			slices.Sort(f.Query)
			f.Input, f.Output = strings.TrimSuffix(f.Input, "#"), strings.TrimSuffix(f.Output, "#")
			out[f.key()] = f
		}
	}
	return out
}

// expected returns the facts about the peer.
func expected(t testing.TB) map[string]fact {
	t.Helper()
	if b := peer(t); b != nil {
		found := facts(t, b)
		if *update {
			writeLines(t, endpointsFile, slices.SortedFunc(maps.Values(found), func(a, b fact) int { return strings.Compare(a.key(), b.key()) }))
		}
		return found
	}
	out := map[string]fact{}
	for _, f := range readLines[fact](t, endpointsFile) {
		out[f.key()] = f
	}
	return out
}

func readLines[T any](t testing.TB, name string) []T {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var list []T
	for line := range bytes.Lines(data) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, v)
	}
	return list
}

func writeLines[T any](t testing.TB, name string, list []T) {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, v := range list {
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(name, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unlike names what differs between the peer's endpoint and ours.
func unlike(t testing.TB, theirs, ours fact) map[string]string {
	t.Helper()
	out := map[string]string{}
	note := func(what string, want, got any) {
		if !reflect.DeepEqual(want, got) {
			out[what] = fmt.Sprintf("%v instead of %v", got, want)
		}
	}
	note("method", theirs.Method, ours.Method)
	note("route", theirs.Route, ours.Route)
	note("query", strings.Join(theirs.Query, ","), strings.Join(ours.Query, ","))
	note("stability", theirs.Stability, ours.Stability)
	note("category", theirs.Category, ours.Category)
	note("input", form(theirs.Input), form(ours.Input))
	note("output", form(theirs.Output), form(ours.Output))
	var a, b any
	for text, into := range map[*json.RawMessage]*any{&theirs.Scopes: &a, &ours.Scopes: &b} {
		if len(*text) > 0 {
			if err := json.Unmarshal(*text, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !reflect.DeepEqual(a, b) {
		out["scopes"] = fmt.Sprintf("%s instead of %s", ours.Scopes, theirs.Scopes)
	}
	return out
}

// form says whether there are bytes, JSON or nothing; which schema is compared by what it accepts.
func form(schema string) string {
	if strings.HasSuffix(schema, ".json") {
		return "JSON"
	}
	return schema
}

// TestEndpointsAreThoseClientsKnow compares every endpoint that a server publishes with the peer's.
func TestEndpointsAreThoseClientsKnow(t *testing.T) {
	theirs, mine := expected(t), facts(t, served(t))
	found := differing(t, theirs, mine)
	compareLists(t, endpointDifferences, found)
	t.Logf("\n%s", countEndpoints(theirs, mine, found))
}

// differing returns what differs, by endpoint and what of it.
func differing(t testing.TB, theirs, mine map[string]fact) map[string]string {
	t.Helper()
	found := map[string]string{}
	for key, want := range theirs {
		got, ok := mine[key]
		if !ok {
			found[key+" missing"] = "there is none"
			continue
		}
		for what, how := range unlike(t, want, got) {
			found[key+" "+what] = how
		}
	}
	return found
}

// compareLists holds a list of known differences against those found, both ways.
func compareLists(t *testing.T, known, found map[string]string) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(found)) {
		if known[what] == "" {
			t.Errorf("%s differs: %s", what, found[what])
		}
	}
	for what, why := range known {
		if _, ok := found[what]; !ok {
			t.Errorf("%s is listed as differing (%s), but does not", what, why)
		}
	}
}

// tally counts the endpoints of a service.
type tally struct {
	service          string
	endpoints, equal int
	differing, more  []string
}

func tallies(theirs, mine map[string]fact, found map[string]string) []tally {
	var list []tally
	for _, service := range services {
		n := tally{service: service}
		for _, key := range slices.Sorted(maps.Keys(theirs)) {
			if theirs[key].Service != service {
				continue
			}
			n.endpoints++
			same := true
			for _, what := range slices.Sorted(maps.Keys(found)) {
				if strings.HasPrefix(what, key+" ") {
					same = false
					n.differing = append(n.differing, strings.TrimPrefix(what, service+"."))
				}
			}
			if same {
				n.equal++
			}
		}
		for key, f := range mine {
			if _, ok := theirs[key]; !ok && f.Service == service {
				n.more = append(n.more, f.Name)
			}
		}
		slices.Sort(n.more)
		list = append(list, n)
	}
	return list
}

func countEndpoints(theirs, mine map[string]fact, found map[string]string) string {
	var buf strings.Builder
	w := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "service\tendpoints\tequal\tdiffering\tours only")
	for _, n := range tallies(theirs, mine, found) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", n.service, n.endpoints, n.equal, n.endpoints-n.equal, len(n.more))
		for _, d := range n.differing {
			fmt.Fprintf(w, "  %s\t%s\n", d, endpointDifferences[n.service+"."+d])
		}
	}
	_ = w.Flush() // a strings.Builder takes everything
	return buf.String()
}
