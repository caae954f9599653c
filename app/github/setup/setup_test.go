package setup_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/github/setup"
	"github.com/treeline-ci/treeline/internal/ghfake"
)

func TestTheDocumentsNameEveryPermissionAndEvent(t *testing.T) {
	text, err := os.ReadFile("../../../docs/how-to/github.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range setup.Needs() {
		if row := fmt.Sprintf("| %s | %s | %s |\n", n.Permission, n.Level, n.Why); !strings.Contains(string(text), row) {
			t.Errorf("docs/how-to/github.md lacks the row %s", row)
		}
	}
	for _, n := range setup.Events() {
		if !strings.Contains(string(text), n.Permission) {
			t.Errorf("docs/how-to/github.md does not name the event %s", n.Permission)
		}
	}
}

// The double's own App asks for the same, so that tests go without what a real App would lack.
func TestTheDoublesAppAsksForTheSame(t *testing.T) {
	have := ghfake.DefaultPermissions()
	for _, n := range setup.Needs() {
		if have[n.Permission] != n.Level {
			t.Errorf("the double grants %s: %q", n.Permission, have[n.Permission])
		}
		delete(have, n.Permission)
	}
	if len(have) > 0 {
		t.Errorf("the double grants more: %v", have)
	}
	if len(ghfake.DefaultEvents()) != len(setup.Events()) {
		t.Errorf("%v", ghfake.DefaultEvents())
	}
}
