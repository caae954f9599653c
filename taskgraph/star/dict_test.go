package star_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

// What a program sees of a task's dicts is what it would see of dicts of its own.
func TestDictsOfTasksBehaveAsDicts(t *testing.T) {
	const given = `{"a": 1, "b": {"x": [1, {"y": 2}]}, "c": "s", "d": [{"z": 1}], "name": "n"}`
	var cases []string
	for _, body := range []string{
		"type(task)", "len(task)", "str(task)", "repr(task['b'])", "[k for k in task]", "task.keys()", "task.values()", "task.items()", "sorted(task)", "bool(task)",
		"'a' in task", "'q' in task", "'q' not in task", "1 in task", "task.get('a')", "task.get('q')", "task.get('q', 7)", "task.get(1, 8)", "task['a']", "task == " + given, "task != " + given,
		"task['b'] == {'x': [1, {'y': 2}]}", "[task['b']] == [{'x': [1, {'y': 2}]}]", "{'x': [1, {'y': 2}]} in [task['b']]", "task['d'].index({'z': 1})", "(task['b'],) == ({'x': [1, {'y': 2}]},)",
		"task['d'] == [{'z': 1}]", "task == None", "task['b'] != {}", "dict(task, a = 2)", "dict(**task)", "task | {'q': 1}", "{'q': 1} | task", "merge(task, {'b': {'x': [3]}})", "json.encode(task)",
		"json.decode(json.encode(task)) == task", "list(zip(task, task.values()))", "'%s' % task", "'{}'.format(task['b'])", "hasattr(task, 'get')", "dir(task)", "getattr(task, 'items')()",
		"any(task)", "max(task)", "task.pop('a')", "task.pop('q', 3)", "task.setdefault('q', [])", "task.setdefault('a', [])", "sorted([task['b'], {'x': 1}], key = len)", "{'k': task}",
	} {
		cases = append(cases, "    return {'v': "+body+"}\n")
	}
	for _, body := range []string{
		"task['q'] = 1", "task['a'] = {'n': task['b']}", "task.pop('a')\n    task['a'] = 2", "task.pop('b')", "task.pop('q')", "task.popitem()", "task.clear()", "task.update({'a': 5}, z = 1)", "task.update([('a', 6)])",
		"task |= {'b': 2, 'q': 3}", "task['b'] |= task", "d = {}\n    d |= task\n    task['copy'] = d", "task['b']['x'].append(task['c'])", "task['b']['x'][1]['y'] = 4", "task['d'].remove({'z': 1})",
		"e = task['b']\n    e['new'] = 1\n    task['again'] = e", "task['b']['x'] += [5]", "for k in task: task[k + '2'] = 1", "for k in task.keys(): task[k + '2'] = 1", "for i in range(40): task['k%d' % i] = [i]",
		"for i in range(40): task.setdefault('k%d' % (i % 20), {})['v'] = i", "task.pop('name', None)\n    task.setdefault('name', 'other')", "task[1] = 2", "task[[]] = 2", "x = task['nope']", "task.pop('a', 1, 2)", "task.get()",
		"task.nope()", "x = {task: 1}", "x = task + 1", "x = task < task", "task['a']['b'] = 1", "x = task['d'] + task['d']\n    task['e'] = x", "keys = [k for k in task]\n    task.pop(keys[0])\n    task[keys[0]] = 'last'",
	} {
		cases = append(cases, "    "+body+"\n    return {'v': [(k, v) for k, v in task.items()]}\n")
	}
	for _, body := range cases {
		if d := differs(t.Context(), given, body); d != "" {
			t.Error(d)
		}
	}
}

// differs runs a body on a task that came from outside, and on one that the program made, and
// tells what is not the same; "" when all is.
func differs(ctx context.Context, given, body string) string {
	outside, err1 := runBody(ctx, "def f(config, task):\n"+body, given)
	inside, err2 := runBody(ctx, "def f(config, task):\n    task = json.decode("+quote(given)+")\n"+body, given)
	text := func(err error) string {
		_, after, _ := strings.Cut(fmt.Sprint(err), "task \"n\"") // the lines are not the same
		return after
	}
	if diff := cmp.Diff(text(err2), text(err1)) + cmp.Diff(inside, outside); diff != "" {
		return body + diff
	}
	return ""
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }

func runBody(ctx context.Context, src, given string) ([]star.Item, error) {
	m, err := filesOf(map[string]string{"x.star": src + "\ndef item(config, task):\n    return json.decode(" + quote(given) + ")\n"}).Module(ctx, "x.star")
	if err != nil {
		return nil, err
	}
	made, err := m.Transform(ctx, "item", config(), []map[string]any{{"name": "n"}})
	if err != nil {
		return nil, err
	}
	return m.Transform(ctx, "f", config(), []map[string]any{made[0].Values})
}

// Any row of changes gives the same, whether the dict came from outside or not.
func TestChangesOfDictsAreThoseOfDicts(t *testing.T) {
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom([]string{"'a'", "'b'", "'c'", "'name'", "'q'", "'r'", "'k%d' % i"})
		op := rapid.Custom(func(t *rapid.T) string {
			k := key.Draw(t, "key")
			return rapid.SampledFrom([]string{
				"task[" + k + "] = i", "task.pop(" + k + ", 0)", "log.append(task.get(" + k + "))", "log.append(" + k + " in task)", "log.append(len(task))",
				"task.setdefault(" + k + ", [])", "task[" + k + "] = {'n': i}", "log.append(task.keys())", "task.update({" + k + ": [i]})", "log.append(task == dict(task))",
				"log.append(sorted(task))", "task.setdefault('sub', {})[" + k + "] = i", "task.setdefault('sub', {}).pop(" + k + ", None)",
				"other = dict(task)", "other = dict(other, a = i)", "other[" + k + "] = i", "other.setdefault('sub', {})[" + k + "] = i", "other['c'] = other.get('c') or []\n    other['c'] = other['c'] + [i]",
				"task['sub'] = other", "task, other = other, task", "log.append(other == task)", "log.append(other)", "task.setdefault('c', []) == 1 or other.pop('c', 0)", "other |= {" + k + ": i}",
			}).Draw(t, "op")
		})
		lines := rapid.SliceOfN(op, 1, 30).Draw(t, "ops")
		body := "    other = task\n    log = []\n    i = 0\n"
		for _, l := range lines {
			body += "    i += 1\n    " + l + "\n"
		}
		body += "    return {'log': log, 'other': other, 'task': task, 'order': task.keys()}\n"
		if d := differs(ctx, `{"a": 1, "b": {"x": 2}, "c": [3], "name": "n", "sub": {"a": 1, "b": []}}`, body); d != "" {
			t.Fatal(d)
		}
	})
}
