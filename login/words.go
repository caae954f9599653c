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

// sentence says what scopes with a prefix give; the rest of the scope is added to it.
type sentence struct {
	prefix, area, words string
	grave               bool
}

// sentences are in no order; the longest prefix counts.
var sentences = []sentence{
	{"queue:create-task:", "Tasks", "create tasks", false},
	{"queue:define-task:", "Tasks", "define tasks", false},
	{"queue:schedule-task", "Tasks", "schedule tasks", false},
	{"queue:rerun-task", "Tasks", "run tasks again", false},
	{"queue:cancel-task", "Tasks", "cancel tasks", false},
	{"queue:cancel-task-group:", "Tasks", "cancel whole groups of tasks", false},
	{"queue:seal-task-group:", "Tasks", "close groups of tasks", false},
	{"queue:change-task-priority", "Tasks", "change the priority of tasks", false},
	{"queue:change-task-group-priority:", "Tasks", "change the priority of groups of tasks", false},
	{"queue:get-task:", "Tasks", "see definitions of tasks", false},
	{"queue:get-task-group:", "Tasks", "see groups of tasks", false},
	{"queue:status:", "Tasks", "see states of tasks", false},
	{"queue:list-", "Tasks", "list", false},
	{"queue:pending-", "Tasks", "see what waits", false},
	{"queue:claimed-", "Tasks", "see what runs", false},
	{"queue:get-artifact:", "Tasks", "read artifacts", false},
	{"queue:create-artifact:", "Tasks", "add artifacts", false},
	{"queue:route:", "Tasks", "send news of tasks along routes", false},
	{"queue:scheduler-id:", "Tasks", "create tasks under schedulers", false},
	{"queue:get-", "Workers", "see", false},
	{"queue:claim-work:", "Workers", "take tasks as a worker", true},
	{"queue:worker-id:", "Workers", "act as workers", true},
	{"queue:resolve-task", "Workers", "report the outcome of tasks", true},
	{"queue:quarantine-worker:", "Workers", "keep workers from taking tasks", false},
	{"queue:", "Tasks", "use the queue", false},
	{"assume:login-identity:", "Roles", "act as people", true},
	{"assume:repo:", "Roles", "do what repositories may", true},
	{"assume:hook-id:", "Roles", "do what hooks may", true},
	{"assume:worker-", "Roles", "act as workers", true},
	{"assume:", "Roles", "do what roles may", true},
	{"auth:create-client:", "Access", "make clients", true},
	{"auth:update-client:", "Access", "change clients", true},
	{"auth:delete-client:", "Access", "delete clients", true},
	{"auth:enable-client:", "Access", "enable clients", false},
	{"auth:disable-client:", "Access", "disable clients", false},
	{"auth:reset-access-token:", "Access", "give clients new access tokens", true},
	{"auth:create-role:", "Access", "make roles", true},
	{"auth:update-role:", "Access", "change roles", true},
	{"auth:delete-role:", "Access", "delete roles", true},
	{"auth:aws-s3:", "Access", "get credentials of AWS", true},
	{"auth:gcp:", "Access", "get credentials of Google Cloud", true},
	{"auth:azure-", "Access", "get credentials of Azure", true},
	{"auth:github-repo-token:", "Access", "get tokens of GitHub", true},
	{"auth:list-", "Access", "list", false},
	{"auth:get-", "Access", "see", false},
	{"auth:current-scopes", "Access", "see one's own scopes", false},
	{"auth:expand-scopes", "Access", "see what scopes give", false},
	{"auth:", "Access", "manage access", true},
	{"hooks:trigger-hook:", "Hooks", "start hooks", false},
	{"hooks:modify-hook:", "Hooks", "change or delete hooks", true},
	{"hooks:get-trigger-token:", "Hooks", "see the trigger tokens of hooks", true},
	{"hooks:reset-trigger-token:", "Hooks", "replace the trigger tokens of hooks", false},
	{"hooks:get:", "Hooks", "see hooks", false},
	{"hooks:status:", "Hooks", "see when hooks fire", false},
	{"hooks:list-", "Hooks", "list", false},
	{"hooks:", "Hooks", "use hooks", false},
	{"in-tree:", "Hooks", "offer actions", false},
	{"cron:", "Hooks", "use cron", false},
	{"secrets:get:", "Secrets", "read secrets", true},
	{"secrets:set:", "Secrets", "change or delete secrets", true},
	{"secrets:", "Secrets", "see the names of secrets", false},
	{"index:insert-task:", "Index", "put tasks into the index", false},
	{"index:delete-task:", "Index", "take tasks out of the index", false},
	{"index:find-task:", "Index", "find tasks in the index", false},
	{"index:", "Index", "use the index", false},
	{"notify:email:", "Messages", "send e-mail", false},
	{"notify:slack-channel:", "Messages", "write to Slack channels", false},
	{"notify:matrix-room:", "Messages", "write to Matrix rooms", false},
	{"notify:pulse:", "Messages", "send messages", false},
	{"notify:", "Messages", "manage messages", false},
	{"purge-cache:", "Workers", "have workers drop caches", false},
	{"object:download:", "Objects", "read stored objects", false},
	{"object:upload:", "Objects", "store objects", false},
	{"worker-manager:get-", "Workers", "see", false},
	{"worker-manager:list-", "Workers", "list", false},
	{"worker-manager:", "Workers", "manage pools of workers", true},
	{"events:", "Events", "follow what happens", false},
	{"web:read-pulse", "Events", "follow messages", false},
	{"github:create-", "GitHub", "write to GitHub", false},
	{"github:", "GitHub", "see builds of GitHub", false},
	{"history:", "History", "read the history", false},
}

// areas are in the order in which they are shown.
var areas = []string{"Everything", "Tasks", "Hooks", "Secrets", "Access", "Roles", "Workers", "Index", "Messages", "Objects", "GitHub", "Events", "History", "Other"}

// InWords sorts scopes into areas and says what each gives.
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
		return best.area, best.words + rest(s[len(best.prefix):]), best.grave
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

// rest is what follows the words.
func rest(s string) string {
	s = strings.TrimLeft(s, ":-")
	switch prefix, star := strings.CutSuffix(s, "*"); {
	case s == "":
		return ""
	case star && prefix == "":
		return ": any"
	case star:
		return ": " + prefix + "…"
	}
	return ": " + s
}
