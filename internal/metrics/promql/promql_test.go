package promql_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/metrics/promql"
)

func TestParse(t *testing.T) {
	one := func(s ...promql.Selector) []promql.Selector { return s }
	for _, c := range []struct {
		text   string
		want   []promql.Selector
		groups []string
	}{
		{`up`, one(promql.Selector{Metric: "up"}), nil},
		{`sum by (room, le) (rate(a_bucket{room=~"q.*", x!="1"}[5m]))`, one(promql.Selector{Metric: "a_bucket", Labels: []string{"room", "x"}, Range: true, In: "rate"}), []string{"room", "le"}},
		{`histogram_quantile(0.95, sum(rate(a_bucket[$__rate_interval])) by (le)) > 1.5e3`, one(promql.Selector{Metric: "a_bucket", Range: true, In: "rate"}), []string{"le"}},
		{`topk(5, a) / on (x) group_left (y) b offset 1h30m`, one(promql.Selector{Metric: "a"}, promql.Selector{Metric: "b"}), []string{"x", "y"}},
		{`-(a - time()) > bool 3 and absent(b{c='d'}) unless d`, one(promql.Selector{Metric: "a"}, promql.Selector{Metric: "b", Labels: []string{"c"}, In: "absent"}, promql.Selector{Metric: "d"}), nil},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := promql.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&promql.Query{Selectors: c.want, Grouped: c.groups}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, text := range []string{
		"", "a +", "(a", "rate(a)", "a[5m]", "sum(rate(a[5m])", "nosuch(a)", "a{b}", "a{b=c}", `a{b=~"("}`, "rate(a[x])", "topk(a)", "a b", "sum by a (b)", "a;b", "histogram_quantile(a)", "a offset b",
	} {
		t.Run("it refuses "+text, func(t *testing.T) {
			if got, err := promql.Parse(text); err == nil {
				t.Errorf("%q is read as %+v", text, got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", `sum by (a) (rate(b{c="d"}[5m]))`, "topk(3, a) / b offset 5m", "a{", "((("} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := promql.Parse(text); err == nil && q == nil {
			t.Errorf("%q has neither a query nor an error", text)
		}
	})
}
