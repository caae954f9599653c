package conformance_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const page = "../../docs/reference/conformance.md"

// TestThePageSaysWhatIsSo holds docs/reference/conformance.md against the comparison; -update writes
// it.
func TestThePageSaysWhatIsSo(t *testing.T) {
	theirs, mine := expected(t), facts(t, served(t))
	want := render(t, tallies(theirs, mine, differing(t, theirs, mine)))
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./e2e/conformance -update", page)
	}
}

func render(t testing.TB, list []tally) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Conformance with Taskcluster

<!-- Written by "go test ./e2e/conformance -update"; do not edit. -->

A test compares what a server publishes about itself with Taskcluster's own references: of every endpoint the name, method,
route, query parameters, scopes, stability, category, and whether there is a body in and out. Then it lets our schemas judge
instances that theirs have judged: samples of each body, and those with each member left out, of another type, at and beyond each
limit, or with one more member.

## Endpoints

| service | endpoints | equal | differing | ours only |
|---|---|---|---|---|
`)
	for _, n := range list {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", n.service, n.endpoints, n.equal, n.endpoints-n.equal, len(n.more))
	}
	differences(&b, "endpoint", endpointDifferences)
	for _, n := range list {
		if len(n.more) > 0 {
			fmt.Fprintf(&b, "\nOurs only in %s: `%s`. See [what Treeline adds](api-additions.md).\n", n.service, strings.Join(n.more, "`, `"))
		}
	}
	counts, _ := agree(t)
	b.WriteString("\n## Bodies\n\n| service | schemas | instances | same verdict | other verdict |\n|---|---|---|---|---|\n")
	for _, s := range services {
		n := counts[s]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", s, n.schemas, n.instances, n.same, n.instances-n.same)
	}
	differences(&b, "place", schemaDifferences)
	return b.String()
}

func differences(b *strings.Builder, what string, list map[string]string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| differing %s | why |\n|---|---|\n", what)
	for _, name := range slices.Sorted(maps.Keys(list)) {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, list[name])
	}
}
