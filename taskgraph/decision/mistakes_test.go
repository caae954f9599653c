package decision_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

func TestMistakesSurviveTheirFile(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want []decision.Mistake
	}{
		{"of the tree", fmt.Errorf("generate: %w", errors.Join(
			&graph.Error{File: "taskcluster/kinds/a/kind.yml", Line: 3, Label: "a-b", Message: "is odd", Err: errors.New("very")},
			&graph.Error{Message: "nor this"},
		)), []decision.Mistake{{File: "taskcluster/kinds/a/kind.yml", Line: 3, Label: "a-b", Message: "is odd: very"}, {Message: "nor this"}}},
		{"of something else", errors.New("create tasks: no"), []decision.Mistake{{Message: "create tasks: no"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			content, err := decision.WriteMistakes(c.err)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decision.ReadMistakes(content)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestWhatIsNoListOfMistakes(t *testing.T) {
	for _, content := range []string{"", "[]", "{}", `{"errors": []}`, `{"errors": [1]}`, strings.Repeat(" ", decision.MaxMistakes+1)} {
		if got, err := decision.ReadMistakes([]byte(content)); err == nil {
			t.Errorf("%.20q: %v", content, got)
		}
	}
}

func FuzzReadMistakes(f *testing.F) {
	f.Add([]byte(`{"errors": [{"file": "a", "line": -1, "message": "\u0000"}]}`))
	f.Add([]byte(`{"errors": [{"message": "` + strings.Repeat("x", 5000) + `"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := decision.ReadMistakes(content)
		if err != nil {
			return
		}
		for _, m := range list {
			if m.Line < 0 || len(m.Message) > 4010 || strings.ContainsRune(m.String(), 0) || !utf8.ValidString(m.String()) {
				t.Errorf("%+v", m)
			}
		}
	})
}
