package uitest

import (
	"fmt"
	"testing"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// Sample makes a repository with two pushes: the older one has two failures and much that passed, the
// newer one could not be decided.
func Sample(t testing.TB, s *Site) (group string, ids map[string]string) {
	t.Helper()
	s.Repository(t, "sample")
	var jobs []Job
	add := func(state task.State, name, platform, group, symbol string) {
		jobs = append(jobs, Job{State: state, Name: name, Platform: platform, Group: group, Symbol: symbol})
	}
	add(task.Completed, "build-linux64", "linux64", "", "B")
	add(task.Completed, "build-macosx64", "macosx64", "", "B")
	for i := 1; i <= 6; i++ {
		state := task.Completed
		if i == 2 || i == 5 {
			state = task.Failed
		}
		add(state, fmt.Sprintf("test-linux64-unit-%d", i), "linux64", "U", fmt.Sprint(i))
	}
	add(task.Running, "test-macosx64-unit-1", "macosx64", "U", "1")
	add(task.Pending, "test-macosx64-unit-2", "macosx64", "U", "2")
	add(task.Completed, "lint-go", "linux64", "L", "go")
	add(task.Completed, "lint-docs", "linux64", "L", "docs")
	first := s.Record(t, push.Push{Repository: "sample", Message: "Read the queue's length in one statement\n\nIt took two."})
	group, list := s.Decide(t, first, jobs...)
	ids = map[string]string{}
	for i, id := range list {
		ids[jobs[i].Name] = id
	}
	s.Fail(t, s.Record(t, push.Push{Repository: "sample", Author: "Grace Hopper", Email: "grace@example.com", Message: "Add a nightly build"}), push.Error{
		Code: "template-error", Message: "unknown context value pushh", File: ".taskcluster.yml", Line: 12, Detail: "InterpreterError at template.tasks[0].if",
	})
	return group, ids
}
