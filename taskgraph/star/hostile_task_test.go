package star_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

// hostileTasks are bodies of a function that works on a task, or on what the library gives it; each
// ends with the error it is given here, "" being a limit.
var hostileTasks = map[string]struct{ body, want string }{
	"a task inside itself":             {"task['self'] = task\n    return task", "nested more than 100 deep"},
	"a task deep inside itself":        {"task['worker']['deep'] = {'a': [task]}\n    return task", "nested more than 100 deep"},
	"two tasks inside each other":      {"other = dict(task)\n    other['o'] = task\n    task['o'] = other\n    return [task, other]", "nested more than 100 deep"},
	"a list inside itself":             {"l = []\n    l.append(l)\n    return {'l': l}", "nested more than 100 deep"},
	"a dict inside itself as text":     {"task['self'] = task\n    return {'s': str(task)}", "nested more than 100 deep"},
	"a dict inside itself as JSON":     {"task['self'] = task\n    return {'s': json.encode(task)}", "nested more than 100 deep"},
	"a dict inside itself printed":     {"task['self'] = task\n    print(task)\n    return task", "nested more than 100 deep"},
	"a dict inside itself compared":    {"task['self'] = task\n    return {'s': task == dict(task)}", "nested more than 100 deep"},
	"a dict inside itself sought":      {"task['self'] = task\n    return {'s': [task].index({'a': task})}", "nested more than 100 deep"},
	"a dict inside itself merged":      {"task['self'] = task\n    return merge(task, task)", "nested more than 100 deep"},
	"a dict inside itself in an error": {"task['self'] = task\n    return task + [task]", "unknown binary op"},
	"a dict inside itself as an error": {"task['self'] = task\n    return [[task]]", "gave a list"},
	"values nested deep":               {"x = {}\n    for i in range(200): x = {'x': x}\n    return x", "nested more than 100 deep"},
	"one value very often":             {"x = [task] * 1000\n    for i in range(3): x = [x] * 1000\n    return {'x': x}", "more than 2000000 values"},
	"one task very often":              {"return [task] * 2000000", ""},
	"copies of copies":                 {"l = []\n    for i in range(1 << 40): l.append(dict(task, i = i))\n    return l", ""},
	"keys without end":                 {"for i in range(1 << 40): task['k%d' % i] = [i]\n    return task", ""},
	"defaults without end":             {"for i in range(1 << 40): task.setdefault('k%d' % i, {})['v'] = task\n    return task", ""},
	"an integer too large":             {"return {'n': 1 << 64}", "does not fit 64 bits"},
	"a float that is none":             {"return {'n': float('nan')}", "has no place in JSON"},
	"integers raised":                  {"n = 2\n    for i in range(1 << 40): n = n * n\n    return {'n': n}", ""},
	"a sort that fails":                {"return {'n': sorted([2, 1], key = lambda x: [][x])}", "index 2 out of range"},
	"a sort without end":               {"return {'n': sorted(list(range(100000)), key = lambda x: [y for y in range(1000)])}", ""},
	"a sort of what has no order":      {"return {'n': sorted([task, {}])}", "dict < dict not implemented"},
	"recursion by itself":              {"f = lambda g: g(g)\n    return f(f)", "called recursively"},
	"a pattern that grows":             {"for i in range(1 << 40): re.match('((a{100}){10})' * 60 + '%d' % i, 'a' * 1000)", ""},
	"patterns without end":             {"for i in range(1 << 40): re.match('x{900}y%d' % i, 'a')", ""},
	"a costly pattern":                 {"s = 'a' * 1000000\n    for i in range(1 << 20): re.search('(a|aa|a.{500})*b', s)", ""},
	"a replacement that grows":         {"s = 'a' * 1000\n    for i in range(60): s = re.sub('(a*)', '${1}${1}${1}', s)\n    return {'s': s}", ""},
	"matches without end":              {"return {'n': [re.findall('', 'a' * 1000000) for i in range(1000)]}", ""},
	"parts without end":                {"return {'n': [re.split('', 'a' * 1000000) for i in range(1000)]}", ""},
	"choices without end":              {"for i in range(1 << 40): keyed_by({'by-x': {'%d.*' % i: 1, 'default': 2}}, 'n', x = 'y')", ""},
	"a choice inside itself":           {"c = {'by-x': {'default': 1, 'a': 2}}\n    c['by-x']['a'] = c\n    return {'n': keyed_by(c, 'n', x = 'a')}", "nested more than 100 deep"},
	"a choice by a task inside itself": {"task['self'] = task\n    return resolve_keyed_by(task, 'w', 'n', x = task)", "nested more than 100 deep"},
	"files read without end":           {"for i in range(1 << 40): tree.read('big.txt')", ""},
	"YAML read without end":            {"for i in range(1 << 40): tree.yaml('list.yml')", ""},
	"a YAML bomb":                      {"return tree.yaml('bomb.yml')", "values once its aliases are followed"},
	"a file too large":                 {"return {'n': tree.read('huge.txt')}", "has 5000000 bytes, the limit is 1048576"},
	"patterns of files without end":    {"for i in range(1 << 40): tree.glob('**')", ""},
	"digests without end":              {"for i in range(1 << 40): tree.sha256('huge.txt')", ""},
	"an action at a late time":         {"action(name = 'a', title = 'A', callback = lambda c: None)", "only while the file is loaded"},
	"labels without end":               {"return {'n': [effect.create_tasks(['a'] * 1000000) for i in range(1 << 20)]}", ""},
	"a method kept for later":          {"get = task.get\n    for i in range(1 << 40): get('worker').pop('x', task)", ""},
	"a dict changed while walked":      {"for k in task: task[k + 'x'] = 1", "during iteration"},
	"a dict emptied while walked":      {"for k in task: task.clear()", "during iteration"},
	"an error with a large value":      {"fail('a' * 1000000)", "aaaa"},
	"an error with a large task":       {"task['x'] = 'a' * 1000000\n    fail('no')", "fail: no"},
}

