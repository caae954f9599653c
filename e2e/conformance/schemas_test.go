package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

const verdictsFile = "testdata/verdicts.jsonl"

// verdict says, for one instance and one place in it, which values there the peer's schema takes and
// which it refuses.
type verdict struct {
	Schema   string            `json:"schema"`         // such as queue/v1/task.json
	Base     json.RawMessage   `json:"base,omitempty"` // the instance; that of the line before when absent
	At       string            `json:"at"`             // JSON pointer
	Takes    []json.RawMessage `json:"takes,omitempty"`
	Refuses  []json.RawMessage `json:"refuses,omitempty"`
	instance any
}

// pair is a schema of the peer's and ours for the same body; ours is "" when there is none.
type pair struct{ theirs, ours string }

func pairs(t testing.TB) []pair {
	t.Helper()
	mine := facts(t, served(t))
	seen := map[[2]string]bool{}
	var list []pair
	theirs := expected(t)
	for _, key := range slices.Sorted(maps.Keys(theirs)) {
		want, got := theirs[key], mine[key]
		for _, body := range []struct{ theirs, ours string }{{want.Input, got.Input}, {want.Output, got.Output}} {
			if form(body.theirs) != "JSON" {
				continue
			}
			p := pair{theirs: want.Service + "/" + body.theirs}
			if form(body.ours) == "JSON" {
				p.ours = want.Service + "/" + body.ours
			}
			if !seen[[2]string{p.theirs, p.ours}] {
				seen[[2]string{p.theirs, p.ours}] = true
				list = append(list, p)
			}
		}
	}
	return list
}

// judge makes instances from both schemas of each pair and lets the peer's judge them.
func judge(t testing.TB, list []pair, theirs, ours *library) []verdict {
	t.Helper()
	var out []verdict
	for _, p := range list {
		done := map[string]bool{}
		for _, from := range []struct {
			*library
			schema string
		}{{theirs, p.theirs}, {ours, p.ours}} {
			if from.schema == "" {
				continue
			}
			source := from.root("/schemas/" + from.schema)
			for _, sample := range from.samples(source, 0) {
				base, refused := mend(t, theirs, p, sample)
				out = append(out, refused...)
				gathered := newProbes()
				from.probe(source, "", base, gathered)
				out = append(out, judgeBase(t, p, theirs, base, gathered, done)...)
			}
		}
	}
	return out
}

// mend leaves out of an instance the one or two members that make the peer refuse it whole, so that other places can be
// judged by themselves; it returns those verdicts too.
func mend(t testing.TB, theirs *library, p pair, sample any) (any, []verdict) {
	t.Helper()
	if theirs.accepts(t, "/schemas/"+p.theirs, sample) {
		return sample, nil
	}
	all := places(sample, "")
	for i, first := range all {
		for _, second := range all[i:] { // the same, mostly: then one is left out
			base, ok := without(sample, first, second)
			if !ok || !theirs.accepts(t, "/schemas/"+p.theirs, base) {
				continue
			}
			var out []verdict
			for _, at := range slices.Compact([]string{first, second}) {
				gathered := newProbes()
				gathered.add(at, valueAt(sample, place(at)))
				out = append(out, judgeBase(t, p, theirs, base, gathered, map[string]bool{})...)
			}
			return base, out
		}
	}
	return sample, nil
}

// without leaves one or two places out of an instance.
func without(sample any, first, second string) (any, bool) {
	base, ok := with(sample, place(first), absent{})
	if ok && second != first {
		base, ok = with(base, place(second), absent{})
	}
	return base, ok
}

// places are the JSON pointers to all members of an instance.
func places(instance any, at string) []string {
	var out []string
	switch v := instance.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out = append(append(out, at+"/"+name), places(v[name], at+"/"+name)...)
		}
	case []any:
		for i := range v {
			out = append(out, places(v[i], fmt.Sprintf("%s/%d", at, i))...)
		}
	}
	return out
}

func valueAt(instance any, at []string) any {
	for _, step := range at {
		switch v := instance.(type) {
		case map[string]any:
			instance = v[step]
		case []any:
			instance = v[step[0]-'0']
		}
	}
	return instance
}

