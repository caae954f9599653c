package actions

import (
	"strconv"
	"strings"
)

// taskclusterYML is the file that asks for a decision task.
func (c *converter) taskclusterYML() string {
	var events []string
	for _, e := range c.asked() {
		events = append(events, strconv.Quote(e))
	}
	return strings.NewReplacer("DOMAIN", c.project.TrustDomain(), "EVENTS", strings.Join(events, ", "), "CANCEL\n", c.cancelling()).Replace(taskclusterTemplate)
}

const taskclusterTemplate = `# What Treeline does when something happens in this repository, when a job of .cron.yml is due, and when somebody presses a
# button: one task in the server, which reads taskcluster/ and makes the others.
version: 1
reporting: checks-v1
policy:
  pullRequests: public_restricted
CANCEL
tasks:
  - $if: tasks_for in [EVENTS, "action"]
    then:
      $let:
        role:
          $switch:
            tasks_for == "github-pull-request-untrusted": pull-request-untrusted
            tasks_for == "github-pull-request": pull-request
            tasks_for == "github-release": release:published
            tasks_for == "github-merge-group": {$eval: '"branch:" + event.merge_group.head_ref[11:]'}
            tasks_for == "github-push" && event.ref[:10] == "refs/tags/": {$eval: '"tag:" + event.ref[10:]'}
            tasks_for == "github-push": {$eval: '"branch:" + event.ref[11:]'}
            tasks_for == "cron": "cron:${cron.job_name}"
            tasks_for == "git-push": "branch:${push.branch}"
            $default: action
      in:
        $mergeDeep:
          - taskQueueId: built-in/decision
            created: {$fromNow: ""}
            deadline: {$fromNow: 1 day}
            expires: {$fromNow: 90 days}
            payload:
              root: taskcluster
            extra:
              treeherder: {tier: 1, machine: {platform: decision}}
              tasks_for: ${tasks_for}
          - $if: tasks_for[:7] == "github-"
            then:
              schedulerId: {$if: 'tasks_for in ["github-push", "github-release"]', then: DOMAIN-level-3, else: DOMAIN-level-1}
              metadata:
                name: Decision task
                description: Decides what is to be done.
                owner: ${event.sender.login}@users.noreply.github.com
                source: ${event.repository.html_url}
              scopes: ["assume:repo:github.com/${event.repository.full_name}:${role}"]
              tags: {kind: decision-task}
              extra:
                treeherder: {symbol: D}
            else:
              schedulerId: DOMAIN-level-${repository.level}
              metadata:
                owner: ${push.owner}
                source: ${repository.url}
          - $switch:
              tasks_for == "action":
                taskGroupId: ${action.taskGroupId}
                metadata:
                  name: "Action: ${action.title}"
                  description: ${action.description}
                tags: {kind: action-callback}
                scopes: ["${action.repo_scope}"]
                payload:
                  action:
                    callback: ${action.cb_name}
                    taskGroupId: ${action.taskGroupId}
                    taskId: {$eval: taskId}
                    input: {$eval: input}
                extra:
                  treeherder: {symbol: {$if: action.symbol, then: "A(${action.symbol})", else: A}}
                  parent: ${action.taskGroupId}
                  action:
                    name: ${action.name}
              tasks_for == "cron":
                taskId: ${ownTaskId}
                taskGroupId: ${ownTaskId}
                metadata:
                  name: Decision task of ${cron.job_name}
                  description: Decides what the job ${cron.job_name} of .cron.yml needs.
                tags: {kind: cron-task}
                scopes: ["assume:${repository.role}:${role}"]
                extra:
                  treeherder: {symbol: "${cron.job_symbol}"}
              tasks_for == "git-push":
                taskId: ${ownTaskId}
                taskGroupId: ${ownTaskId}
                metadata:
                  name: Decision task
                  description: Decides what this push needs.
                tags: {kind: decision-task}
                scopes: ["assume:${repository.role}:${role}"]
                extra:
                  treeherder: {symbol: D}
              $default: {}
`
