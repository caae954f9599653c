package login

import (
	"slices"
	"strings"
)

// Said is a scope in words.
type Said struct {
	Scope string
	Words string
}

// Area is the scopes of one part of the system.
type Area struct {
	Name   string
	Scopes []Said
	Grave  bool // what it gives can do harm that is hard to undo
}

// sentence says what scopes with a prefix give. One "%" stands for the rest of the scope.
type sentence struct {
	prefix, area, words string
	grave               bool
}

// sentences are in no order; the longest prefix counts.
var sentences = []sentence{
	{"queue:create-task:", "Tasks", "create tasks at %", false},
	{"queue:define-task:", "Tasks", "define tasks at %", false},
	{"queue:schedule-task:", "Tasks", "schedule tasks of %", false},
	{"queue:rerun-task:", "Tasks", "run tasks of % again", false},
	{"queue:cancel-task:", "Tasks", "cancel tasks of %", false},
	{"queue:cancel-task-group:", "Tasks", "cancel whole groups of tasks: %", false},
	{"queue:seal-task-group:", "Tasks", "close groups of tasks: %", false},
	{"queue:change-task-priority", "Tasks", "change the priority of tasks %", false},
	{"queue:change-task-group-priority:", "Tasks", "change the priority of groups: %", false},
	{"queue:get-task:", "Tasks", "see the definition of task %", false},
	{"queue:status:", "Tasks", "see the state of task %", false},
	{"queue:list-", "Tasks", "list %", false},
	{"queue:get-artifact:", "Tasks", "read artifacts called %", false},
	{"queue:create-artifact:", "Tasks", "add artifacts called %", false},
	{"queue:route:", "Tasks", "send news of tasks along the route %", false},
	{"queue:scheduler-id:", "Tasks", "create tasks under the scheduler %", false},
	{"queue:claim-work:", "Workers", "take the tasks of %", true},
	{"queue:worker-id:", "Workers", "act as the worker %", true},
	{"queue:resolve-task:", "Workers", "report the outcome of task %", true},
	{"queue:quarantine-worker:", "Workers", "keep the worker % from taking tasks", false},
	{"queue:", "Tasks", "use the queue: %", false},
	{"assume:login-identity:", "Roles", "act as the person %", true},
	{"assume:repo:", "Roles", "do what the repository % may", true},
	{"assume:hook-id:", "Roles", "do what the hook % may", true},
	{"assume:worker-", "Roles", "act as a worker of %", true},
	{"assume:", "Roles", "do what the role % may", true},
	{"auth:create-client:", "Access", "make clients called %", true},
	{"auth:update-client:", "Access", "change the client %", true},
	{"auth:delete-client:", "Access", "delete the client %", true},
	{"auth:enable-client:", "Access", "enable the client %", false},
	{"auth:disable-client:", "Access", "disable the client %", false},
	{"auth:reset-access-token:", "Access", "give the client % a new access token", true},
	{"auth:create-role:", "Access", "make the role %", true},
	{"auth:update-role:", "Access", "change the role %", true},
	{"auth:delete-role:", "Access", "delete the role %", true},
	{"auth:aws-s3:", "Access", "get credentials of AWS for %", true},
	{"auth:gcp:", "Access", "get credentials of Google Cloud for %", true},
	{"auth:azure-", "Access", "get credentials of Azure for %", true},
	{"auth:github-repo-token:", "Access", "get a token of GitHub for %", true},
	{"auth:list-", "Access", "list %", false},
	{"auth:get-", "Access", "see %", false},
	{"auth:", "Access", "manage access: %", true},
	{"hooks:trigger-hook:", "Hooks", "start the hook %", false},
	{"hooks:modify-hook:", "Hooks", "change or delete the hook %", true},
	{"hooks:get-trigger-token:", "Hooks", "see the trigger token of the hook %", true},
	{"hooks:reset-trigger-token:", "Hooks", "replace the trigger token of the hook %", false},
	{"hooks:", "Hooks", "use hooks: %", false},
	{"in-tree:", "Hooks", "offer actions: %", false},
	{"secrets:get:", "Secrets", "read the secret %", true},
	{"secrets:set:", "Secrets", "change or delete the secret %", true},
	{"secrets:", "Secrets", "use secrets: %", false},
	{"index:insert-task:", "Index", "put tasks into the index under %", false},
	{"index:delete-task:", "Index", "take tasks out of the index under %", false},
	{"index:", "Index", "use the index: %", false},
	{"notify:email:", "Messages", "send e-mail to %", false},
	{"notify:slack-channel:", "Messages", "write to the Slack channel %", false},
	{"notify:matrix-room:", "Messages", "write to the Matrix room %", false},
	{"notify:pulse:", "Messages", "send messages to the queue %", false},
	{"notify:", "Messages", "manage messages: %", false},
	{"purge-cache:", "Workers", "have workers throw away caches: %", false},
	{"object:download:", "Objects", "read stored objects called %", false},
	{"object:upload:", "Objects", "store objects for %", false},
	{"worker-manager:", "Workers", "manage pools of workers: %", true},
	{"events:", "Events", "follow what happens: %", false},
	{"github:", "GitHub", "act at GitHub: %", false},
	{"history:", "History", "read the history: %", false},
}

// areas are in the order in which they are shown.
var areas = []string{"Everything", "Tasks", "Hooks", "Secrets", "Access", "Roles", "Workers", "Index", "Messages", "Objects", "GitHub", "Events", "History", "Other"}

// InWords sorts scopes into areas and says what each gives. "anything" stands for a star.
func InWords(scopes []string) []Area {
	by := map[string]*Area{}
	for _, s := range scopes {
		area, words, grave := say(s)
		a := by[area]
		if a == nil {
			a = &Area{Name: area}
			by[area] = a
		}
		a.Scopes = append(a.Scopes, Said{s, words})
		a.Grave = a.Grave || grave
	}
	var out []Area
	for _, name := range areas {
		if a := by[name]; a != nil {
			out = append(out, *a)
		}
	}
	return out
}

func say(s string) (area, words string, grave bool) {
	var best *sentence
	for i := range sentences {
		if t := &sentences[i]; strings.HasPrefix(s, t.prefix) && (best == nil || len(t.prefix) > len(best.prefix)) {
			best = t
		}
	}
	if best != nil {
		return best.area, strings.ReplaceAll(best.words, "%", rest(s[len(best.prefix):])), best.grave
	}
	prefix, star := strings.CutSuffix(s, "*")
	switch {
	case s == "*":
		return "Everything", "do everything that there is to do, in your name", true
	case !star:
		return "Other", "use what asks for this scope", false
	}
	// A pattern above several sentences gives all of them.
	i := slices.IndexFunc(sentences, func(t sentence) bool { return strings.HasPrefix(t.prefix, prefix) })
	if i < 0 {
		return "Other", "use whatever asks for a scope that begins with " + prefix, false
	}
	return "Everything", "do everything whose scope begins with " + prefix, true
}

func rest(s string) string {
	s = strings.TrimPrefix(s, ":")
	switch prefix, star := strings.CutSuffix(s, "*"); {
	case s == "":
		return "all"
	case star && prefix == "":
		return "anything"
	case star:
		return prefix + "…"
	}
	return s
}
