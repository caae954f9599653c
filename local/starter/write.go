package starter

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Project is what the configuration is written for.
type Project struct {
	Name          string `json:"name"`
	Type          string `json:"type"` // git or hg
	Remote        string `json:"remote,omitempty"`
	Forge         string `json:"forge,omitempty"` // GitHub and so on, by the remote
	DefaultBranch string `json:"defaultBranch"`
	// App: it is built as the server's GitHub App tells of it, whose events have names of their own.
	App      bool      `json:"app,omitempty"`
	Findings []Finding `json:"findings"`
}

// File is one file to write, with what it is for.
type File struct {
	Name    string `json:"name"`
	Why     string `json:"why"`
	Content string `json:"-"`
}

// Show prints the files one after the other, each under its name.
func Show(w io.Writer, files []File) error {
	for n, f := range files {
		if n > 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintf(w, "==> %s <==\n%s", f.Name, f.Content); err != nil {
			return err
		}
	}
	return nil
}

var (
	scpRemote = regexp.MustCompile(`^(?:[^@/]+@)?([^:/]+):(.+)$`)
	urlRemote = regexp.MustCompile(`^[a-z+]+://(?:[^@/]*@)?([^/:]+)(?::\d+)?/(.+)$`)
	notName   = regexp.MustCompile(`[^a-z0-9]+`)
)

// ReadRemote tells the forge and the address for browsers of a remote; without secrets that may stand in it.
func ReadRemote(remote string) (forge, address string) {
	m := urlRemote.FindStringSubmatch(remote)
	if m == nil {
		m = scpRemote.FindStringSubmatch(remote)
	}
	if m == nil {
		return "", ""
	}
	host := m[1]
	address = "https://" + host + "/" + strings.TrimSuffix(strings.Trim(m[2], "/"), ".git")
	for _, known := range []struct{ in, name string }{
		{"github", "GitHub"}, {"gitlab", "GitLab"}, {"bitbucket", "Bitbucket"}, {"codeberg", "Codeberg"}, {"gitea", "Gitea"},
		{"sr.ht", "SourceHut"}, {"hg.mozilla", "hg.mozilla.org"},
	} {
		if strings.Contains(host, known.in) {
			return known.name, address
		}
	}
	return host, address
}

// Prefix is the project's name as it can stand in names of variables and options.
func (p Project) Prefix() string {
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(p.Name), "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "p" + name
	}
	return name
}

// TrustDomain is the name that begins the project's caches, routes and schedulers.
func (p Project) TrustDomain() string {
	domain := strings.ReplaceAll(p.Prefix(), "_", "-")
	return strings.Trim(domain[:min(len(domain), 22)], "-") // with "-level-3" it must be a scheduler's id
}

// Files are the files of the configuration.
func (p Project) Files() []File {
	files := []File{
		{".taskcluster.yml", "what happens at a push: one decision task, which makes the others", p.frame()},
		{"taskcluster/config.yml", "names, and where tasks run", p.config()},
	}
	kinds := p.jobs()
	for _, kind := range []struct{ name, symbol, what string }{
		{"build", "B", "the tasks that build"}, {"test", "T", "the tasks that test"}, {"lint", "L", "the tasks that look at the sources"},
	} {
		if jobs := kinds[kind.name]; len(jobs) > 0 {
			files = append(files, File{"taskcluster/kinds/" + kind.name + "/kind.yml", kind.what, p.kind(kind.name, kind.symbol, jobs)})
		}
	}
	return files
}

// jobs are the jobs of all findings, by kind.
func (p Project) jobs() map[string][]Job {
	out := map[string][]Job{}
	for _, f := range p.Findings {
		for _, j := range f.Jobs {
			out[j.Kind] = append(out[j.Kind], j)
		}
	}
	return out
}

func (p Project) caches() []string {
	caches := []string{"checkout"}
	for _, jobs := range p.jobs() {
		for _, j := range jobs {
			caches = append(caches, j.Caches...)
		}
	}
	slices.Sort(caches)
	return slices.Compact(caches)
}

