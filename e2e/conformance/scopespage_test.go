package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/client"
)

const scopesPage = "../../docs/reference/scopes.md"

const scopesHead = `# Scopes

<!-- Written by "go test ./e2e/conformance -update" from the tables of endpoints; do not edit. -->

Every scope that a method of the API asks for, and which method that is. Parts in ` + "`<…>`" + ` are parameters of the call, or of the task that it is
about. A scope that somebody holds may end in ` + "`*`" + `: then it stands for all that begin so. Methods that take one of several combinations say so on
their own pages. Where a line says *each of*, all of a list are asked for.

Scopes are checked in one place, after the signature and before anything happens; the error of a call that lacks some names exactly those.
`

// Those that no table of endpoints names: they are looked at in what a call carries, or on pages.
const scopesFoot = `
## Not of a method

| scope | what it allows | where it is checked |
|---|---|---|
| ` + "`assume:<role>`" + ` | all that the role holds | wherever scopes are expanded |
| ` + "`queue:route:<route>`" + ` | tasks with the route, such as index entries | creating a task |
| ` + "`docker-worker:cache:<name>`, `generic-worker:cache:<name>`" + ` | a cache on the worker | by the worker, in the task's scopes |
| ` + "`docker-worker:feature:<name>`, `generic-worker:<feature>:…`" + ` | what a payload may ask of a worker ([payloads](worker-payload.md)) | by the worker, in the task's scopes |
| ` + "`in-tree:hook-action:<hook group>/<hook>`" + ` | actions of that hook in a decision's ` + "`actions.json`" + ` ([actions](actions.md)) | when an action is offered and started |
| ` + "`secrets:get:<name>`" + ` | the secret, also to a task that names it | reading a secret |
| ` + "`localgit:fetch:<repository>`" + ` | clone a repository that the server watches | the server's git address |
| ` + "`events:read`" + ` | repositories, pushes and the past of the feed | pages and the stream of events |
| ` + "`github:create-pull-request:<owner>/<repository>`" + ` | have the GitHub App open a pull request with the files of the quickstart | the page quickstart |
| ` + "`triage:file-bug:<repository>`" + ` | have the server file a bug of a failure | the pages of pushes and logs |
| ` + "`triage:classify:<repository>`" + ` | say what failures are, and which lines of a log tell of one | the pages of pushes and logs |
| ` + "`history:read:<repository>`" + ` | outcomes by label | decisions that optimize by history |
`

// TestTheScopesPageNamesEveryScope holds docs/reference/scopes.md against what a server says about itself.
func TestTheScopesPageNamesEveryScope(t *testing.T) {
	b := served(t)
	uses := map[string][]string{} // of a scope: the methods
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !strings.HasSuffix(name, "/api.json") {
			continue
		}
		var r client.Reference
		if err := json.Unmarshal(b[name], &r); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Entries {
			var expression any
			if len(e.Scopes) == 0 {
				continue
			}
			if err := json.Unmarshal(e.Scopes, &expression); err != nil {
				t.Fatal(err)
			}
			method := fmt.Sprintf("[%s](api/%s.md#%s)", e.Name, r.ServiceName, strings.ToLower(e.Name))
			for _, s := range leaves(expression, "") {
				if !slices.Contains(uses[s], method) {
					uses[s] = append(uses[s], method)
				}
			}
		}
	}
	if len(uses) < 80 {
		t.Errorf("only %d scopes were found", len(uses))
	}
	var w bytes.Buffer
	w.WriteString(scopesHead)
	service := ""
	for _, s := range slices.Sorted(maps.Keys(uses)) {
		prefix, _, _ := strings.Cut(strings.TrimPrefix(s, "each of "), ":")
		if prefix != service {
			service = prefix
			fmt.Fprintf(&w, "\n## `%s:`\n\n| scope | method |\n|---|---|\n", service)
		}
		name, each := strings.CutPrefix(s, "each of ")
		if each {
			fmt.Fprintf(&w, "| each of `%s` | %s |\n", name, strings.Join(uses[s], ", "))
		} else {
			fmt.Fprintf(&w, "| `%s` | %s |\n", s, strings.Join(uses[s], ", "))
		}
	}
	w.WriteString(scopesFoot)
	checkPage(t, scopesPage, w.Bytes())
}

// leaves are the scopes of an expression; those of a loop are "each of" what it gives.
func leaves(expression any, loop string) []string {
	switch e := expression.(type) {
	case string:
		return []string{e}
	case []any:
		var out []string
		for _, x := range e {
			out = append(out, leaves(x, loop)...)
		}
		return out
	case map[string]any:
		var out []string
		for _, key := range []string{"AnyOf", "AllOf", "then"} {
			out = append(out, leaves(e[key], loop)...)
		}
		if each, ok := e["each"].(string); ok {
			out = append(out, "each of "+each)
		}
		return out
	}
	return nil
}
