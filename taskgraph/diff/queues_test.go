package diff_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

func on(t *graph.Task, provisioner, workerType string) *graph.Task {
	t.Definition["provisionerId"], t.Definition["workerType"] = provisioner, workerType
	return t
}

func TestATaskQueueIsNewWhereNoTaskWasOnIt(t *testing.T) {
	base := graphOf(t, on(taskOf("a", 1, nil), "p", "small"), on(taskOf("b", 1, nil), "p", "large"))
	whole := taskOf("d", 1, nil)
	whole.Definition["taskQueueId"] = "q/signing"
	head := graphOf(t, on(taskOf("a", 1, nil), "p", "large"), on(taskOf("c", 1, nil), "p", "huge"), on(taskOf("b", 1, nil), "p", "huge"), whole)
	d := diff.Compare(base, head, nil)
	if diff := cmp.Diff("[{p/huge [b c]} {q/signing [d]}]", fmt.Sprint(d.Queues)); diff != "" {
		t.Error(diff)
	}
	if d := diff.Compare(head, head, nil); len(d.Queues) > 0 {
		t.Error(d.Queues)
	}
	r := diff.Report{Sets: []diff.Set{{Name: "x", Diff: d}, {Name: "y", Diff: d}}}
	if diff := cmp.Diff([]string{"p/huge", "q/signing"}, r.NewQueues()); diff != "" {
		t.Error(diff)
	}
	var text strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{text.String(), "! NEW TASK QUEUE p/huge  of b, c"}, {r.Markdown(), "**New task queues**"}, {r.Markdown(), "- 🛑 new: `q/signing` of `d`"}, {d.Summary(), "; 2 new task queues; "},
	} {
		if !strings.Contains(c.text, c.want) {
			t.Errorf("it lacks %q:\n%s", c.want, c.text)
		}
	}
}
