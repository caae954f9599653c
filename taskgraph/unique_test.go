package taskgraph_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
)

// TestOfTasksWithOneLabelTheLastStays has the same outcome whether the kind's items wait for each other,
// as fetches make them, or not.
func TestOfTasksWithOneLabelTheLastStays(t *testing.T) {
	kind := `loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.matrix, taskgraph.transforms.run, taskgraph.transforms.task]
task-defaults:
  description: "{matrix[os]}"
  worker-type: b-linux
  worker: {docker-image: x, max-run-time: 1}
  run: {using: run-task, command: c}
tasks:
  a: {matrix: {os: [first, last], set-name: one, substitution-fields: [description]}}
  b: {matrix: {os: [only], substitution-fields: [description]}FETCHES}
`
	for name, fetches := range map[string]string{"at once": "", "waiting": ", fetches: {}"} {
		t.Run(name, func(t *testing.T) {
			files := small("k", strings.Replace(kind, "FETCHES", fetches, 1))
			res, err := generate(t, files, taskgraph.Full)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for label, task := range res.Full.All() {
				got[label] = task.Description
			}
			if diff := cmp.Diff(map[string]string{"k-one": "last", "k-b-only": "only"}, got); diff != "" {
				t.Error(diff)
			}
			const want = `taskcluster/kinds/k/kind.yml:9: task k-one: several tasks of the kind "k" have the label k-one; only the last one stays`
			if len(res.Warnings) != 1 || !strings.HasPrefix(res.Warnings[0].Error(), want) {
				t.Errorf("warnings %v", res.Warnings)
			}
			_, err = taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), Scripts: scripts(), Strict: true}, taskgraph.Full)
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("strict: %v", err)
			}
		})
	}
}
