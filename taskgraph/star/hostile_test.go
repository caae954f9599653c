package star_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

// hostile are files that would take for ever or all memory without limits.
var hostile = map[string]string{
	"infinite loop":          "for i in range(1 << 60): pass\n",
	"nested loops":           "def f():\n    for i in range(1 << 30):\n        for k in range(1 << 30): pass\nf()\n",
	"list in one step":       "x = list(range(1 << 40))\n",
	"list by repetition":     "x = [0] * (1 << 28)\n",
	"list by doubling":       "def f():\n    x = [0]\n    for i in range(60): x = x + x\nf()\n",
	"list by growing":        "def f():\n    x = [0]\n    for i in range(60): x += x\nf()\n",
	"list by extending":      "def f():\n    x = [0]\n    for i in range(60): x.extend(x)\nf()\n",
	"text by repetition":     "x = 'a' * (1 << 29)\n",
	"text by doubling":       "def f():\n    x = 'a'\n    for i in range(60): x += x\nf()\n",
	"text by format":         "def f():\n    x = 'a'\n    for i in range(60): x = '{0}{0}'.format(x)\nf()\n",
	"text by percent":        "def f():\n    x = 'a'\n    for i in range(60): x = '%s%s' % (x, x)\nf()\n",
	"text by replace":        "def f():\n    x = 'aa'\n    for i in range(60): x = x.replace('a', x)\nf()\n",
	"text by join":           "def f():\n    x = 'aa'\n    for i in range(60): x = x.join([x] * 100)\nf()\n",
	"text by getattr":        "def f():\n    x = 'aa'\n    for i in range(60): x = getattr(x, 'join')([x] * 100)\nf()\n",
	"text by upper":          "def f():\n    x = 'a' * 1000000\n    l = []\n    for i in range(1 << 20): l.append(x.upper())\nf()\n",
	"many texts":             "def f():\n    l = []\n    s = ''\n    for i in range(1 << 30):\n        s += 'a'\n        l.append(s)\nf()\n",
	"many slices":            "def f():\n    x = [0] * 1000000\n    l = []\n    for i in range(1 << 20): l.append(x[1:])\nf()\n",
	"many dicts":             "def f():\n    l = []\n    for i in range(1 << 30): l.append({})\nf()\n",
	"shared lists as text":   "def f():\n    x = [1]\n    for i in range(60): x = [x, x]\n    return str(x)\nf()\n",
	"shared lists compared":  "def f():\n    x = [1]\n    y = [1]\n    for i in range(8): x = [x] * 100; y = [y] * 100\n    return x == y\nf()\n",
	"shared lists sought":    "def f():\n    x = [1]\n    y = [1]\n    for i in range(8): x = [x] * 100; y = [y] * 100\n    return x in [y]\nf()\n",
	"shared lists sorted":    "def f():\n    x = [1]\n    y = [1]\n    for i in range(8): x = [x] * 100; y = [y] * 100\n    return sorted([x, y])\nf()\n",
	"shared lists as JSON":   "def f():\n    x = [1]\n    for i in range(60): x = [x, x]\n    return json.encode(x)\nf()\n",
	"shared lists printed":   "def f():\n    x = [1]\n    for i in range(60): x = [x, x]\n    print(x)\nf()\n",
	"shared lists failed":    "def f():\n    x = [1]\n    for i in range(60): x = [x, x]\n    fail(x)\nf()\n",
	"shared lists merged":    "def f():\n    x = {'a': 1}\n    for i in range(60): x = {'a': x, 'b': x}\n    merge(x, x)\nf()\n",
	"tuples hashed":          "def f():\n    x = (1,)\n    for i in range(60): x = (x, x)\n    return {x: 1}\nf()\n",
	"tuples by arguments":    "def g(*args): return args\ndef f():\n    x = (1,)\n    for i in range(60): x = g(x, x)\n    return {x: 1}\nf()\n",
	"tuples by zip":          "def f():\n    x = (1,)\n    for i in range(60): x = zip([x], [x])[0]\n    return {x: 1}\nf()\n",
	"tuples by repetition":   "def f():\n    x = (1,)\n    for i in range(60): x = (x,) * 2\n    return {x: 1}\nf()\n",
	"tuples by items":        "def f():\n    x = (1,)\n    for i in range(60): x = {x: x}.items()[0]\n    return {x: 1}\nf()\n",
	"functions frozen":       "def mk(a, b):\n    def g(): return (a, b)\n    return g\n" + chain(60, "f%d = mk(f%d, f%d)\n", "f0 = 1\n"),
	"integers squared":       "def f():\n    x = 3\n    for i in range(60): x = x * x\nf()\n",
	"integers shifted":       "def f():\n    x = 3\n    for i in range(1 << 30): x = x << 500\nf()\n",
	"integers doubled":       "def f():\n    x = 3\n    for i in range(1 << 30): x += x\nf()\n",
	"integers read":          "x = int('9' * 4000000)\n",
	"spread arguments":       "def g(*a): pass\ng(*range(1 << 40))\n",
	"any of a range":         "any(range(0, 1 << 40))\n",
	"max of a range":         "max(range(1 << 40))\n",
	"deep lists":             "def f():\n    x = []\n    for i in range(1 << 30): x = [x]\n    return str(x)\nf()\n",
	"deep brackets":          "x = " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000) + "\n",
	"large file":             "x = '" + strings.Repeat("a", 1<<20) + "'\n",
	"deep JSON":              "json.decode('[' * 100000)\n",
	"large pattern":          "match('a' * 100000, 'b')\n",
	"union of dicts doubled": "def f():\n    d = {i: i for i in range(1000000)}\n    l = [d | d for i in range(1 << 20)]\nf()\n",
	"walk of elems":          "def f():\n    s = 'a' * 1000000\n    l = [list(s.elems()) for i in range(1 << 20)]\nf()\n",
}

