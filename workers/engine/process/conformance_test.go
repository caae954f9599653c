package process_test

import (
	"errors"
	"os"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/cgroup"
	"github.com/treeline-ci/treeline/workers/engine/enginetest"
	"github.com/treeline-ci/treeline/workers/engine/process"
)

// groups are those of a test, nil where there are none to be had.
func groups(t *testing.T, name string) *cgroup.Root {
	t.Helper()
	root, err := cgroup.Open(name)
	if errors.Is(err, fault.Unavailable) {
		t.Logf("without control groups: %v", err)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func alone() *engine.User {
	if os.Geteuid() != 0 {
		return nil
	}
	return process.Numbered(61_231)
}

func TestTheProcessEngineIsAnEngine(t *testing.T) {
	name := "treeline-test-engine"
	limits := groups(t, name) != nil
	enginetest.Run(t, enginetest.Bench{
		New: func(t *testing.T) engine.Engine {
			e := process.New(process.Options{Groups: groups(t, name)})
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
			return e
		},
		User: alone(), Path: "/usr/bin:/bin", Limits: limits, Detached: true, Hides: !limits && alone() == nil,
	})
}

func TestTheProcessEngineWithoutGroups(t *testing.T) {
	enginetest.Run(t, enginetest.Bench{
		New:  func(*testing.T) engine.Engine { return process.New(process.Options{}) },
		User: alone(), Path: "/usr/bin:/bin", Detached: true, Hides: alone() == nil,
	})
}