// quoted writes text so that YAML reads it as the same text: in double quotes, whose escapes Go and YAML share.
func quoted(text string) string { return strconv.Quote(text) }

func (p Project) config() string {
	repository := "      name: " + quoted(p.Name) + "\n"
	if p.Remote != "" {
		repository += "      default-repository: " + quoted(p.Remote) + "\n"
	}
	repository += "      default-ref: " + quoted(p.DefaultBranch) + "\n      type: " + p.Type + "\n"
	return fmt.Sprintf(`# What all kinds of tasks share.
trust-domain: %s
task-priority: low
task-deadline-after: 1 day
task-expires-after: 28 days
treeherder:
  # Groups of symbols: T(go) is shown as "go" in the group T.
  group-names:
    B: Builds
    T: Tests
    L: Checks of the sources
taskgraph:
  repositories:
    # The prefix: tasks find the revision in %s_HEAD_REV, and so on.
    %s:
%s  run:
    # Directories that are kept from task to task.
    use-caches: [%s]
workers:
  aliases:
    # The kind of worker that tasks ask for with "worker-type: linux": the queue local/work, which treeline dev serves.
    linux:
      provisioner: local
      implementation: generic-worker
      os: linux
      worker-type: work
`, p.TrustDomain(), strings.ToUpper(p.Prefix()), p.Prefix(), repository, strings.Join(p.caches(), ", "))
}

func (p Project) kind(kind, symbol string, jobs []Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, `loader: taskgraph.loader.transform:loader
transforms:
  - taskgraph.transforms.run:transforms
  - taskgraph.transforms.task:transforms
task-defaults:
  worker-type: linux
  worker:
    max-run-time: 3600
  run:
    using: run-task
    cwd: "{checkout}"
  treeherder:
    kind: %s
    platform: linux/opt
    tier: 1
tasks:
`, map[string]string{"build": "build", "test": "test", "lint": "test"}[kind])
	for _, j := range jobs {
		fmt.Fprintf(&b, "  %s:\n    description: %s\n    treeherder:\n      symbol: %s(%s)\n    run:\n      command: %s\n", j.Name, quoted(j.Description), symbol, j.Name, quoted(j.Command))
	}
	return b.String()
}

// frame is the .taskcluster.yml.
func (p Project) frame() string {
	if p.App {
		return p.appYML()
	}
	return p.taskclusterYML()
}

func (p Project) taskclusterYML() string {
	return fmt.Sprintf(`# What Treeline does when somebody pushes, when a job of .cron.yml is due, and when somebody presses a button: one task in the
# server, which reads taskcluster/ and makes the others.
version: 1
reporting: checks-v1
policy:
  pullRequests: public_restricted
tasks:
  - $if: tasks_for in ["git-push", "cron", "action"]
    then:
      $mergeDeep:
        - schedulerId: %[1]s-level-${repository.level}
          taskQueueId: built-in/decision
          created: {$fromNow: ""}
          deadline: {$fromNow: 1 day}
          expires: {$fromNow: 28 days}
          metadata:
            owner: ${push.owner}
            source: ${repository.url}
          payload:
            root: taskcluster
          extra:
            treeherder: {tier: 1, machine: {platform: decision}}
            tasks_for: ${tasks_for}
%[2]s            $default:
              taskId: ${ownTaskId}
              taskGroupId: ${ownTaskId}
              metadata:
                name: Decision task
                description: Decides what this push needs.
              tags: {kind: decision-task}
              scopes: ["assume:${repository.role}:branch:${push.branch}"]
              extra:
                treeherder: {symbol: D}
`, p.TrustDomain(), actionAndCron)
}

// actionAndCron is what makes tasks of actions and of jobs of .cron.yml, whichever forge the repository is of.
const actionAndCron = `        - $switch:
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
              scopes: ["assume:${repository.role}:cron:${cron.job_name}"]
              extra:
                treeherder: {symbol: "${cron.job_symbol}"}
`
