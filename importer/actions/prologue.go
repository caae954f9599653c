package actions

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/bash"
)

// given is a variable or a function of a task's script, with what it needs.
type given struct {
	name  string
	text  string
	needs []string
}

// givens are all, each after those it needs. {P} is the prefix of run-task's variables.
func (s *script) givens() []given {
	repository := s.f.c.options.Repository
	owner, _, _ := strings.Cut(repository, "/")
	system, arch := s.e.scope.Static["runner.os"].(string), s.e.scope.Static["runner.arch"].(string)
	secret := "project/" + s.f.c.project.TrustDomain() + "/$1"
	list := []given{
		{"TASKS_FOR", "", nil},
		{"BASE_REF", "", nil},
		{"OWNER", "", nil},
		{"GITHUB_ACTOR", `export GITHUB_ACTOR="${OWNER%%@*}"`, []string{"OWNER"}},
		{"GITHUB_WORKSPACE", `export GITHUB_WORKSPACE="$PWD"`, nil},
		{"RUNNER_TEMP", `export RUNNER_TEMP="$(mktemp -d)"`, nil},
		{"RUNNER_OS", "export RUNNER_OS=" + system, nil},
		{"RUNNER_ARCH", "export RUNNER_ARCH=" + arch, nil},
		{"GITHUB_SHA", `export GITHUB_SHA="${P}_HEAD_REV"`, nil},
		{"GITHUB_BASE_SHA", `export GITHUB_BASE_SHA="${P}_BASE_REV"`, nil},
		{"GITHUB_REF", `export GITHUB_REF="${P}_HEAD_REF"
[[ $GITHUB_REF == refs/* ]] || GITHUB_REF="refs/heads/$GITHUB_REF"
[[ $TASKS_FOR != github-pull-request* ]] || GITHUB_REF=refs/pull/0/merge`, []string{"TASKS_FOR"}},
		{"GITHUB_REF_NAME", `export GITHUB_REF_NAME="${GITHUB_REF#refs/*/}"`, []string{"GITHUB_REF"}},
		{"GITHUB_REF_TYPE", `if [[ $GITHUB_REF == refs/tags/* ]]; then export GITHUB_REF_TYPE=tag; else export GITHUB_REF_TYPE=branch; fi`, []string{"GITHUB_REF"}},
		{"GITHUB_HEAD_REF", `export GITHUB_HEAD_REF=""
[[ $TASKS_FOR != github-pull-request* ]] || GITHUB_HEAD_REF="${{P}_HEAD_REF#refs/heads/}"`, []string{"TASKS_FOR"}},
		{"GITHUB_BASE_REF", `export GITHUB_BASE_REF=""
[[ $TASKS_FOR != github-pull-request* ]] || GITHUB_BASE_REF="${BASE_REF#refs/heads/}"`, []string{"TASKS_FOR", "BASE_REF"}},
		{"GITHUB_EVENT_NAME", `case "$TASKS_FOR" in
  github-pull-request*) export GITHUB_EVENT_NAME=pull_request ;;
  github-release) export GITHUB_EVENT_NAME=release ;;
  github-merge-group) export GITHUB_EVENT_NAME=merge_group ;;
  cron) export GITHUB_EVENT_NAME=schedule ;;
  *) export GITHUB_EVENT_NAME=push ;;
esac`, []string{"TASKS_FOR"}},
		{"GITHUB_REPOSITORY", "export GITHUB_REPOSITORY=" + bash.Quoted(repository), nil},
		{"GITHUB_REPOSITORY_OWNER", "export GITHUB_REPOSITORY_OWNER=" + bash.Quoted(owner), nil},
		{"GITHUB_SERVER_URL", "export GITHUB_SERVER_URL=https://github.com", nil},
		{"GITHUB_RUN_ID", `export GITHUB_RUN_ID="$TASK_GROUP_ID"`, nil},
		{"GITHUB_RUN_ATTEMPT", `export GITHUB_RUN_ATTEMPT="$((RUN_ID + 1))"`, nil},
		{"GITHUB_JOB", "export GITHUB_JOB=" + bash.Quoted(s.e.job.id), nil},
		{"GITHUB_WORKFLOW", "export GITHUB_WORKFLOW=" + bash.Quoted(s.f.title), nil},
		{"GITHUB_STEP_SUMMARY", `export GITHUB_STEP_SUMMARY="` + s.e.summaryFile() + `"
: > "$GITHUB_STEP_SUMMARY" # shown on the task's page`, nil},
		{"each", bash.Each, nil},
		{"OUTPUTS", `OUTPUTS="$(mktemp -d)"
` + bash.Output, []string{"each"}},
		{"give", bash.Give, nil},
		{"ended", bash.Ended, nil},
		{"GITHUB_ENV", `export GITHUB_ENV="$(mktemp)"`, nil},
		{"GITHUB_PATH", `export GITHUB_PATH="$(mktemp)"`, nil},
		{"load_env", bash.LoadEnv, []string{"GITHUB_ENV", "each"}},
		{"load_path", bash.LoadPath, []string{"GITHUB_PATH"}},
		{"keep", bash.Keep, nil},
		{"pack", bash.Pack, []string{"keep"}},
		{"secret", `{ set +x; } 2>/dev/null # values of secrets must not be in the log
secret() { # NAME: a secret's value
  TASKCLUSTER_ROOT_URL="$TASKCLUSTER_PROXY_URL" treeline secret get "` + secret + `" --key value
}`, nil},
	}
	prefix := strings.ToUpper(s.f.c.project.Prefix())
	for i := range list {
		list[i].text = strings.ReplaceAll(strings.ReplaceAll(list[i].text, "${{P}", "${"+prefix), "{P}", prefix)
	}
	return list
}

