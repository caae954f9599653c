package cron

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// TasksFor is what tasks_for is when a job renders .taskcluster.yml.
const TasksFor = "cron"

// Repository is where the tree is from.
type Repository struct {
	URL, Project, Level string
	Type                string // git or hg
	Role                string // what its roles' names begin with; "" leaves the name out
}

// Push is the head of the branch that a job acts for.
type Push struct {
	Revision     string
	Branch       string // of git
	PushlogID    string // of Mercurial, as the two below
	Pushdate     int64
	BaseRevision string
}

// Start is one start of a job.
type Start struct {
	TaskID string         // the task that starts it; "" stands for one that has no id
	Input  map[string]any // of the hook that was triggered; nil without
}

// Arguments are the options that the job gives to its decision, in a fixed order.
func (j *Job) Arguments() []string {
	out := []string{"--target-tasks-method=" + j.TargetTasksMethod}
	if j.OptimizeTargetTasks != nil {
		out = append(out, fmt.Sprintf("--optimize-target-tasks=%t", *j.OptimizeTargetTasks))
	}
	if j.IncludePushTasks {
		out = append(out, "--include-push-tasks")
	}
	for _, kind := range j.RebuildKinds {
		out = append(out, "--rebuild-kind="+kind)
	}
	return out
}

// Context gives the names that .taskcluster.yml is rendered with for a job of type decision-task,
// besides tasks_for, taskcluster_root_url and ownTaskId (taskgraph-map 19).
func (j *Job) Context(r Repository, p Push, s Start) map[string]any {
	quoted := make([]string, 0, 4)
	for _, a := range j.Arguments() {
		quoted = append(quoted, shellQuoted(a))
	}
	if s.TaskID == "" {
		s.TaskID = "<cron task id>"
	}
	push := map[string]any{"owner": "cron", "revision": p.Revision}
	if r.Type == "hg" {
		push["pushlog_id"], push["pushdate"], push["base_revision"] = p.PushlogID, float64(p.Pushdate), p.BaseRevision
	} else {
		push["branch"] = strings.TrimPrefix(p.Branch, "refs/heads/")
	}
	repository := map[string]any{"url": r.URL, "project": r.Project, "level": r.Level, "type": r.Type}
	if r.Role != "" {
		repository["role"] = r.Role
	}
	return map[string]any{
		"push": push, "repository": repository,
		"cron": map[string]any{
			"task_id": s.TaskID, "job_name": j.Name, "job_symbol": j.TreeherderSymbol,
			"quoted_args": strings.Join(quoted, " "), "input": j.cronInput(s.Input),
		},
	}
}

// ActionInput is the input of the action that a job of type trigger-action starts.
func (j *Job) ActionInput(s Start) map[string]any {
	out := j.cronInput(s.Input)
	maps.Copy(out, j.ExtraInput)
	return out
}

func (j *Job) cronInput(input map[string]any) map[string]any {
	out := map[string]any{}
	if j.IncludeCronInput {
		maps.Copy(out, input)
	}
	return out
}

var plainWord = regexp.MustCompile(`\A[A-Za-z0-9@%+=:,./_-]+\z`)

// shellQuoted is s as one word of a shell's command line.
func shellQuoted(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// Scope is what the task that starts the jobs of a repository must hold to let this one act.
func (j *Job) Scope(role string) string { return "assume:" + role + ":cron:" + j.Name }
