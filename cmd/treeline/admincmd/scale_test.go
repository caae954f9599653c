package admincmd_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/apptest"
)

// scaleSetting makes the test of size one of full size, with its figures in the log (make bench-admin).
const scaleSetting = "TREELINE_ADMIN_SCALE"

// TestManyProjectsAreAppliedOnce is the size that a large deployment has, or a tenth of it: the second
// diff is empty.
func TestManyProjectsAreAppliedOnce(t *testing.T) {
	projects, full := 20, os.Getenv(scaleSetting) != ""
	if full {
		projects = 200
	}
	d := newDesk(t, apptest.Start(t))
	var b strings.Builder
	b.WriteString("managed: [\"role:repo:*\"]\nrepositories:\n")
	for i := range projects {
		fmt.Fprintf(&b, "  - {name: p%03d, path: github.com/acme/p%03d, level: %d, trust-domain: acme}\n", i, i, i%3+1)
	}
	b.WriteString("grants:\n")
	for i := range projects * 10 {
		job := []string{"", ", branch: main", ", branch: beta", ", cron: nightly", ", action: generic"}[i%5]
		fmt.Fprintf(&b, "  - {scopes: [\"queue:create-task:low:acme-{level}/w%d\", \"queue:route:index.acme.{name}.r%d.*\"], reason: Reason %d., to: [{projects: p%03d%s}]}\n", i, i, i, i/10, job)
	}
	d.write("acme.yml", b.String())
	timed := func(what string, f func()) time.Duration {
		start := time.Now()
		f()
		took := time.Since(start).Round(time.Millisecond)
		t.Logf("%-40s %v", what, took)
		return took
	}
	first := timed("the first apply", func() { d.has(d.admin(false, "apply", "--allow-scope-growth"), fmt.Sprintf("%d writes", projects*5)) })
	timed("a diff without a difference", func() { d.has(d.admin(false, "diff"), "nothing differs") })
	second := timed("a second apply", func() { d.has(d.admin(false, "apply"), "0 writes") })
	d.write("acme.yml", strings.ReplaceAll(b.String(), "acme-{level}/w", "acme-{level}/v"))
	every := timed("an apply that changes every role", func() { d.admin(false, "apply", "--allow-scope-growth") })
	if limit := 10 * time.Second; full && (first > limit || second > limit || every > 2*limit) {
		t.Errorf("%v, %v and %v are not below %v", first, second, every, limit)
	}
	d.has(d.admin(false, "diff"), "nothing differs")
}
