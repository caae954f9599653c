package pools

import (
	"strings"

	"github.com/treeline-ci/treeline/ui/find"
	"github.com/treeline-ci/treeline/ui/page"
)

// Hits finds task queues by their names, for the palette, as far as the visitor may see them.
func (ps *Pages) Hits(v *page.Visit, text string, n int) (list []find.Hit, err error) {
	if v.Allow(seeQueues) != nil {
		return nil, nil
	}
	lines, err := ps.Gauge.Lines(v.R.Context())
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if len(list) < n && strings.Contains(strings.ToLower(l.TaskQueueID), text) {
			list = append(list, find.Hit{Kind: "queue", Title: l.TaskQueueID, Href: Path(l.TaskQueueID), Detail: grouped(l.Pending) + " pending, " + grouped(l.Running) + " running"})
		}
	}
	return list, nil
}
