// Package audit_test runs audit.sh on a package of ours with small databases of vulnerabilities.
package audit_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scanned is a small package of ours that writes YAML with called, of module, and never calls uncalled.
const (
	scanned  = "./taskgraph/params"
	module   = "gopkg.in/yaml.v3"
	called   = "Encoder.Encode"
	uncalled = "Decoder.KnownFields"
)

// database writes one entry in the layout of vuln.go.dev, and returns the URL of its directory. A fixed version
// that is empty means that there is none.
func database(t *testing.T, id, fixed, symbol string) string {
	t.Helper()
	dir := t.TempDir()
	const when = "2026-01-02T03:04:05Z"
	events := []map[string]string{{"introduced": "0"}}
	if fixed != "" {
		events = append(events, map[string]string{"fixed": fixed})
	}
	for name, content := range map[string]any{
		"index/db.json":      map[string]string{"modified": when},
		"index/vulns.json":   []any{map[string]any{"id": id, "modified": when}},
		"index/modules.json": []any{map[string]any{"path": module, "vulns": []any{map[string]string{"id": id, "modified": when, "fixed": fixed}}}},
		"ID/" + id + ".json": map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": when, "published": when, "summary": "made for a test", "details": "made for a test",
			"database_specific": map[string]string{"url": "https://pkg.go.dev/vuln/" + id},
			"affected": []any{map[string]any{
				"package":            map[string]string{"name": module, "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": events}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": module, "symbols": []string{symbol}}}},
			}},
		},
	} {
		text, err := json.Marshal(content)
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755)); err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + filepath.ToSlash(dir)
}

// audit runs the script as make audit does, and returns what it said with its status.
func audit(t *testing.T, govulndb string, args ...string) (said string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "tools/audit/audit.sh", append(args, scanned)...)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "GOVULNDB="+govulndb)
	out, err := cmd.CombinedOutput()
	if ended := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestAuditFailsForWhatIsReachedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		fixed, symbol string
		status        int
		says          []string
	}{
		"a function that we call":                {"", called, 1, []string{"GO-2026-9999", module, "taskgraph/params/write.go", "vulnerabilities were found"}},
		"a function that nobody calls":           {"", uncalled, 0, []string{"knows of no vulnerability that Treeline's code reaches"}},
		"a function that we call, mended before": {"2.9.0", called, 0, []string{"knows of no vulnerability that Treeline's code reaches"}},
	} {
		t.Run(name, func(t *testing.T) {
			said, status := audit(t, database(t, "GO-2026-9999", c.fixed, c.symbol))
			if status != c.status {
				t.Errorf("status %d, not %d", status, c.status)
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not said", want)
				}
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
}

func TestAuditFailsWhenNoDatabaseIsThere(t *testing.T) {
	for _, away := range []string{"file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "missing")), "https://127.0.0.1:1"} {
		said, status := audit(t, "none", "-db", away)
		if status != 2 || !strings.Contains(said, "NOTHING WAS CHECKED") || !strings.Contains(said, "GOVULNDB=file:///DIRECTORY") {
			t.Errorf("%s: status %d\n%s", away, status, said)
		}
	}
}

func TestAuditIsLeftOutOnlyByChoice(t *testing.T) {
	if said, status := audit(t, "none"); status != 0 || !strings.Contains(said, "WERE NOT LOOKED FOR") || strings.Contains(said, "no vulnerability") {
		t.Errorf("status %d: %s", status, said)
	}
}
