package tasks

import "strings"

// says are what scopes allow, by their beginnings, the longest first; nobody changes them. What stands behind the beginning fills in "…".
var says = [][2]string{
	{"queue:get-artifact:private/", "read private artifacts named private/…"},
	{"queue:get-artifact:", "read artifacts named …"},
	{"queue:create-task:project:", "create tasks of the project …"},
	{"queue:create-task:", "create tasks for the priority and queue …"},
	{"queue:route:index.", "have tasks listed in the index under …"},
	{"queue:route:", "create tasks with the route …"},
	{"queue:scheduler-id:", "create tasks of the scheduler …"},
	{"queue:cancel-task", "cancel tasks: …"},
	{"queue:rerun-task", "run tasks again: …"},
	{"queue:", "use the queue: …"},
	{"index:insert-task:", "put tasks into the index under …"},
	{"index:find-task:", "look up tasks in the index under …"},
	{"secrets:get:", "read the secret …"},
	{"secrets:set:", "write the secret …"},
	{"object:upload:", "upload objects: …"},
	{"object:download:", "download objects: …"},
	{"auth:", "change or read who may do what: …"},
	{"hooks:trigger-hook:", "trigger the hook …"},
	{"in-tree:hook-action:", "start in-tree actions by the hook …"},
	{"notify:email:", "write mail to …"},
	{"notify:", "notify people: …"},
	{"purge-cache:", "have caches on workers dropped: …"},
	{"docker-worker:cache:", "use the cache …"},
	{"generic-worker:cache:", "use the cache …"},
	{"docker-worker:", "use the worker's feature …"},
	{"generic-worker:", "use the worker's feature …"},
	{"worker-manager:", "manage workers: …"},
	{"project:", "do what a project has agreed on by itself: …"},
	{"assume:repo:", "do everything that the repository and branch … may"},
	{"assume:", "do everything that the role … may"},
}

// explainScope says in words what a scope allows; "" for what is not known here.
func explainScope(s string) string {
	if s == "*" {
		return "May do everything."
	}
	for _, e := range says {
		rest, ok := strings.CutPrefix(s, e[0])
		if !ok {
			continue
		}
		if prefix, all := strings.CutSuffix(rest, "*"); all {
			rest = "anything that begins with " + prefix
			if prefix == "" {
				rest = "anything"
			}
		}
		return "May " + strings.Replace(e[1], "…", rest, 1) + "."
	}
	return ""
}
