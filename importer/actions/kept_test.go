package actions_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/importer/actions"
)

// TestOneWorkflowMore converts workflows one after the other, as somebody who tries one first does.
func TestOneWorkflowMore(t *testing.T) {
	files := fstest.MapFS{
		".github/workflows/build.yml":   {Data: []byte("on: push\njobs: {one: {runs-on: windows-latest, steps: [{run: ver}]}}\n")},
		".github/workflows/nightly.yml": {Data: []byte("on: {schedule: [{cron: '0 3 * * *'}]}\njobs: {two: {runs-on: [self-hosted, gpu], steps: [{run: 'true'}]}}\n")},
		".github/workflows/test.yml":    {Data: []byte("on: pull_request\njobs: {three: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n")},
		".github/workflows/never.yml":   {Data: []byte("on: push\njobs: {four: {runs-on: macos-latest, steps: [{run: 'true'}]}}\n")},
	}
	bring := func(workflows ...string) (written map[string]string, r *actions.Result) {
		t.Helper()
		r, err := actions.Convert(files, project, actions.Options{Repository: "acme/app", Workflows: workflows, Runners: map[string]string{"gpu": "lab/gpu"}})
		if err != nil {
			t.Fatal(err)
		}
		written = map[string]string{}
		for _, f := range r.Files {
			written[f.Name] = f.Content
			files[f.Name] = &fstest.MapFile{Data: []byte(f.Content)}
		}
		return written, r
	}
	bring("build", "nightly", "test")
	together := maps.Clone(files)
	// By hand, a kind asks for a worker that no workflow does.
	config := string(files["taskcluster/config.yml"].Data)
	byHand := "    \"arm\":\n      provisioner: \"lab\"\n      implementation: generic-worker\n      os: linux\n      worker-type: \"arm64\"\n"
	files["taskcluster/config.yml"] = &fstest.MapFile{Data: []byte(strings.Replace(config, "workers:\n  aliases:\n", "workers:\n  aliases:\n"+byHand, 1))}

	written, r := bring("test")
	if want := []string{".cron.yml", ".taskcluster.yml", "taskcluster/config.yml", "taskcluster/kinds/test/kind.yml"}; !slices.Equal(slices.Sorted(maps.Keys(written)), want) {
		t.Errorf("written are %v", slices.Sorted(maps.Keys(written)))
	}
	if len(r.Workflows) != 1 || r.Workflows[0].Kind != "test" {
		t.Errorf("it is told of %+v", r.Workflows)
	}
	got := written["taskcluster/config.yml"]
	if !strings.Contains(got, byHand) || strings.Contains(got, "macos") || strings.Contains(got, "never") {
		t.Errorf("the configuration is\n%s", got)
	}
	if diff := cmp.Diff(config, strings.Replace(got, "    # was here before\n"+byHand, "", 1)); diff != "" {
		t.Errorf("-together +one after the other:\n%s", diff)
	}
	for name, f := range together {
		if name != "taskcluster/config.yml" && string(files[name].Data) != string(f.Data) {
			t.Errorf("%s is another: %s", name, cmp.Diff(string(f.Data), string(files[name].Data)))
		}
	}
}
