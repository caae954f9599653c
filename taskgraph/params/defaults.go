package params

import (
	"path"
	"strings"
	"time"
)

// Facts is what is known about a local checkout; every field may be empty.
type Facts struct {
	RepositoryURL  string // of the remote it came from
	RepositoryType string // "git" or "hg"
	HeadRef        string // branch; HeadRev when there is none
	HeadRev        string
	FilesChanged   []string // the work tree's changes against its head
	Version        string   // first line of version.txt
	Now            time.Time
}

// Defaults are the parameters of a local run (taskgraph-map 12.1, column "local default"). All
// times come from f.Now; with a zero Now the dates are 0.
func Defaults(f Facts) map[string]any {
	ref := f.HeadRef
	if ref == "" {
		ref = f.HeadRev
	}
	var version any
	if f.Version != "" {
		version = f.Version
	}
	var seconds int64
	if !f.Now.IsZero() {
		seconds = f.Now.Unix()
	}
	return map[string]any{
		"base_repository":       f.RepositoryURL,
		"base_ref":              "",
		"base_rev":              "",
		"build_date":            seconds,
		"build_number":          int64(1),
		"do_not_optimize":       []any{},
		"enable_always_target":  true,
		"existing_tasks":        map[string]any{},
		"files_changed":         normal(f.FilesChanged),
		"filters":               []any{"target_tasks_method"},
		"head_ref":              ref,
		"head_repository":       f.RepositoryURL,
		"head_rev":              f.HeadRev,
		"head_tag":              "",
		"level":                 "3",
		"moz_build_date":        buildDate(seconds),
		"next_version":          nil,
		"optimize_strategies":   nil,
		"optimize_target_tasks": true,
		"owner":                 "nobody@mozilla.com",
		"project":               projectName(f.RepositoryURL),
		"pushdate":              seconds,
		"pushlog_id":            "0",
		"repository_type":       f.RepositoryType,
		"target_tasks_method":   "default",
		"tasks_for":             "",
		"version":               version,
	}
}

// buildDate is the time in the form of moz_build_date, UTC.
func buildDate(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("20060102150405")
}

// projectName is the last part of a repository's URL without ".git".
func projectName(url string) string {
	if url == "" {
		return ""
	}
	return strings.TrimSuffix(path.Base(strings.TrimRight(url, "/")), ".git")
}