func TestHostileTransformsEnd(t *testing.T) {
	files := fstest.MapFS{
		"big.txt": {Data: []byte(strings.Repeat("a", 1<<20))}, "huge.txt": {Data: make([]byte, 5_000_000)}, "list.yml": {Data: []byte(strings.Repeat("- a\n", 10_000))},
		"bomb.yml": {Data: []byte("a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n")},
	}
	for name, c := range hostileTasks {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{"x.star": {Data: []byte("def f(config, task):\n    " + c.body + "\n")}}
			for k, v := range files {
				tree[k] = v
			}
			limits := small()
			limits.ItemSteps, limits.ItemBytes = 0, 0
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			m, err := star.Load(ctx, tree, "x.star", star.Options{Limits: limits})
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = m.Transform(ctx, "f", config(), []map[string]any{{"name": "n", "worker": values{"env": values{"A": "1"}}, "w": values{"by-x": values{"a": int64(1), "default": int64(2)}}}})
			runtime.ReadMemStats(&after)
			var e *star.Error
			if !errors.As(err, &e) || c.want == "" && !errors.Is(err, star.ErrLimit) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			if n := len(err.Error()) + len(e.Detail()); n > 10<<10 {
				t.Errorf("the message has %d bytes", n)
			}
			if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 2000 {
				t.Errorf("%d MB were made", made)
			}
		})
	}
}

// FuzzTransform runs any body on tasks of any form: it must only end, and leave the tasks as they were.
func FuzzTransform(f *testing.F) {
	for _, c := range hostileTasks {
		f.Add(c.body, `{"name": "n", "worker": {"env": {}}}`)
	}
	f.Add("task.setdefault('a', []).append(dict(task))\n    return [task, dict(task, name = 'b')]", `{"a": [1, {"b": null}], "c": 1.5}`)
	l := star.DefaultLimits()
	l.Steps, l.ItemSteps, l.Bytes, l.ItemBytes, l.Values = 200_000, 0, 8<<20, 0, 100_000
	f.Fuzz(func(t *testing.T, body, item string) {
		files := fstest.MapFS{"x.star": {Data: []byte("def f(config, task):\n    " + body + "\ndef all(config, tasks):\n    return [f(config, t) for t in tasks]\ndef item(config, task):\n    return json.decode(task['text'])\n")}}
		m, err := star.Load(t.Context(), files, "x.star", star.Options{Limits: l})
		if err != nil {
			return
		}
		given, err := m.Transform(t.Context(), "item", config(), []map[string]any{{"text": item}})
		if err != nil || len(given) != 1 {
			return
		}
		before, err := m.Transform(t.Context(), "item", config(), []map[string]any{{"text": item}})
		if err != nil {
			t.Fatal(err)
		}
		for _, fn := range []string{"f", "all"} {
			c := config()
			c.Edits = true
			m.Transform(t.Context(), fn, c, []map[string]any{given[0].Values, {"name": "z"}}) // must only end
			if !cmp.Equal(given[0].Values, before[0].Values) {
				t.Fatalf("%s changed what it was given: %v, %v", fn, before[0].Values, given[0].Values)
			}
		}
	})
}
