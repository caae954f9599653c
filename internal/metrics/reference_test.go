package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/metrics"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md")

const referencePath = "../../docs/reference/metrics.md"

// reference is the page of all metrics.
func reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Metrics

<!-- Made by "go test ./internal/metrics -run Reference -update" from the code. -->

What a server shows to Prometheus at %s, when %s or --metrics-address says where
([how to watch a deployment](../operations/monitor.md)). Names that begin with http_, queue_, worker_manager_, auth_ and iterate_
are Taskcluster's, with its meaning; labels may be fewer. Besides these there are those of the Go runtime (go_…) and of the
process (process_…).

Values of the source *process* are what one server did since it began: add those of all servers up. Values of the source
*database* are the same at each server: take the highest. Labels have few values: ids of tasks, pushes and people never stand
there, and of task queues and worker pools the %d busiest have series of their own, all others are `+"`other`"+` together.
`, metrics.Path, metrics.AddressSetting, metrics.Most)
	room := ""
	for _, f := range metrics.Families() {
		if f.Room != room {
			room = f.Room
			fmt.Fprintf(&b, "\n## %s\n\n| metric | kind | source | labels | what it says |\n|---|---|---|---|---|\n", room)
		}
		labels := "–"
		if len(f.Labels) > 0 {
			labels = strings.Join(f.Labels, ", ")
		}
		help := f.Help
		if len(f.Buckets) > 0 {
			help += fmt.Sprintf(" Buckets: %s s.", strings.Trim(strings.ReplaceAll(fmt.Sprint(f.Buckets), " ", ", "), "[]"))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, f.Kind, f.Source, labels, help)
	}
	return b.String()
}

func TestReference(t *testing.T) {
	want := reference()
	if *update {
		if err := os.WriteFile(referencePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(read(t, referencePath)) != want {
		t.Error(`docs/reference/metrics.md is not what the code says: run "go test ./internal/metrics -run Reference -update"`)
	}
}

func TestFamiliesAreWellFormed(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*[a-z0-9]$`)
	// Taskcluster has these names, and existing dashboards know them.
	peers := map[string]bool{"queue_completed_tasks": true, "queue_failed_tasks": true, "queue_exception_tasks": true, "queue_workers_total": true}
	seen := map[string]bool{}
	for _, f := range metrics.Families() {
		if !name.MatchString(f.Name) || seen[f.Name] || f.Help == "" || !strings.HasSuffix(f.Help, ".") || f.Room == "" || f.Source == "" {
			t.Errorf("%+v: it is double, or lacks something", f)
		}
		seen[f.Name] = true
		if (f.Kind == metrics.Counter) != strings.HasSuffix(f.Name, "_total") && !peers[f.Name] {
			t.Errorf("%s is a %s", f.Name, f.Kind)
		}
		if (f.Kind == metrics.Histogram) != (len(f.Buckets) > 0) {
			t.Errorf("%s: its buckets are %v", f.Name, f.Buckets)
		}
		for _, l := range f.Labels {
			if strings.Contains(strings.ToLower(l), "task") || l == "clientId" || l == "user" || l == "repository" {
				t.Errorf("%s: the label %s has no bounds", f.Name, l)
			}
		}
	}
}
