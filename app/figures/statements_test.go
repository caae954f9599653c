package figures_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/figures"
)

// unlisted are statements that no server sends in its work: of tests, of changing the schema, and of commands such as
// treeline doctor and treeline db restored.
var unlisted = []string{
	"soak.", "doctor.", "auth.widest", "checks.maybe-made", "checks.compare-all", "event.sequence-wait", "event.restored-marker", "pg.online",
	"checks.compare-branches", "retention.noted",
}

// TestStatementsAreAllKnown reads the source for statements and holds them against the list that counts them.
func TestStatementsAreAllKnown(t *testing.T) {
	known, texts := map[string]bool{}, map[string]string{}
	for _, s := range figures.Statements() {
		if known[s.Name] {
			t.Errorf("two statements are named %s", s.Name)
		}
		if other := texts[s.Text]; other != "" {
			t.Logf("%s and %s are the same", s.Name, other)
		}
		known[s.Name], texts[s.Text] = true, s.Name
	}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		for _, name := range statementsIn(t, filepath.Join("..", "..", path)) {
			if !known[name] && !isUnlisted(name) {
				t.Errorf("%s: the statement %s is missing in app/figures/statements.go", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isUnlisted(name string) bool {
	for _, prefix := range unlisted {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// statementsIn returns the names of the statements that a file declares.
func statementsIn(t *testing.T, path string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "Statement{") {
		return nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if s, ok := lit.Type.(*ast.SelectorExpr); !ok || s.Sel.Name != "Statement" {
			if id, ok := lit.Type.(*ast.Ident); !ok || id.Name != "Statement" {
				return true
			}
		}
		for i, e := range lit.Elts {
			name := e // of one without keys, the first
			kv, keyed := e.(*ast.KeyValueExpr)
			if keyed {
				name = kv.Value
			}
			if key, ok := keyOf(kv); i == 0 && !keyed || ok && key == "Name" {
				if value, ok := name.(*ast.BasicLit); ok {
					name, err := strconv.Unquote(value.Value)
					if err != nil {
						t.Fatal(err)
					}
					names = append(names, name)
				}
			}
		}
		return true
	})
	return names
}

func keyOf(kv *ast.KeyValueExpr) (string, bool) {
	if kv == nil {
		return "", false
	}
	if id, ok := kv.Key.(*ast.Ident); ok {
		return id.Name, true
	}
	return "", false
}

// TestNothingNotifies: NOTIFY in a transaction makes the commits of a whole PostgreSQL wait for each other, and what hears it
// may miss it. Here nobody uses it, so that there is nothing to miss: who follows the feed asks.
func TestNothingNotifies(t *testing.T) {
	notifies := regexp.MustCompile(`(?i)pg_notify|(^|;)\s*(listen|notify)\s+[a-z"]`)
	for _, s := range figures.Statements() {
		if notifies.MatchString(s.Text) {
			t.Errorf("the statement %s notifies, or listens", s.Name)
		}
	}
	versions, err := filepath.Glob("../../internal/pg/versions/*.sql")
	if err != nil || len(versions) == 0 {
		t.Fatal(versions, err)
	}
	for _, path := range versions {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if notifies.Match(text) {
			t.Errorf("%s notifies", path)
		}
	}
}
