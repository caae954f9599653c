package admincmd_test

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/task"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expiry(t *testing.T) task.Time {
	t.Helper()
	return task.At(time.Now().Add(24 * time.Hour))
}
