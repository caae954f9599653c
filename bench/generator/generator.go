// Package generator measures the task graph generator as its users meet it: whole processes of
// "treeline taskgraph" on synthetic repositories of 25 to 100,000 tasks, beside what the Python program
// taskgraph took for graphs of the same shape, and what is to be reached. It asserts nothing.
package generator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/taskgraph/synth"
)

// Options say what to measure.
type Options struct {
	Program string // treeline
	Dir     string // for the repositories
	Runs    int    // processes for each figure, after one that is not counted
	Large   bool   // 100,000 tasks, too
	Log     func(format string, args ...any)
}

// Figure is a time and a peak of memory; 0 is unknown.
type Figure struct {
	Seconds   float64 `json:"seconds,omitempty"`
	Megabytes float64 `json:"megabytes,omitempty"`
}

// Line is one row of the report.
type Line struct {
	Repository string  `json:"repository"`
	Command    string  `json:"command"`
	Wall       Figure  `json:"wall"` // medians
	Best       float64 `json:"bestSeconds"`
	CPU        float64 `json:"cpuSeconds"`
	Python     Figure  `json:"python"`
	Reach      Figure  `json:"reach"`
}

// Report is what was measured.
type Report struct {
	Title string   `json:"title"`
	Lines []Line   `json:"lines"`
	Notes []string `json:"notes"`
}

// measure is one row to be measured.
type measure struct {
	repository    string
	size          synth.Options
	args          []string
	python, reach Figure
}

// measures are all rows. The figures of Python are medians of five whole processes of taskgraph 24.2.0,
// Python 3.11, on a quiet machine of 2 cores; its graph of 25 tasks is that of its own repository.
func measures(large bool) []measure {
	own := synth.Options{Tasks: 25, Platforms: 5, Variants: 1, Chain: 5}
	list := []measure{
		{"25 tasks", own, []string{"full", "-L"}, Figure{0.70, 54}, Figure{0.03, 0}},
		{"1,000 tasks (50 × 20)", synth.Matrix(1_000), []string{"full", "-L"}, Figure{1.34, 78}, Figure{0.05, 0}},
		{"10,000 tasks (500 × 20)", synth.Matrix(10_000), []string{"full", "-L"}, Figure{8.20, 211}, Figure{0.25, 150}},
		{"10,000 tasks (500 × 20)", synth.Matrix(10_000), []string{"full", "-J"}, Figure{12.7, 390}, Figure{0.5, 300}},
		{"10,000 tasks (500 × 20)", synth.Matrix(10_000), []string{"optimized", "-L"}, Figure{10.2, 213}, Figure{0.35, 0}},
		{"10,000 entries, no matrix", synth.Flat(10_000), []string{"full", "-L"}, Figure{15.0, 455}, Figure{0.5, 0}},
		{"20,000 tasks (1,000 × 20)", synth.Matrix(20_000), []string{"target-graph", "-L"}, Figure{}, Figure{}},
		{"20,000 tasks (1,000 × 20)", synth.Matrix(20_000), []string{"optimized", "-L"}, Figure{}, Figure{}},
	}
	if large {
		list = append(list, measure{"100,000 tasks (5,000 × 20)", synth.Matrix(100_000), []string{"full", "-L"}, Figure{}, Figure{}})
	}
	return list
}

// Run measures.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &Report{Title: "Treeline: the task graph generator, whole processes"}
	made := map[synth.Options]string{}
	for _, m := range measures(o.Large) {
		dir := made[m.size]
		if dir == "" {
			dir = filepath.Join(o.Dir, fmt.Sprint("repository-", len(made)))
			if err := write(dir, m.size); err != nil {
				return nil, err
			}
			made[m.size] = dir
		}
		o.Log("%s: taskgraph %s", m.repository, m.args)
		line, err := m.run(ctx, o, dir)
		if err != nil {
			return nil, err
		}
		r.Lines = append(r.Lines, line)
	}
	r.summary()
	return r, nil
}

// write writes the repository into a new directory.
func write(dir string, size synth.Options) error {
	files, err := synth.Files(size)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.CopyFS(dir, files); err != nil {
		return fmt.Errorf("bench: write the repository: %w", err)
	}
	return nil
}

// run starts the process again and again.
func (m measure) run(ctx context.Context, o Options, dir string) (Line, error) {
	var walls, cpus, peaks []float64
	for i := range max(o.Runs, 1) + 1 {
		cmd := exec.CommandContext(ctx, o.Program, append([]string{"taskgraph", m.args[0], "-p", synth.Parameters}, m.args[1:]...)...)
		cmd.Dir = dir
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return Line{}, fmt.Errorf("bench: treeline taskgraph %s of %s: %w", m.args[0], m.repository, err)
		}
		wall := time.Since(began)
		if i == 0 {
			continue // it warms the disk's cache
		}
		walls = append(walls, wall.Seconds())
		cpus = append(cpus, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
		if peak, ok := sys.Peak(cmd.ProcessState); ok {
			peaks = append(peaks, float64(peak)/1e6)
		}
	}
	return Line{
		Repository: m.repository, Command: m.args[0] + " " + m.args[1], Wall: Figure{median(walls), median(peaks)}, Best: slices.Min(walls),
		CPU: median(cpus), Python: m.python, Reach: m.reach,
	}, nil
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// summary adds what follows from several lines.
func (r *Report) summary() {
	r.Notes = append(r.Notes, fmt.Sprintf("%d processors. wall, cpu and MB are medians; cpu is user and system time of all threads, MB the process's peak.", runtime.NumCPU()))
	at := map[string]Line{}
	for _, l := range r.Lines {
		at[l.Repository+" "+l.Command] = l
	}
	const large = "20,000 tasks (1,000 × 20) "
	if target, ok := at[large+"target-graph -L"]; ok {
		r.Notes = append(r.Notes, fmt.Sprintf("Optimization of 20,000 tasks alone: %.2f s (to reach: 0.5 s).", max(at[large+"optimized -L"].Wall.Seconds-target.Wall.Seconds, 0)))
	}
	ten, hundred := at["10,000 tasks (500 × 20) full -L"], at["100,000 tasks (5,000 × 20) full -L"]
	if ten.CPU > 0 && hundred.CPU > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("100,000 tasks take %.1f times the processor time of 10,000, and %.1f times the time.", hundred.CPU/ten.CPU, hundred.Wall.Seconds/ten.Wall.Seconds))
	}
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	fmt.Fprintln(w, r.Title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "repository\tcommand\twall s\tbest s\tcpu s\tMB\tPython s\tPython MB\treach s\treach MB\ttimes Python")
	for _, l := range r.Lines {
		fmt.Fprintf(t, "%s\t%s\t%.3f\t%.3f\t%.2f\t%.0f\t%s\t%s\t%s\t%s\t%s\n", l.Repository, l.Command, l.Wall.Seconds, l.Best, l.CPU, l.Wall.Megabytes,
			number(l.Python.Seconds), number(l.Python.Megabytes), number(l.Reach.Seconds), number(l.Reach.Megabytes), times(l))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return err
		}
	}
	return nil
}

func number(f float64) string {
	if f == 0 {
		return "-"
	}
	return fmt.Sprintf("%.4g", f)
}

func times(l Line) string {
	if l.Python.Seconds == 0 || l.Wall.Seconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", l.Python.Seconds/l.Wall.Seconds)
}
