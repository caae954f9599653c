package jobs_test

import (
	"slices"
	"testing"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestSymbolsReadFromTheRight has a group and jobs with Hebrew symbols: each is read from the right, but the jobs stand in
// the order in which the grid laid them out, between their brackets.
func TestSymbolsReadFromTheRight(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	s.Decide(t, s.Record(t, push.Push{Repository: "sample", Author: "Ada", Email: "ada@example.com"}),
		uitest.Job{State: task.Completed, Name: "unit-1", Platform: "linux64", Group: "בדק", Symbol: "א"},
		uitest.Job{State: task.Completed, Name: "unit-2", Platform: "linux64", Group: "בדק", Symbol: "ב"},
		uitest.Job{State: task.Completed, Name: "unit-3", Platform: "linux64", Group: "בדק", Symbol: "ג"})
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelectorAll(".g-sym ~ b.c").length === 3`)
	const places = `(() => {
		const place = (node, from, to) => { const r = document.createRange(); r.setStart(node, from); r.setEnd(node, to); return r.getBoundingClientRect().left };
		const group = document.querySelector(".g-sym"), bracket = group.lastChild, n = bracket.data.length;
		const after = [...group.parentElement.children].filter(e => e.matches(".g-sym ~ *"));
		return [group.getBoundingClientRect().left + 3, place(bracket, n - 1, n), ...after.map(e => e.getBoundingClientRect().left)].map(Math.round);
	})()`
	got := uitest.Eval[[]int](t, tab, places)
	if len(got) != 6 || !slices.IsSorted(got) {
		t.Errorf("the name, its bracket, three jobs and the closing bracket stand at %d", got)
	}
}
