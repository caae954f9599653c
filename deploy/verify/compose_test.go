package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// project loads compose.yaml as "docker compose config" does, in a copy with secrets.
func project(t *testing.T) *types.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	secrets := exec.Command("sh", filepath.Join(dir, "compose", "secrets.sh"))
	secrets.Dir = dir
	if out, err := secrets.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")}, cli.WithWorkingDirectory(dir), cli.WithInterpolation(true), cli.WithConsistency(true), cli.WithNormalization(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeLoadsTheFile(t *testing.T) {
	p := project(t)
	if got := p.ServiceNames(); !slices.Equal(got, []string{"postgres", "proxy", "rabbitmq", "s3", "treeline-1", "treeline-2"}) {
		t.Errorf("services %v", got)
	}
	for name, s := range p.Services {
		if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
	}
	for _, name := range []string{"treeline-1", "treeline-2"} {
		s := p.Services[name]
		if !s.ReadOnly || len(s.Secrets) != 5 || s.DependsOn["postgres"].Condition != types.ServiceConditionHealthy || *s.Environment["TREELINE_INTERNAL_URL"] != "http://"+name+":8080" {
			t.Errorf("%s: %+v", name, s)
		}
		if *s.Environment["TREELINE_ROOT_URL"] != "https://ci.example.com" {
			t.Errorf("%s: %s", name, *s.Environment["TREELINE_ROOT_URL"])
		}
	}
	for name, s := range p.Secrets {
		if info, err := os.Stat(s.File); err != nil || info.Size() == 0 {
			t.Errorf("secret %s: %v", name, err)
		}
	}
}
