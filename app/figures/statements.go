package figures

import (
	"slices"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/once"
	"github.com/treeline-ci/treeline/app/github/quickstart"
	"github.com/treeline-ci/treeline/app/github/scopegate"
	"github.com/treeline-ci/treeline/app/github/standing"
	"github.com/treeline-ci/treeline/app/github/timing"
	apphg "github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/app/whatif"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/replica"
	"github.com/treeline-ci/treeline/retention"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/trace/export"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/triage/bugs"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
	"github.com/treeline-ci/treeline/ui/session"
	"github.com/treeline-ci/treeline/ui/shell"
	"github.com/treeline-ci/treeline/ui/trees"
)

// Statements are all named statements of the rooms, by which round trips to the database are counted. One that is missing
// here counts as "other"; a test compares them with the source.
func Statements() []pg.Statement {
	return slices.Concat(
		actions.Statements(), github.Statements(), checks.Statements(), once.Statements(), scopegate.Statements(), quickstart.Statements(), standing.Statements(), timing.Statements, apphg.Statements(), whatif.Statements(),
		auth.Statements(), backup.Statements(), cron.Statements(), event.Named(), failures.Statements(), history.Statements(), hooks.Statements(), index.Statements(),
		login.Statements, notify.Statements(), object.Statements(), pools.Statements(), purgecache.Statements(), push.Statements(),
		queue.Statements, gauge.Statements, secrets.Statements(), triage.Statements(), bugs.Statements(), pg.Statements(),
		replica.Statements, retention.Statements, export.Statements, home.Statements(), lineindex.Statements, session.Statements, shell.Statements, trees.Statements(),
	)
}
