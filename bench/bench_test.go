package bench_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/bench"
)

func TestSample(t *testing.T) {
	s := bench.Sample{3, 1, 2, 5, 4}
	for share, want := range map[float64]time.Duration{0: 1, 0.2: 1, 0.21: 2, 0.5: 3, 0.95: 5, 1: 5} {
		if got := s.At(share); got != want {
			t.Errorf("At(%v) = %v, want %v", share, got, want)
		}
	}
	if got := (bench.Sample{}).At(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	if diff := cmp.Diff(bench.Sample{3, 1, 2, 5, 4}, s); diff != "" {
		t.Errorf("the sample was changed: %s", diff)
	}
}

func TestReport(t *testing.T) {
	r := bench.Report{
		Title: "things", Began: "2026-01-02T03:04:05Z", Notes: []string{"a note"},
		Lines: []bench.Line{
			{Name: "a long thing", Connections: 8, Count: 12345, PerSecond: 1234.6, P50: 1.25, P95: 2, P99: 3, Max: 4, Processor: 0.5, Errors: 5},
			{Name: "é", Count: 1, Old: 7},
		},
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	want := `
things        conn       n        /s    p50 ms    p95 ms    p99 ms    max ms  cpu ms  errors
a long thing     8   12345      1235       1.2       2.0       3.0       4.0    0.50       5
with 7 old tasks:
é                -       1         -       0.0       0.0       0.0       0.0       -       -
a note
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), table.String()); diff != "" {
		t.Error(diff)
	}
	var text bytes.Buffer
	if err := r.JSON(&text); err != nil {
		t.Fatal(err)
	}
	var back bench.Report
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back, cmpopts.IgnoreUnexported(bench.Report{})); diff != "" {
		t.Error(diff)
	}
}

func TestProbeSync(t *testing.T) {
	dir := t.TempDir()
	took, err := bench.ProbeSync(dir, 3)
	if err != nil || len(took) != 3 || took.At(0) <= 0 {
		t.Errorf("%v, %v", took, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if _, err := bench.ProbeSync(filepath.Join(dir, "missing"), 1); err == nil {
		t.Error("a directory that is not there can be measured")
	}
}

// build makes the program and a directory that tasks may enter, whoever they run as.
func build(t *testing.T) (program, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "treeline-bench-test-") //nolint:usetesting // tasks run as another user, who must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "treeline")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/treeline-ci/treeline/cmd/treeline").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program, dir
}

// checkLines makes sure that everything was measured, and without an error.
func checkLines(t *testing.T, r *bench.Report) {
	t.Helper()
	for _, l := range r.Lines {
		if l.Count == 0 || l.Max <= 0 || l.P50 > l.P95 || l.P95 > l.P99 || l.P99 > l.Max || l.Errors > 0 {
			t.Errorf("%+v", l)
		}
	}
	if t.Failed() {
		t.Log(r.Notes)
	}
}

func TestMeasurementsOfTheRealProgram(t *testing.T) {
	program, dir := build(t)
	t.Run("a commit's way", func(t *testing.T) {
		r, err := bench.Commit(t.Context(), bench.CommitOptions{
			Program: program, Data: filepath.Join(dir, "commit"), Commits: 2, Workers: 1, Changed: "README.md", Log: t.Logf,
		})
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, r)
		var parts, whole float64
		for _, l := range r.Lines[:6] { // up to the first task running
			parts += l.Max
		}
		for _, l := range r.Lines {
			if strings.HasPrefix(l.Name, "= commit begun to first task running") {
				whole = l.P50
			}
		}
		if whole == 0 || parts < whole {
			t.Errorf("the parts make %.1f ms at most, the whole %.1f ms at least", parts, whole)
		}
	})
	t.Run("the queue", func(t *testing.T) {
		r, err := bench.OwnQueue(t.Context(), program, filepath.Join(dir, "queue"), bench.QueueOptions{Each: 100 * time.Millisecond, Group: 50, Old: 60, Log: t.Logf})
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, r)
		old := slices.IndexFunc(r.Lines, func(l bench.Line) bool { return l.Old == 60 })
		if len(r.Lines) != 2*17+2 || old != 17 || r.Stranded > 0 {
			t.Errorf("%d lines, %d of them before the old tasks, %d tasks stranded", len(r.Lines), old, r.Stranded)
		}
		for _, l := range r.Lines[:10] {
			if l.Processor <= 0 {
				t.Errorf("%s took the server no time", l.Name)
			}
		}
		if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "MiB before") || !strings.Contains(notes, "fdatasync") {
			t.Errorf("notes: %s", notes)
		}
	})
}