var word = regexp.MustCompile(`\b(GITHUB|RUNNER)_[A-Z_]+\b`)

// prologue is what comes before the steps: what they use, and no more.
func (s *script) prologue(text string) string {
	bound := map[string]bool{}
	for _, p := range s.e.env {
		bound[p.key] = true
	}
	for _, b := range append(append([]binding{}, s.f.env...), s.e.job.env...) {
		bound[b.name] = true
	}
	for _, st := range s.e.steps {
		for _, b := range st.env {
			bound[b.name] = true
		}
	}
	list := s.givens()
	known := map[string]given{"GITHUB_OUTPUT": {}, "GITHUB_ACTIONS": {}}
	for _, g := range list {
		known[g.name] = g
	}
	var unknown []string
	for _, name := range word.FindAllString(bash.Uncommented(text), -1) {
		if _, ok := known[name]; ok {
			s.use(name)
		} else if !bound[name] && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	sort.Strings(unknown)
	for _, name := range unknown {
		if !slices.Contains([]string{"GITHUB_TOKEN"}, name) {
			s.f.left(s.e.job.n, "the variable "+name, "Treeline has nothing that says the same; see what docs/reference/worker-payload.md and run-task.md have")
		}
	}
	if repository := s.f.c.options.Repository; repository == "" && (s.uses["GITHUB_REPOSITORY"] || s.uses["GITHUB_REPOSITORY_OWNER"]) {
		s.f.left(s.e.job.n, "the name of the repository at GitHub", "there is no remote that says it: name it with --repository OWNER/NAME")
	}
	return s.assemble(list, known, bound)
}

// assemble writes what is used, with what that needs.
func (s *script) assemble(list []given, known map[string]given, bound map[string]bool) string {
	for i := len(list) - 1; i >= 0; i-- {
		if s.uses[list[i].name] {
			for _, need := range list[i].needs {
				s.use(need)
			}
		}
	}
	s.e.summary = s.uses["GITHUB_STEP_SUMMARY"]
	if s.uses["keep"] {
		s.e.artifacts = true
	}
	s.e.context = s.uses["TASKS_FOR"] || s.uses["BASE_REF"] || s.uses["OWNER"]
	var b strings.Builder
	if s.guarded {
		b.WriteString("failed=0\n")
	} else if strings.TrimSpace(s.body.String()) != "" {
		b.WriteString("set -e\n")
	}
	if s.e.artifacts {
		b.WriteString("mkdir -p \"$UPLOAD_DIR\"\n")
	}
	for _, g := range list {
		if s.uses[g.name] && g.text != "" && !bound[g.name] {
			b.WriteString(g.text + "\n")
		}
	}
	var names []string
	for name := range s.outputsOf {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "cp \"$MOZ_FETCHES_DIR/needs/%s/outputs.env\" \"$OUTPUTS/needs.%s\"\n", name, name)
	}
	return b.String()
}
