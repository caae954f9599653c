package build_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/build"
)

func TestAProgramKnowsWhatItIs(t *testing.T) {
	i := build.Read()
	if i.Version == "" || i.Go != runtime.Version() || i.OS != runtime.GOOS || i.Arch != runtime.GOARCH {
		t.Errorf("%+v", i)
	}
	if !strings.HasPrefix(i.String(), i.Version) {
		t.Errorf("in a line: %s", i)
	}
}
