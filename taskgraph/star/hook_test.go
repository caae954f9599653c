package star_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHooksOfParameters(t *testing.T) {
	given := func() values { return values{"project": "x", "filters": []any{"a"}, "version": nil} }
	for name, c := range map[string]struct {
		src  string
		want values
		fail string
	}{
		"changes in place": {"def f(graph_config, parameters):\n    parameters['project'] = graph_config['trust-domain']\n    parameters['filters'].append('b')\n",
			values{"project": "td", "filters": []any{"a", "b"}, "version": nil}, ""},
		"returns what changes": {"def f(graph_config, parameters):\n    return {'version': '1', 'own': {'a': 1}}\n",
			values{"project": "x", "filters": []any{"a"}, "version": "1", "own": values{"a": int64(1)}}, ""},
		"drops one":           {"def f(graph_config, parameters):\n    parameters.pop('version')\n", values{"project": "x", "filters": []any{"a"}}, ""},
		"returns a list":      {"def f(graph_config, parameters):\n    return []\n", nil, "in f: f gave a list"},
		"fails":               {"def f(graph_config, parameters):\n    return parameters['nope']\n", nil, "taskcluster/x.star:2"},
		"the configuration":   {"def f(graph_config, parameters):\n    graph_config['a'] = 1\n", nil, "frozen"},
		"has another form":    {"def f(parameters):\n    return {}\n", nil, "f takes 1 parameters, but is called with 2"},
		"is not there at all": {"def g():\n    return {}\n", nil, `there is no function "f"`},
	} {
		t.Run(name, func(t *testing.T) {
			in := given()
			got, err := load(t, c.src).Parameters(t.Context(), "f", values{"trust-domain": "td"}, in)
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("got %v, want %q", err, c.fail)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(given(), in); diff != "" {
				t.Errorf("what was given changed: %s", diff)
			}
		})
	}
}

func TestRegister(t *testing.T) {
	got, err := load(t, "def f(graph_config):\n    return {'parameters': {graph_config['trust-domain'] + '_phase': {'default': None}}}\n").Register(t.Context(), "f", values{"trust-domain": "td"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(values{"parameters": values{"td_phase": values{"default": nil}}}, got); diff != "" {
		t.Error(diff)
	}
	if got, err = load(t, "def f(graph_config):\n    pass\n").Register(t.Context(), "f", nil); got != nil || err != nil {
		t.Errorf("None gives %v, %v", got, err)
	}
}
