package taskgraph_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/treeline-ci/treeline/taskgraph"
)

// hostile are kind files made to take long, take much or break something.
func hostile() map[string]string {
	return map[string]string{
		"an alias bomb":            aliasBomb(),
		"an alias bomb merged":     strings.ReplaceAll(aliasBomb(), "[x, x", "[{a: b}, x") + "task-defaults: {<<: [*a1]}\n",
		"deep nesting":             "tasks: " + strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000),
		"deep lists":               "tasks: {a: " + strings.Repeat("[", 20000),
		"a huge key":               "tasks: {" + strings.Repeat("k", 1<<20) + ": {}}",
		"a key of braces":          "transforms: [taskgraph.transforms.matrix]\ntasks: {a: {matrix: {x: [1]}, '" + strings.Repeat("{", 10000) + "': 1}}",
		"many keys":                "tasks: {" + strings.Repeat("a: {}, ", 50000) + "}",
		"many unknown keys":        succeed + "tasks: {a: {" + manyKeys(20000) + "}}",
		"a wide matrix":            "transforms: [taskgraph.transforms.matrix]\ntasks: {a: {matrix: {a: &l [0,1,2,3,4,5,6,7,8,9], b: *l, c: *l, d: *l, e: *l, f: *l, g: *l, h: *l}}}",
		"matrices of matrices":     "transforms: [taskgraph.transforms.chunking, taskgraph.transforms.matrix, taskgraph.transforms.matrix]\ntasks: {a: {chunk: {total-chunks: 10000, substitution-fields: []}, matrix: {a: &l [0,1,2,3,4,5,6,7,8,9], b: *l, c: *l}}}",
		"texts that grow":          "transforms: [taskgraph.transforms.task_context, taskgraph.transforms.task_context]\ntasks: {a: {task-context: {from-object: {x: y}, substitution-fields: [description]}, description: '" + strings.Repeat("{x:>9999}", 2000) + "'}}",
		"expressions that explode": "transforms: [taskgraph.transforms.task_context]\ntasks: {a: {task-context: {from-object: {x: '" + strings.Repeat("a", 3000) + "!'}, substitution-fields: [description]}, description: {by-x: {'(a|a)*(a+)+$': 1, '((a*)*)*b': 2, default: 3}}}}",
		"choices in choices":       "transforms: [taskgraph.transforms.task_context]\ntasks: {a: {task-context: {from-object: {x: a}, substitution-fields: [description]}, description: " + strings.Repeat("{by-x: {a: ", 45) + "1" + strings.Repeat("}}", 45) + "}}",
		"merges in a circle":       "a: &a\n  <<: *a\ntasks: {x: *a}\n",
		"names of control":         "tasks: {\"\\0\\x1b[2J\": {description: \"\\u202e\", worker-type: succeed, run: {using: always-optimized}}}",
		"invalid UTF-8":            "tasks: {\xff\xfe: {a: \xc3\x28}}",
		"numbers at their ends":    succeed + "tasks: {a: {worker-type: succeed, description: d, extra: {a: [.nan, .inf, -9223372036854775808, 0x7fffffffffffffff, 1.0e+308, 59:59:59:59:59:59:59:59:59]}}}",
		"chunks below nothing":     "transforms: [taskgraph.transforms.chunking]\ntasks: {a: {chunk: {total-chunks: -9223372036854775808}}}",
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("key")
		b.WriteString(strings.Repeat("x", i%7))
		for ; i > 0; i /= 26 {
			b.WriteByte(byte('a' + i%26))
		}
		b.WriteString(": 1, ")
	}
	return b.String()
}

// Bounds of one generation from one kind file of the fuzzer's size.
const (
	longest = 20 * time.Second
	most    = 2 << 30 // bytes allocated in all
)

// generateWithin makes the graph of a kind file and fails when that takes too long or too much.
func generateWithin(t *testing.T, src []byte, input taskgraph.Input) {
	t.Helper()
	files := small()
	files["taskcluster/kinds/k/kind.yml"] = &fstest.MapFile{Data: src}
	input.Tree = files
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := taskgraph.Generate(ctx, input, taskgraph.Morphed)
	runtime.ReadMemStats(&after)
	if ctx.Err() != nil {
		t.Fatalf("it takes longer than %v", longest)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Fatalf("it takes %d MB of memory", used>>20)
	}
	if err != nil {
		if strings.Contains(err.Error(), "a fault in Treeline") {
			t.Fatal(err)
		}
		return
	}
	if _, err := res.Full.MarshalIndent(); err != nil && !strings.Contains(err.Error(), "infinite or none") {
		t.Fatal(err)
	}
}

func TestHostileKindFilesAreBounded(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			generateWithin(t, []byte(text), taskgraph.Input{Parameters: smallParams(t, nil), Scripts: scripts()})
		})
	}
}

func FuzzKind(f *testing.F) {
	for _, s := range []string{
		succeed + "tasks: {a: {worker-type: succeed, description: d}}\n",
		"tasks: {a: {worker-type: b-linux, worker: {docker-image: {in-tree: x}}, run: {using: run-task, command: [a, {task-reference: <b>}], checkout: {ci: {path: y}}}, fetches: {a: [b]}}}\n",
		"transforms: [taskgraph.transforms.matrix, taskgraph.transforms.chunking, taskgraph.transforms.task_context, taskgraph.transforms.notify]\ntask-defaults: {a: {by-x: {b: c}}}\ntasks: {a: {matrix: {b: [1]}, chunk: {total-chunks: 2, substitution-fields: [a.b]}, task-context: {substitution-fields: [a]}, notify: {recipients: []}}}\n",
		"loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.fetch, taskgraph.transforms.docker_image, taskgraph.transforms.cached_tasks]\ntasks: {a: {fetch: {type: git}}}\n",
		"loader: taskgraph.loader.transform:loader\ntransforms: [mozilla_taskgraph.transforms.replicate, mozilla_taskgraph.transforms.scriptworker.release_artifacts, mozilla_taskgraph.transforms.scriptworker.shipit.mark_as_shipped]\ntasks: {a: {replicate: {target: [x]}, release-artifacts: [y], worker-type: b-linux}}\n",
		"kind-dependencies: [k]\ntransforms: [taskgraph.transforms.from_deps]\ntasks: {a: {from-deps: {group-by: {attribute: x}}}}\n",
		"transforms: [taskgraph.transforms.task_context]\ntasks: {a: {task-context: {from-object: {v: [1, {k: x}]}, from-parameters: {p: [a, project]}, substitution-fields: [description, extra]}, description: '{v[1][k]!r:>9} {p}', extra: {by-p: {'s(?!x).*|y{1,2}+': 1, default: {by-v: {a: b}}}}, if: 'level >= 1'}}\n",
		"tasks: {a: &a {x: [0x1f, 1:30, 1_0.5e+3, ~, yes], <<: {y: 1}}, b: *a}\n",
	} {
		f.Add([]byte(s))
	}
	input := taskgraph.Input{Parameters: smallParams(f, nil), Scripts: scripts()}
	f.Fuzz(func(t *testing.T, src []byte) { generateWithin(t, src, input) })
}