// chain writes lines that each name the line before twice.
func chain(n int, line, first string) string {
	var b strings.Builder
	b.WriteString(first)
	for i := 1; i <= n; i++ {
		s := strings.Replace(line, "%d", itoa(i), 1)
		b.WriteString(strings.ReplaceAll(s, "%d", itoa(i-1)))
	}
	return b.String()
}

func itoa(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }

// small are limits that work like the usual ones and are met sooner.
func small() star.Limits {
	l := star.DefaultLimits()
	l.Steps, l.Bytes, l.Text = 1_000_000, 32<<20, 1<<20
	return l
}

func TestHostileFilesMeetALimit(t *testing.T) {
	for name, src := range hostile {
		t.Run(name, func(t *testing.T) {
			src = strings.ReplaceAll(src, "f0 = 1", "f00 = 1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := star.Load(ctx, fstest.MapFS{"x.star": {Data: []byte(src)}}, "x.star", star.Options{Limits: small()})
			if !errors.Is(err, star.ErrLimit) {
				t.Fatalf("got %v", err)
			}
			if len(err.Error()) > 500 || !strings.HasPrefix(err.Error(), "x.star") {
				t.Errorf("message: %s", err)
			}
		})
	}
}

func TestRecursionIsRefused(t *testing.T) {
	for _, src := range []string{"def f(): f()\nf()\n", "def f(g): g(g)\nf(f)\n"} {
		_, err := star.Load(t.Context(), fstest.MapFS{"x.star": {Data: []byte(src)}}, "x.star", star.Options{})
		if err == nil || !strings.Contains(err.Error(), "called recursively") {
			t.Errorf("%q: %v", src, err)
		}
	}
}

func TestDeepSourceDoesNotOverflow(t *testing.T) {
	l := star.DefaultLimits()
	fill := func(unit string) string { return strings.Repeat(unit, (l.Source-10)/len(unit)) }
	for _, src := range []string{
		"x = " + fill("not ") + "1\n", "x = " + fill("-") + "1\n", "x = 1" + fill("+1") + "\n", "x = " + fill("lambda:") + "1\n",
		"x = " + fill("1 if 1 else ") + "1\n", "x = 1" + fill(".a") + "\n", "if 1: pass\n" + fill("elif 1: pass\n"),
	} {
		if _, err := star.Load(t.Context(), fstest.MapFS{"x.star": {Data: []byte(src)}}, "x.star", star.Options{}); err != nil {
			t.Logf("%.30q: %.200v", src, err)
		}
	}
}

func TestPrintIsBounded(t *testing.T) {
	total := 0
	_, err := star.Load(t.Context(), fstest.MapFS{"x.star": {Data: []byte("for i in range(100000): print('a' * 100)\n")}}, "x.star",
		star.Options{Print: func(s string) { total += len(s) }})
	if l := star.DefaultLimits(); err != nil || total > l.Printed+200 {
		t.Errorf("%d bytes printed, %v", total, err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, src := range hostile {
		if len(src) < 1000 {
			f.Add(src)
		}
	}
	f.Add("def f(config, task):\n    return [dict(task, **{'a': x}) for x, y in zip([1], 'b'.elems())]\n")
	l := star.DefaultLimits()
	l.Steps, l.Bytes, l.Values = 200_000, 8<<20, 100_000
	f.Fuzz(func(t *testing.T, src string) {
		m, err := star.Load(t.Context(), fstest.MapFS{"x.star": {Data: []byte(src)}}, "x.star", star.Options{Limits: l})
		if err != nil {
			return
		}
		for _, fn := range m.Functions() {
			m.Transform(t.Context(), fn, config(), []map[string]any{{"name": "a"}}) // must only end
		}
	})
}