func judgeBase(t testing.TB, p pair, theirs *library, base any, gathered *probes, done map[string]bool) []verdict {
	t.Helper()
	var out []verdict
	for _, at := range slices.Sorted(maps.Keys(gathered.values)) {
		v := verdict{Schema: p.theirs, At: at}
		for _, value := range gathered.values[at] {
			instance, ok := with(base, place(at), value)
			key := encoded(instance)
			if !ok || done[key] {
				continue
			}
			done[key] = true
			data, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			if theirs.accepts(t, "/schemas/"+p.theirs, instance) {
				v.Takes = append(v.Takes, data)
			} else {
				v.Refuses = append(v.Refuses, data)
			}
		}
		if len(v.Takes)+len(v.Refuses) == 0 {
			continue
		}
		if len(out) == 0 {
			v.Base, _ = json.Marshal(base)
		}
		v.instance = base
		out = append(out, v)
	}
	return out
}

// verdicts returns what the peer's schemas say: made anew where its references are at hand, else the
// test data.
func verdicts(t testing.TB, list []pair, ours *library) []verdict {
	t.Helper()
	if b := peer(t); b != nil {
		made := judge(t, list, newLibrary(t, b), ours)
		if *update {
			writeLines(t, verdictsFile, made)
		}
		return made
	}
	known := readLines[verdict](t, verdictsFile)
	var base any
	for i := range known {
		if known[i].Base != nil {
			base = nil
			if err := json.Unmarshal(known[i].Base, &base); err != nil {
				t.Fatal(err)
			}
		}
		known[i].instance = base
	}
	return known
}

// agreement counts the instances of a service.
type agreement struct{ schemas, instances, same int }

// TestSchemasAcceptWhatClientsSend lets our schemas judge what the peer's did.
func TestSchemasAcceptWhatClientsSend(t *testing.T) {
	counts, found := agree(t)
	compareLists(t, schemaDifferences, found)
	t.Logf("\n%s", countSchemas(counts))
}

// agree returns how many instances get the same verdict, by service, and where verdicts differ.
func agree(t testing.TB) (map[string]*agreement, map[string]string) {
	t.Helper()
	list := pairs(t)
	ours := newLibrary(t, served(t))
	byTheirs := map[string][]pair{}
	counts := map[string]*agreement{}
	for _, s := range services {
		counts[s] = &agreement{}
	}
	for _, p := range list {
		if p.ours != "" {
			byTheirs[p.theirs] = append(byTheirs[p.theirs], p)
		}
	}
	found, judged := map[string]string{}, map[string]bool{}
	for _, v := range verdicts(t, list, ours) {
		judged[v.Schema] = true
		service, _, _ := strings.Cut(v.Schema, "/")
		for _, p := range byTheirs[v.Schema] {
			compareVerdict(t, ours, p, v, counts[service], found)
		}
	}
	for theirs := range byTheirs {
		service, _, _ := strings.Cut(theirs, "/")
		counts[service].schemas++
		if !judged[theirs] {
			t.Errorf("there is no verdict about %s: run with -update and the peer's references", theirs)
		}
	}
	return counts, found
}

func compareVerdict(t testing.TB, ours *library, p pair, v verdict, count *agreement, found map[string]string) {
	t.Helper()
	for taken, values := range map[bool][]json.RawMessage{true: v.Takes, false: v.Refuses} {
		for _, data := range values {
			instance, ok := with(v.instance, place(v.At), decoded(t, data))
			if !ok {
				t.Fatalf("%s: no place %s", v.Schema, v.At)
			}
			count.instances++
			if ours.accepts(t, "/schemas/"+p.ours, instance) == taken {
				count.same++
			} else {
				note(found, p, v.At, data, taken)
			}
		}
	}
}

// note keeps one example of a difference at a place.
func note(found map[string]string, p pair, at string, data json.RawMessage, theyTake bool) {
	how := "we refuse, they take"
	if !theyTake {
		how = "we take, they refuse"
	}
	key := strings.TrimSuffix(p.theirs, ".json") + " " + at
	if old, ok := found[key]; ok && len(old) <= len(how)+len(data)+1 {
		return
	}
	found[key] = how + " " + string(data)
}

func countSchemas(counts map[string]*agreement) string {
	var buf strings.Builder
	w := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "service\tschemas\tinstances\tsame verdict\tother verdict")
	for _, s := range services {
		n := counts[s]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", s, n.schemas, n.instances, n.same, n.instances-n.same)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return buf.String()
}
