package generator

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/synth"
)

func TestAMeasureRunsTheProgramOnItsRepository(t *testing.T) {
	program := filepath.Join(t.TempDir(), "treeline")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/treeline-ci/treeline/cmd/treeline").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "repository")
	small := measures(false)[0]
	if err := write(dir, small.size); err != nil {
		t.Fatal(err)
	}
	line, err := small.run(t.Context(), Options{Program: program, Runs: 3}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if line.Wall.Seconds <= 0 || line.Best > line.Wall.Seconds || line.CPU <= 0 || line.Wall.Megabytes < 1 {
		t.Errorf("%+v", line)
	}
	cmd := exec.CommandContext(t.Context(), program, "taskgraph", "full", "-L", "-p", synth.Parameters)
	cmd.Dir = dir
	out, err := cmd.Output()
	if labels := strings.Fields(string(out)); err != nil || len(labels) != 25 || labels[0] != "synth-t00000-p0-v0" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := (measure{args: []string{"full", "--no-such-flag"}}).run(t.Context(), Options{Program: program, Runs: 1}, dir); err == nil {
		t.Error("a process that fails was measured")
	}
}

func TestTheReportSaysWhatFollows(t *testing.T) {
	r := &Report{Title: "t", Lines: []Line{
		{Repository: "10,000 tasks (500 × 20)", Command: "full -L", Wall: Figure{0.25, 140}, CPU: 0.4, Python: Figure{8.20, 211}},
		{Repository: "20,000 tasks (1,000 × 20)", Command: "target-graph -L", Wall: Figure{0.5, 0}},
		{Repository: "20,000 tasks (1,000 × 20)", Command: "optimized -L", Wall: Figure{0.75, 0}},
		{Repository: "100,000 tasks (5,000 × 20)", Command: "full -L", Wall: Figure{2.5, 0}, CPU: 4.2},
	}}
	r.summary()
	var b bytes.Buffer
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.250", "8.2 ", "33\n", "Optimization of 20,000 tasks alone: 0.25 s", "100,000 tasks take 10.5 times the processor time of 10,000, and 10.0 times"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := r.JSON(&b); err != nil || !strings.Contains(b.String(), `"cpuSeconds": 0.4`) {
		t.Errorf("%v: %s", err, b.String())
	}
}
