// Package treeline_test holds the house rules that a compiler does not know: which room may import
// which, where SQL, programs and inbound HTTP may stand, whose tables are whose, and how long a
// file or function may be. docs/explanation/layout.md says why.
package treeline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/treeline-ci/treeline/"

// leaves may be imported by every room: they are types and pure rules, and the feed's Append.
var leaves = []string{"task", "auth/scope", "auth/hawk", "event"}

// allowed says what a room may import of ours beyond itself and internal/; a room is a path and
// all below it, the longest match counts. "*" is everything.
var allowed = map[string][]string{
	"task":                     {},
	"auth/scope":               {},
	"auth/hawk":                {},
	"event":                    {},
	"templates":                {"task"},
	"trace":                    {"task"},
	"trace/export":             append(leaves, "trace"),
	"trace/traceapi":           append(leaves, "trace"),
	"taskgraph":                {"task", "templates"},
	"push":                     leaves,
	"triage":                   leaves,
	"retention":                leaves,
	"backup":                   {},
	"replica":                  {},
	"doctor":                   {"backup", "replica", "auth/hawk"},
	"secrets":                  leaves,
	"purgecache":               leaves,
	"failures":                 leaves,
	"history":                  append(leaves, "taskgraph/history"),
	"notify":                   append(leaves, "templates"),
	"notify/notifyapi":         append(leaves, "notify"),
	"hooks":                    append(leaves, "templates"),
	"hooks/hooksapi":           append(leaves, "hooks"),
	"auth":                     leaves,
	"queue":                    leaves,
	"index":                    leaves,
	"object":                   leaves,
	"localgit":                 {},
	"client":                   {"task", "auth/scope", "auth/hawk"},
	"bench":                    {"task", "auth/scope", "auth/hawk", "client", "taskgraph/synth"},
	"admin":                    {"task", "auth/scope", "auth/hawk", "client"},
	"workers":                  {"task", "auth/scope", "auth/hawk", "client"},
	"importer":                 {"local/starter"},
	"local":                    {"task", "auth/scope", "auth/hawk", "client", "workers"},
	"event/eventapi":           {"event", "auth/scope"},
	"event/pulse":              {"event"},
	"auth/authapi":             append(leaves, "auth"),
	"queue/queueapi":           append(leaves, "queue"),
	"index/indexapi":           append(leaves, "index"),
	"object/objectapi":         append(leaves, "object"),
	"login":                    append(leaves, "auth"),
	"login/provider":           {"auth/scope"},
	"login/loginapi":           append(leaves, "login"),
	"history/historyapi":       append(leaves, "history"),
	"cron":                     append(leaves, "taskgraph/cron", "taskgraph/graph"),
	"cron/cronapi":             append(leaves, "cron"),
	"hg":                       {},
	"pools":                    leaves,
	"pools/poolsapi":           append(leaves, "pools"),
	"secrets/secretsapi":       append(leaves, "secrets"),
	"purgecache/purgecacheapi": append(leaves, "purgecache"),
	"ui":                       append(leaves, "docs", "pools", "retention", "failures", "cron", "hooks", "login", "queue", "push", "triage", "index", "object", "auth", "taskgraph/explain", "workers/payload", "secrets", "notify", "purgecache", "event/pulse", "trace"),
	"app/intake":               append(leaves, "templates", "taskgraph", "queue", "push", "history", "object", "localgit", "workers"),
	"app":                      {"*"},
	"cmd":                      {"*"},
	"tools":                    {},
	"e2e":                      {"*"},
	"internal":                 {"auth/scope"},
	"internal/npmtest":         {"*"},
	"ui/uitest":                {"*"},
	"docs":                     {},
}

// own lists imports of other people's code, or of the standard library, that only some rooms may
// have.
var own = map[string]struct {
	why   string
	rooms []string
}{
	"github.com/jackc/pgx/v5":     {"SQL stands in rooms that own tables", []string{"internal/pg", "internal/pgtest", "internal/metrics", "internal/crypt/reseal", "event", "auth", "queue", "index", "object", "push", "triage", "login", "history", "failures", "hooks", "cron", "secrets", "purgecache", "notify", "pools", "retention", "backup", "replica", "doctor", "trace/export", "ui", "app", "cmd"}},
	"os/exec":                     {"programs are run by workers, forges and the database's keeper", []string{"workers", "pools/provider/local", "local", "localgit", "internal/pg", "internal/pgtest", "internal/npmtest", "internal/rabbittest", "internal/s3test", "internal/podmantest", "internal/hgtest", "internal/ghfake", "app/sample", "app/dev", "bench", "cmd", "tools", "ui/build", "ui/uitest"}},
	"go.opentelemetry.io":         {"one room speaks OpenTelemetry", []string{"trace/otlp", "trace/export", "internal/otlptest"}},
	"github.com/wneessen":         {"one room writes mail", []string{"notify/mail"}},
	"github.com/google/go-github": {"one room talks to GitHub", []string{"app/github"}},
	"github.com/prometheus":       {"one package speaks to Prometheus", []string{"internal/metrics"}},
	"github.com/rabbitmq":         {"one room talks to the broker", []string{"event/pulse", "internal/rabbittest"}},
	"net/http":                    {"pure rooms know no network", []string{"pools/provider", "internal/web", "internal/metrics", "internal/npmtest", "internal/s3test", "internal/awstest", "internal/ghfake", "internal/chattest", "internal/keyservice", "internal/trackertest", "internal/otlptest", "internal/pg", "event/eventapi", "auth/authapi", "auth/cloud", "queue/queueapi", "index/indexapi", "object", "history/historyapi", "notify/chat", "notify/notifyapi", "secrets/secretsapi", "purgecache/purgecacheapi", "trace/traceapi", "hg", "client", "admin/server", "workers", "bench", "login/provider", "login/loginapi", "internal/idptest", "doctor", "ui", "app", "cmd", "e2e"}},
}

