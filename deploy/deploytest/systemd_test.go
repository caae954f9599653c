//go:build deploy

package deploytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd finds nothing wrong with the units, and says how much of the machine they expose: at most so many tenths of
// 10. The worker runs tasks as users of their own, for which it is root.
func TestSystemdTakesTheUnits(t *testing.T) {
	dir := t.TempDir()
	for name, most := range map[string]string{"treeline.service": "15", "treeline-worker@garage.service": "82"} {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath("true") // the units' own is not installed here
			if err != nil {
				t.Fatal(err)
			}
			unit := filepath.Join(dir, name)
			content := strings.ReplaceAll(text(t, filepath.Join("../systemd", strings.Replace(name, "garage", "", 1))), "/usr/bin/treeline", program)
			if err := os.WriteFile(unit, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
			out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold="+most, unit).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "Overall exposure") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
