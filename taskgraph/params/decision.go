package params

import (
	"slices"
	"strings"
	"time"
)

// Decision is what a decision task knows about its event; the fields are the options of the
// decision command and what version control says (taskgraph-map 12.1, 12.4).
type Decision struct {
	BaseRepository, BaseRef, BaseRev          string
	HeadRepository, HeadRef, HeadRev, HeadTag string
	Project, Owner, Level, PushlogID          string
	RepositoryType, TasksFor                  string
	Pushdate                                  int64 // Unix seconds; 0 when unknown
	TargetTasksMethod                         string
	FilesChanged                              []string
	CommitMessage                             string // of the head
	Version                                   string // first line of version.txt
	KeepTargets                               bool   // selected tasks are not optimized away
	Now                                       time.Time
	Own                                       Own            // parameters that the tree declares
	Try                                       map[string]any // parameters of a push to try, which win; nil for other pushes
}

// ForDecision makes the strict parameters of a decision of d.Values.
func ForDecision(d Decision) (*Parameters, error) {
	return New(d.Values(), Options{Strict: true, Own: d.Own})
}

// Values are the parameters of a decision, not yet checked. An owner without "@" gets the
// no-reply domain of the field; without pushdate the build date is d.Now; a push whose message
// says DONTBUILD selects nothing; parameters of the tree's own have their defaults.
func (d Decision) Values() map[string]any {
	owner := d.Owner
	if !strings.Contains(owner, "@") {
		owner += "@noreply.mozilla.org"
	}
	built := d.Pushdate
	if built == 0 {
		built = d.Now.Unix()
	}
	var version any
	if d.Version != "" {
		version = d.Version
	}
	values := map[string]any{
		"base_repository":       d.BaseRepository,
		"base_ref":              d.BaseRef,
		"base_rev":              d.BaseRev,
		"build_date":            built,
		"build_number":          int64(1),
		"do_not_optimize":       []any{},
		"enable_always_target":  true,
		"existing_tasks":        map[string]any{},
		"files_changed":         normal(d.FilesChanged),
		"filters":               []any{"target_tasks_method"},
		"head_ref":              d.HeadRef,
		"head_repository":       d.HeadRepository,
		"head_rev":              d.HeadRev,
		"head_tag":              d.HeadTag,
		"level":                 d.Level,
		"moz_build_date":        buildDate(built),
		"next_version":          nil,
		"optimize_strategies":   nil,
		"optimize_target_tasks": !d.KeepTargets,
		"owner":                 owner,
		"project":               d.Project,
		"pushdate":              d.Pushdate,
		"pushlog_id":            d.PushlogID,
		"repository_type":       d.RepositoryType,
		"target_tasks_method":   d.Method(),
		"tasks_for":             d.TasksFor,
		"version":               version,
	}
	for name, r := range d.Own {
		if !r.Optional {
			values[name] = normal(r.Default)
		}
	}
	for name, v := range d.Try {
		values[name] = normal(v)
	}
	return values
}

// Method is the target-tasks method: the one asked for, but nothing when a push says DONTBUILD.
func (d Decision) Method() string {
	if strings.Contains(d.CommitMessage, "DONTBUILD") && slices.Contains([]string{"hg-push", "github-push", "git-push"}, d.TasksFor) {
		return "nothing"
	}
	if d.TargetTasksMethod != "" {
		return d.TargetTasksMethod
	}
	return "default"
}
