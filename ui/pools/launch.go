package pools

import (
	"cmp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/ui/page"
)

// launchTab is a pool's launch configs.
type launchTab struct {
	List   []launch
	Priced bool
	Static bool   // the pool has none: its workers are set up by hand
	Why    string // nobody may archive
}

type launch struct {
	manager.ConfigState
	Cost      string
	ErrorRate string // of the last day
	Share     string // of the next workers, "" where it makes none
	YAML      string
}

func (ps *Pages) launchTab(v *page.Visit, s *subject) (*launchTab, error) {
	t := &launchTab{}
	list, err := ps.Pools.ConfigStates(v.R.Context(), s.ID)
	if err != nil {
		return nil, err
	}
	whole := 0.0
	for _, c := range list {
		whole += c.Weight
	}
	for _, c := range list {
		l := launch{ConfigState: c, YAML: asYAML(c.Configuration)}
		if c.Price != nil {
			l.Cost, t.Priced = money(s.Prices.Currency, *c.Price), true
		}
		if n := c.Day + c.Made; n > 0 {
			l.ErrorRate = rate(float64(c.Day) / float64(n))
		}
		if c.Weight > 0 {
			l.Share = rate(c.Weight / whole)
		}
		t.List = append(t.List, l)
	}
	slices.SortStableFunc(t.List, func(a, b launch) int { return boolean(a.IsArchived, b.IsArchived) })
	t.Static = len(t.List) == 0
	t.Why = mayEdit(v, s.Pool)
	return t, nil
}

// editScope is what changing a pool asks for, as the API has it.
func editScope(id, providerID string) scope.Expr {
	return scope.AllOf(scope.String("worker-manager:manage-worker-pool:"+id), scope.String("worker-manager:provider:"+providerID))
}

func mayEdit(v *page.Visit, p *manager.Pool) string {
	if err := v.Allow(editScope(p.ID, p.ProviderID)); err != nil {
		return fault.Message(err)
	}
	return ""
}

func tallies(of map[string]int) (list []tallied) {
	for name, n := range of {
		list = append(list, tallied{name, n})
	}
	slices.SortFunc(list, func(a, b tallied) int { return cmp.Or(b.N-a.N, strings.Compare(a.Name, b.Name)) })
	return list[:min(len(list), 20)]
}

// asYAML shows JSON as people write it.
func asYAML(text []byte) string {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return string(text) // what YAML cannot hold, such as odd escapes
	}
	plain(&node)
	out, err := yaml.Marshal(&node)
	if err != nil {
		return string(text)
	}
	return string(out)
}

// plain takes JSON's braces and quotes away where YAML needs none.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}
