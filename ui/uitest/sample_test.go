package uitest_test

import (
	"testing"

	"github.com/treeline-ci/treeline/ui/uitest"
)

func sample(t *testing.T, s *uitest.Site) (group string, ids map[string]string) {
	t.Helper()
	return uitest.Sample(t, s)
}
