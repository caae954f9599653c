package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app"
)

func TestASettingMayStandInAFile(t *testing.T) {
	const name = "TREELINE_PULSE_URL"
	t.Setenv(name, "")
	t.Setenv(name+"_FILE", "")
	if got, err := app.Setting(name); got != "" || err != nil {
		t.Errorf("nothing is set: %q, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("amqp://h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(name+"_FILE", file)
	if got, err := app.Setting(name); got != "amqp://h" || err != nil {
		t.Errorf("in a file: %q, %v", got, err)
	}
	t.Setenv(name, "amqp://other")
	if _, err := app.Setting(name); err == nil || !strings.Contains(err.Error(), "both set") {
		t.Errorf("both: %v", err)
	}
	t.Setenv(name, "")
	t.Setenv(name+"_FILE", file+"x")
	if _, err := app.Setting(name); err == nil || !strings.Contains(err.Error(), name+"_FILE") {
		t.Errorf("no such file: %v", err)
	}
}
