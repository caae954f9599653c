package star_test

import (
	"fmt"
	"testing"
)

// BenchmarkTransform sends 10,000 task descriptions of usual size through a function that adds
// to the environment of each.
func BenchmarkTransform(b *testing.B) {
	items := make([]map[string]any, 10_000)
	for i := range items {
		items[i] = map[string]any{
			"name": fmt.Sprintf("task-%d", i), "description": "a task", "worker-type": "b-linux", "run-on-projects": []any{"all"},
			"attributes":   map[string]any{"build_platform": "linux64", "chunk": int64(i)},
			"worker":       map[string]any{"docker-image": map[string]any{"in-tree": "base"}, "max-run-time": int64(3600), "env": map[string]any{"A": "1", "B": "2", "C": "3"}},
			"run":          map[string]any{"using": "run-task", "command": []any{"make", "test"}, "cwd": "{checkout}"},
			"dependencies": map[string]any{"build": fmt.Sprintf("build-%d", i)}, "treeherder": map[string]any{"symbol": "T", "platform": "linux/opt", "tier": int64(1)},
		}
	}
	for name, src := range map[string]string{
		"each": "def f(config, task):\n    task['worker'].setdefault('env', {})['LEVEL'] = config.params['level'] + '-' + task['name']\n    return task\n",
		"all":  "def f(config, tasks):\n    for task in tasks:\n        task['worker'].setdefault('env', {})['LEVEL'] = config.params['level'] + '-' + task['name']\n    return tasks\n",
	} {
		b.Run(name, func(b *testing.B) {
			m := load(b, src)
			for b.Loop() {
				if _, err := m.Transform(b.Context(), "f", config(), items); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
