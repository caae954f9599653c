package starter

import "fmt"

// appYML is the .taskcluster.yml of a repository at GitHub: pushes and pull requests come from the App, under the names
// that Taskcluster's GitHub service has for them, and only jobs and actions as everywhere.
func (p Project) appYML() string {
	return fmt.Sprintf(`# What Treeline does when somebody pushes or proposes a change, when a job of .cron.yml is due, and when somebody presses a
# button: one task in the server, which reads taskcluster/ and makes the others.
version: 1
reporting: checks-v1
policy:
  pullRequests: public_restricted
tasks:
  - $if: >-
      tasks_for == "github-push" && event.ref[:11] == "refs/heads/"
      || tasks_for in ["github-pull-request", "github-pull-request-untrusted", "cron", "action"]
    then:
      $mergeDeep:
        - taskQueueId: built-in/decision
          created: {$fromNow: ""}
          deadline: {$fromNow: 1 day}
          expires: {$fromNow: 28 days}
          payload:
            root: taskcluster
          extra:
            treeherder: {tier: 1, machine: {platform: decision}}
            tasks_for: ${tasks_for}
        - $if: tasks_for in ["cron", "action"]
          then:
            schedulerId: %[1]s-level-${repository.level}
            metadata:
              owner: ${push.owner}
              source: ${repository.url}
          else:
            # What is merged is trusted (level 3), what is proposed is not.
            schedulerId: {$if: 'tasks_for == "github-push"', then: "%[1]s-level-3", else: "%[1]s-level-1"}
            metadata:
              owner: ${event.sender.login}@users.noreply.github.com
              source: ${event.repository.html_url}
%[2]s            tasks_for == "github-push":
              metadata:
                name: Decision task
                description: Decides what this push needs.
              tags: {kind: decision-task}
              scopes: ["assume:repo:github.com/${event.repository.full_name}:branch:${event.ref[11:]}"]
              extra:
                treeherder: {symbol: D}
            $default:
              metadata:
                name: Decision task
                description: Decides what this pull request needs.
              tags: {kind: decision-task}
              # :pull-request, or :pull-request-untrusted for those of strangers
              scopes: ["assume:repo:github.com/${event.repository.full_name}:${tasks_for[7:]}"]
              extra:
                treeherder: {symbol: D}
`, p.TrustDomain(), actionAndCron)
}
