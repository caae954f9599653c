package conformance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/client/apicall"
)

const apiPages = "../../docs/reference/api"

// TestThePagesDescribeEveryMethod holds the pages in docs/reference/api against what a server says
// about itself; -update writes them.
func TestThePagesDescribeEveryMethod(t *testing.T) {
	b := served(t)
	written := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !strings.HasSuffix(name, "/api.json") {
			continue
		}
		var r client.Reference
		if err := json.Unmarshal(b[name], &r); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(apiPages, r.ServiceName+".md")
		written[file] = true
		checkPage(t, file, describe(t, b, r))
	}
	pages, err := filepath.Glob(apiPages + "/*.md")
	if err != nil || len(pages) != len(written) {
		t.Errorf("%d pages for %d services (%v)", len(pages), len(written), err)
	}
}

func checkPage(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, want, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run go test ./e2e/conformance -update", file)
	}
}

// root stands for the server's address in the pages.
const root = "https://tc.example.com"

func describe(t *testing.T, b bundle, r client.Reference) []byte {
	t.Helper()
	schemas := map[string]map[string]any{}
	for name, text := range b {
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		schemas[root+"/"+name] = doc
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, "# The service %s\n\n<!-- Written by \"go test ./e2e/conformance -update\" from the table of endpoints; do not edit. -->\n\n%s\n\n", r.ServiceName, r.Description)
	fmt.Fprintf(&w, "Routes are below `/api/%s/%s`. A server says the same to programs at `/references/%s/%s/api.json`, and to people with\n`treeline api %s METHOD --help`.\n",
		r.ServiceName, r.APIVersion, r.ServiceName, r.APIVersion, r.ServiceName)
	var categories []string
	byCategory := map[string][]client.Endpoint{}
	for _, e := range r.Entries {
		if byCategory[e.Category] == nil {
			categories = append(categories, e.Category)
		}
		byCategory[e.Category] = append(byCategory[e.Category], e)
	}
	for _, category := range categories {
		fmt.Fprintf(&w, "\n## %s\n", category)
		for _, e := range byCategory[category] {
			describeEndpoint(t, &w, schemas, r, e)
		}
	}
	return w.Bytes()
}

func describeEndpoint(t *testing.T, w *bytes.Buffer, schemas map[string]map[string]any, r client.Reference, e client.Endpoint) {
	t.Helper()
	fmt.Fprintf(w, "\n### %s\n\n    %s %s\n\n%s", e.Name, strings.ToUpper(e.Method), e.Route, strings.TrimSpace(e.Description))
	if e.Stability != "stable" {
		fmt.Fprintf(w, " This method is %s.", e.Stability)
	}
	fmt.Fprintln(w)
	if len(e.Query) > 0 {
		fmt.Fprintf(w, "\nQuery: `%s`.\n", strings.Join(slices.Sorted(slices.Values(e.Query)), "`, `"))
	}
	switch scopes := apicall.Scopes(e, "\n    "); {
	case len(e.Scopes) == 0:
		fmt.Fprintln(w, "\nEverybody may call it.")
	case strings.Contains(scopes, "\n"):
		fmt.Fprintf(w, "\nScopes:\n\n    %s\n", scopes)
	default:
		fmt.Fprintf(w, "\nScopes: `%s`.\n", scopes)
	}
	var members []apicall.Member
	switch e.Input {
	case "":
	case "blob":
		fmt.Fprintln(w, "\nThe body is bytes.")
	default:
		address := apicall.Schema(root, r, e.Input)
		var err error
		if members, err = apicall.Members(root, schemas, address); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "\nBody, as in `%s`:\n\n| member | type | | |\n|---|---|---|---|\n", strings.TrimPrefix(address, root))
		for _, m := range members {
			need := ""
			if m.Required {
				need = "required"
			}
			fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", m.Name, cell(m.Type), need, cell(m.Description))
		}
	}
	switch e.Output {
	case "":
	case "blob":
		fmt.Fprintln(w, "\nThe answer is bytes.")
	default:
		fmt.Fprintf(w, "\nAnswer: `%s`.\n", strings.TrimPrefix(apicall.Schema(root, r, e.Output), root))
	}
	fmt.Fprintf(w, "\n```sh\n%s\n```\n", strings.Join(apicall.Examples(r, e, members), "\n"))
}

// cell makes text fit into a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
