package jsone_test

import (
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// TestWeAgreeWithNPM renders generated templates here and with the npm package: results, the order of keys, error
// classes and error texts must be the same. TREELINE_JSONE_CASES asks for more than the usual number and
// TREELINE_JSONE_SEED for others.
func TestWeAgreeWithNPM(t *testing.T) {
	total := envInt(t, "TREELINE_JSONE_CASES", 6000)
	seed := envInt(t, "TREELINE_JSONE_SEED", 1)
	o := startOracle(t)
	const batch = 1000
	wrong, errors := 0, 0
	for done := 0; done < total; done += batch {
		cases := make([]diffCase, batch)
		for i := range cases {
			cases[i] = newGenerator(uint64(seed), uint64(done+i)).diffCase()
		}
		for i, want := range o.ask(t, cases) {
			if want.Class != "" {
				errors++
			}
			if d := difference(cases[i], want); d != "" {
				wrong++
				t.Errorf("seed %d case %d: template %s\ncontext %s\n%s", seed, done+i,
					jsone.AppendJSON(nil, cases[i].template), jsone.AppendJSON(nil, cases[i].context), d)
			}
			if wrong > 20 {
				t.Fatal("too many differences")
			}
		}
	}
	t.Logf("%d cases, of which %d end in an error", total, errors)
	if errors > total*9/10 || errors < total/20 {
		t.Errorf("%d of %d generated cases are errors: the generator has lost its balance", errors, total)
	}
}

func envInt(t *testing.T, name string, fallback int) int {
	s := os.Getenv(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// unusual marks the numbers that JSON lacks the way the oracle does.
func unusual(v any) any {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return []any{"\x00num", "NaN"}
		case math.IsInf(v, 1):
			return []any{"\x00num", "Infinity"}
		case math.IsInf(v, -1):
			return []any{"\x00num", "-Infinity"}
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = unusual(v[i])
		}
		return out
	case *jsone.Object:
		out := &jsone.Object{}
		for key, value := range v.All() {
			out.Set(key, unusual(value))
		}
		return out
	}
	return v
}
