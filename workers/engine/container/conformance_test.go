package container_test

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/container"
	"github.com/treeline-ci/treeline/workers/engine/enginetest"
)

func TestTheContainerEngineIsAnEngine(t *testing.T) {
	e := connect(t)
	enginetest.Run(t, enginetest.Bench{
		New:   func(*testing.T) engine.Engine { return container.NewRunner(e, container.Options{Agent: "conformance"}) },
		Image: podmantest.Image, User: &engine.User{Name: "task", UID: 1000, GID: 1000}, Limits: true,
	})
}
