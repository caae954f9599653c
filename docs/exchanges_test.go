package docs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/event/pulse"
)

func TestEveryExchangeIsListed(t *testing.T) {
	page := read(t, "reference/exchanges.md")
	for _, s := range pulse.Services() {
		for _, x := range s.Exchanges {
			var names []string
			for _, f := range x.Key {
				if f.Constant != "" {
					names = append(names, f.Constant)
				} else {
					names = append(names, f.Name)
				}
			}
			key := map[int]string{10: "task", 8: "worker", 4: "group", 2: "topic", 1: "reserved"}[len(names)]
			if s.Name == "github" {
				key = map[int]string{3: "repository", 4: "action"}[len(names)]
			}
			if row := fmt.Sprintf("| `exchange/taskcluster-%s/v1/%s` | %s | %s |\n", s.Name, x.Exchange, key, x.Description); !strings.Contains(page, row) {
				t.Errorf("reference/exchanges.md lacks %s", row)
			}
			if line := fmt.Sprintf("- **%s**: `%s`\n", key, strings.Join(names, ".")); !strings.Contains(page, line) {
				t.Errorf("reference/exchanges.md lacks %s", line)
			}
		}
	}
}
