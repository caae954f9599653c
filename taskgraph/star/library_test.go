package star_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

// libraryTree is what the functions that read the tree find.
func libraryTree(src string) map[string]string {
	return map[string]string{
		"taskcluster/x.star": src, "lock/images.yml": "base: {digest: 'sha256:1', size: 12345678901}\n", "data.json": `{"a": [1, 2.5, null]}`, "bad.json": "{a: 1}",
		"src/a.py": "", "src/deep/b.py": "x = 1\n", "src/deep/c.md": "", "srcs/d.py": "",
	}
}

func evaluate(t testing.TB, expression string) (any, error) {
	t.Helper()
	files := libraryTree("def f(config, task):\n    return {'v': " + expression + "}\n")
	m, err := filesOf(files).Module(t.Context(), "taskcluster/x.star")
	if err != nil {
		return nil, err
	}
	got, err := m.Transform(t.Context(), "f", config(), []map[string]any{{"name": "a", "platform": "linux64", "list": []any{values{"p": values{"by-name": values{"a": int64(1), "default": int64(2)}}}, values{}}}})
	if err != nil {
		return nil, err
	}
	return got[0].Values["v"], nil
}

func TestLibrary(t *testing.T) {
	list := func(v ...any) []any { return append([]any{}, v...) }
	for expression, want := range map[string]any{
		`match("(l)e", "level")`: list("le", "l"), `match("e", "level")`: nil,
		`re.match("a|ab", "abc")`: list("a"), `re.fullmatch("a|ab", "ab")`: list("ab"), `re.fullmatch("a", "ab")`: nil,
		`re.search("v(.)", "level")`: list("ve", "e"), `re.findall("[a-z]", "a1b2")`: list("a", "b"), `re.findall("(.)=(.)", "a=1 b=2")`: list(list("a", "1"), list("b", "2")),
		`re.findall("(.)=", "a=1 b=2")`: list("a", "b"), `re.findall("x", "a")`: list(),
		`re.sub("([a-z])([0-9])", "${2}$1", "a1-b2")`: "1a-2b", `re.split("[,;] *", "a, b;c")`: list("a", "b", "c"), `re.escape("a.b")`: `a\.b`,
		`tree.read("//src/deep/b.py")`: "x = 1\n", `tree.yaml("lock/images.yml")`: values{"base": values{"digest": "sha256:1", "size": int64(12345678901)}},
		`tree.json("data.json")["a"]`: list(int64(1), 2.5, nil), `tree.exists("src/a.py")`: true, `tree.exists("src/z.py")`: false,
		`tree.glob("src/**/*.py", "src/deep")`: list("src/a.py", "src/deep/b.py", "src/deep/c.md"), `tree.glob("nowhere/**")`: list(),
		`tree.glob("src*/*.py")`: list("src/a.py", "srcs/d.py"), `tree.glob("data.json")`: list("data.json"),
		`tree.sha256("src/a.py") == sha256("")`: true, `sha256("a")[:8]`: "ca978112",
		`keyed_by({"by-level": {"3": "x", "default": "y"}}, "image", level = config.params["level"])`:                "x",
		`keyed_by({"by-level": {"1": "x", "default": {"by-project": {"x": [1]}}}}, "i", level = "3", project = "x")`: list(int64(1)),
		`keyed_by("plain", "image")`:                                                                      "plain",
		`keyed_by({"by-level": {"1": 1}}, "i", defer = ["level"])`:                                        values{"by-level": values{"1": int64(1)}},
		`keyed_by({"by-p": {"l.*": 1, "li.*": 2}}, "i", p = "linux", enforce_single_match = False)`:       int64(1),
		`resolve_keyed_by(task, "list[].p", task["name"])["list"]`:                                        list(values{"p": int64(1)}, values{}),
		`resolve_keyed_by({"w": {"by-platform": {"linux.*": "l"}}}, "w", "n", platform = "linux64")["w"]`: "l",
		`resolve_keyed_by({"w": (1,)}, "w.x.y", "n")`:                                                     values{"w": list(int64(1))},
		`resolve_keyed_by({"w": (1,)}, "w", "n")`:                                                         values{"w": list(int64(1))},
		`deep_get(config.params, "level")`:                                                                "3", `deep_get(task, "a.b", 4)`: int64(4), `deep_get({"a": {"b": 2}}, "a.b")`: int64(2),
	} {
		got, err := evaluate(t, expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", expression, diff)
		}
	}
}

func TestLibraryFaults(t *testing.T) {
	for expression, want := range map[string]string{
		`re.match("(", "a")`: "re.match: pattern", `tree.read("../x")`: `tree.read: "../x" is not a path in the repository`,
		`tree.read("nope.txt")`: "tree.read: open nope.txt: file does not exist", `tree.read("src")`: "src is a directory",
		`tree.yaml("src/deep/b.py")["x"]`: `string index: got string, want int`, `tree.json("bad.json")`: "bad.json is not valid JSON",
		`tree.glob()`: "wants one or more patterns", `tree.glob("../**")`: "is not a path in the repository", `tree.glob(1)`: "got int, want string",
		`keyed_by({"by-level": {"1": "x"}}, "image", level = "3")`:                                            "`image`: by-level has neither a key that matches \"3\" nor \"default\"",
		`resolve_keyed_by({"w": {"by-x": {"1": "x"}}}, "w", "n")`:                                             "`w` in `n`: there is no attribute \"x\" here",
		`resolve_keyed_by(config.params, "level", "n", x = 1) and resolve_keyed_by({"l": [1]}, "l[].x", "n")`: "l[0] is a int, not a dict",
		`task["name"] + []`: `unknown binary op: string + list, in "a" + []`, `[1] < {}`: `list < dict not implemented, in [1] < {}`,
	} {
		_, err := evaluate(t, expression)
		var e *star.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", expression, err, want)
		}
	}
}

func TestLoaders(t *testing.T) {
	m := load(t, `
def by_name(config):
    return {p: {"platform": p} for p in config.config["transforms"]}

def listed(config):
    return [{"name": d, "n": i} for i, d in enumerate(config.kind_dependencies_tasks.keys())]

def nameless(config):
    return [{"a": 1}]

def twice(config):
    return [{"name": "a"}, {"name": "a"}]

def odd(config):
    return 3

def odd_entry(config):
    return {"a": 3}
`)
	for fn, want := range map[string][]star.Loaded{
		"by_name": {{Name: "a", Values: values{"platform": "a"}}}, "listed": {{Name: "build-a", Values: values{"name": "build-a", "n": int64(0)}}},
	} {
		got, err := m.Items(t.Context(), fn, config())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", fn, err, diff)
		}
	}
	for fn, want := range map[string]string{
		"nameless": "entry 0 of the list without a name", "twice": `two entries of the name "a"`, "odd": "odd gave a int, 3: give a list of entries",
		"odd_entry": `entry "a": odd_entry gave a int, 3: give entries, each of them a dict`, "nope": `there is no function "nope"`,
	} {
		if _, err := m.Items(t.Context(), fn, config()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", fn, err, want)
		}
	}
}
