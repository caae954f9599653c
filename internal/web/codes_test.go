package web

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestThePageNamesEveryCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/errors-and-limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codes {
		if row := fmt.Sprintf("| `%s` | %d |", c.code, c.status); !strings.Contains(string(page), row) {
			t.Errorf("the page has no row %s", row)
		}
	}
	for what, limit := range map[string]int{"a JSON body": DefaultBody >> 20, "a JSON body without credentials, where the scopes depend on what it says": strangerBody >> 20} {
		if row := fmt.Sprintf("| %s | %d MiB", what, limit); !strings.Contains(string(page), row) {
			t.Errorf("the page has no row %s", row)
		}
	}
	for what, limit := range map[string]int{"segments of a path": maxSegments, "a page of a listing": MaxPage} {
		if row := fmt.Sprintf("| %s | %d", what, limit); !strings.Contains(string(page), row) {
			t.Errorf("the page has no row %s", row)
		}
	}
}
