package diffview_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/diffview"
)

func TestAComparisonIsShownAsFarAsAPageHolds(t *testing.T) {
	var labels, groups []string
	for i := range 2500 {
		labels = append(labels, fmt.Sprintf(`"task-%d"`, i))
	}
	for i := range 400 {
		groups = append(groups, fmt.Sprintf(`{"labels": [%s], "changes": [{"key": "task.payload.%d", "old": "a", "new": {"b": %q}}]}`, strings.Join(labels[:30], ","), i, strings.Repeat("x", 2000)))
	}
	p, err := diffview.Read(fmt.Appendf(nil, `{"repository": "acme/app", "url": "javascript:alert(1)", "pull": 7, "revision": "abc", "report": {"base": "a", "head": "b", "stage": "target-graph", "sets": [
		{"parameters": "github-push", "added": [%s], "removed": [], "changed": [%s], "scopesGained": [{"scope": "s:new", "labels": ["a", "b"], "new": true}, {"scope": "s:old", "labels": ["a"]}],
		 "scopesLost": [], "base": {"tasks": 1, "seconds": 60, "criticalPathSeconds": 60}, "head": {"tasks": 2501, "seconds": 6000, "criticalPathSeconds": 60, "criticalPath": ["task-1"]}},
		{"parameters": "same", "added": [], "removed": [], "changed": [], "base": {}, "head": {}}]}}`, strings.Join(labels, ","), strings.Join(groups, ",")))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Sets[0]
	if p.URL != "" || p.NewScopes != 1 || len(p.Sets) != 2 || !p.Sets[1].Same || s.Same {
		t.Errorf("%+v", p)
	}
	if s.Added.All != 2500 || s.Added.More() != 500 || s.MoreGroups != 100 || s.ChangedTasks != 400*30 {
		t.Errorf("%d %d %d %d", s.Added.All, s.Added.More(), s.MoreGroups, s.ChangedTasks)
	}
	if g := s.Changed[0]; !strings.HasSuffix(g.By, "task-19 and 10 more") || g.Changes[0].Old != `"a"` || len([]rune(g.Changes[0].New)) != 601 {
		t.Errorf("%+v", g)
	}
	if n := s.Numbers[1]; !n.Moved() || n.Before != "1m0s" || n.After != "1h40m" {
		t.Errorf("%+v", n)
	}
	if _, err := diffview.Read([]byte("no")); !errors.Is(err, fault.Internal) {
		t.Error(err)
	}
}
