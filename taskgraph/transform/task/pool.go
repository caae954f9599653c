package task

import (
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// pool is what an alias of workers.aliases stands for; a push to try may send it elsewhere
// (worker-overrides, taskgraph-map 23.3).
func pool(c *transform.Config, alias string) (config.Worker, error) {
	w, err := c.Graph.Worker(alias, c.Level())
	if err != nil {
		return w, err
	}
	settings, _ := c.Params.Get(tryconfig.Parameter).(map[string]any)
	if to, ok := value.Map(settings, "worker-overrides")[alias].(string); ok {
		w.Provisioner, w.WorkerType, _ = strings.Cut(to, "/")
	}
	return w, nil
}