type goPackage struct {
	ImportPath, Dir, Doc string
	GoFiles, Imports     []string
	TestImports          []string
	XTestImports         []string
}

func (p goPackage) room() string { return strings.TrimPrefix(p.ImportPath, module) }

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			list = append(list, p)
		}
	}
}

// ruled returns the longest key of the table that is room or stands above it.
func ruled(room string) (string, bool) {
	for dir := room; dir != "."; dir = path.Dir(dir) {
		if _, ok := allowed[dir]; ok {
			return dir, true
		}
	}
	return "", false
}

func within(room string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return d == "*" || room == d || strings.HasPrefix(room, d+"/") })
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	for _, p := range packages(t) {
		rule, ok := ruled(p.room())
		if !ok {
			t.Errorf("%s is in no room of the table in layout_test.go", p.room())
			continue
		}
		for _, imported := range p.Imports {
			for prefix, o := range own {
				if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && !within(p.room(), o.rooms) {
					t.Errorf("%s imports %s: %s", p.room(), imported, o.why)
				}
			}
			other, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			if theirs, _ := ruled(other); theirs == rule || strings.HasPrefix(other, "internal/") && rule != "internal" && (other != "internal/pgtest" || strings.HasSuffix(p.room(), "test")) {
				continue
			}
			if rule == "internal" && strings.HasPrefix(other, "internal/") || within(other, []string{rule}) && !strings.HasSuffix(other, "api") {
				continue
			}
			// A leaf's door or helper is not the leaf.
			target, _ := ruled(other)
			if !within("*", allowed[rule]) && !slices.Contains(allowed[rule], "*") && !slices.Contains(allowed[rule], target) && !slices.Contains(allowed[rule], other) {
				t.Errorf("%s must not import %s (a room reaches others through app, or by an event)", p.room(), other)
			}
		}
	}
}

func TestPureRoomsStayPure(t *testing.T) {
	impure := []string{"net", "net/http", "os", "os/exec", "math/rand", "math/rand/v2", "crypto/rand", "database/sql"}
	for _, p := range packages(t) {
		if !within(p.room(), []string{"templates", "taskgraph", "auth/scope", "task"}) {
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(impure, imported) {
				t.Errorf("%s imports %s: what it makes may depend on its input alone", p.room(), imported)
			}
		}
		eachFile(t, p, func(name string, file *ast.File, fset *token.FileSet) {
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Now" {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
						t.Errorf("%s reads the clock: take the time as a value", fset.Position(n.Pos()))
					}
				}
				return true
			})
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.room())
		}
	}
}

func TestFilesAndFunctionsFitTheReader(t *testing.T) {
	const maxFile, maxFunction, maxPackage = 800, 120, 4000
	for _, p := range packages(t) {
		total := 0
		eachFile(t, p, func(name string, file *ast.File, fset *token.FileSet) {
			lines := fset.File(file.Pos()).LineCount()
			total += lines
			if lines > maxFile {
				t.Errorf("%s/%s has %d lines: split it by noun or verb", p.room(), name, lines)
			}
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line; n > maxFunction {
					t.Errorf("%s: %s has %d lines", fset.Position(f.Pos()), f.Name.Name, n)
				}
			}
		})
		if total > maxPackage {
			t.Errorf("%s has %d lines: split it by noun", p.room(), total)
		}
	}
}

func eachFile(t *testing.T, p goPackage, see func(name string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	for _, name := range p.GoFiles {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		see(name, file, fset)
	}
}

var (
	createTable = regexp.MustCompile(`(?im)^\s*CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)`)
	versionFile = regexp.MustCompile(`^\d{4}_([a-z]+)\w*\.up\.sql$`)
)

// TestTablesAreNamedByTheirOwner finds, in the SQL of each room, tables that another room made.
func TestTablesAreNamedByTheirOwner(t *testing.T) {
	owner := map[string]string{}
	versions := os.DirFS("internal/pg/versions")
	files, err := fs.Glob(versions, "*.up.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no versions: %v", err)
	}
	for _, name := range files {
		m := versionFile.FindStringSubmatch(name)
		if m == nil {
			t.Fatalf("version %s is not named NNNN_room_what.up.sql", name)
		}
		text, err := fs.ReadFile(versions, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range createTable.FindAllStringSubmatch(string(text), -1) {
			owner[table[1]] = m[1]
		}
	}
	for _, p := range packages(t) {
		room, _, _ := strings.Cut(p.room(), "/")
		eachFile(t, p, func(_ string, file *ast.File, fset *token.FileSet) {
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					for table := range tablesNamed(lit.Value) {
						if by, known := owner[table]; known && by != room {
							t.Errorf("%s: table %s belongs to %s", fset.Position(n.Pos()), table, by)
						}
					}
				}
				return true
			})
		})
	}
}

var tableUse = regexp.MustCompile(`\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:ONLY\s+)?(\w+)`)

func tablesNamed(sql string) map[string]bool {
	found := map[string]bool{}
	for _, m := range tableUse.FindAllStringSubmatch(sql, -1) {
		found[m[1]] = true
	}
	return found
}
