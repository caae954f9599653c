package jobs_test

import (
	"testing"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestTheHeaderOfAPushTakesOneLine has a push by an author with a name of 26 letters beside one with a short name. Where
// the places of counts that are 0 do not give way, the button "Actions" falls alone into a second line.
func TestTheHeaderOfAPushTakesOneLine(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	for _, author := range []string{"Dependency Updates (robot)", "Ada Lovelace"} {
		s.Decide(t, s.Record(t, push.Push{Repository: "sample", Author: author, Email: "who@example.com"}),
			uitest.Job{State: task.Failed, Name: "unit-1", Platform: "linux64", Group: "T", Symbol: "1"})
	}
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelectorAll(".push > header .action-menu").length === 2`)
	tab.Wait(t, `document.querySelectorAll("b.c").length === 4`)
	tab.Inspect(t, "jobs-long-author")
	tab.Size(t, 1280, 860)
	if got := uitest.Eval[[]int](t, tab, `[...document.querySelectorAll(".push > header")].map(h => h.offsetHeight)`); got[0] != got[1] || got[0] > 50 {
		t.Errorf("the headers are %d pixels high", got)
	}
	t.Run("the number inside the filter follows its comma", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=sample&searchStr=nothing-is-named-so")
		tab.Wait(t, `document.querySelector(".chip .in-filter")?.innerText.includes("0 shown")`)
		gap := `(() => { const number = document.querySelector(".chip .in-filter"), word = document.createRange(); word.selectNode(number.previousSibling);
			return Math.round(number.getBoundingClientRect().left - word.getBoundingClientRect().right) })()`
		if got := uitest.Eval[int](t, tab, gap); got < -1 || got > 1 {
			t.Errorf("there are %d pixels before the comma", got)
		}
	})
}
