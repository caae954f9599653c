package task_test

import (
	"regexp"
	"testing"

	"github.com/treeline-ci/treeline/task"
)

// FuzzNames holds the two checks against the patterns that the wire has for them.
func FuzzNames(f *testing.F) {
	var (
		identifier = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,38}$`)
		queueID    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$`)
	)
	const long = "abcdefghijklmnopqrstuvwxyz0123456789-_" // as long as it may be
	for _, s := range []string{
		"", "a", "A_b-9", long, long + "x", "a b", "é", "a/b", "a/", "/b", "a/B", "a/b-", "a/-b", "a/9b", "a/b9", "a/b_c", "a/b/c",
		long + "/x" + long[:36] + "z", long + "/" + long[:36] + "9z", long + "/" + long[:36] + "9", long + "/" + long[:35] + "99", "a/b\n", "a\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := task.IsIdentifier(s), identifier.MatchString(s); got != want {
			t.Errorf("identifier %q: %v", s, got)
		}
		if got, want := task.IsQueueID(s), queueID.MatchString(s); got != want {
			t.Errorf("queue %q: %v", s, got)
		}
	})
}
