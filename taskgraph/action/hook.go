package action

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hookGroup is what the names of hook groups of actions begin with; the trust domain follows.
const hookGroup = "project-"

// hookID names the hook of a permission, a trust level and a text of .taskcluster.yml (taskgraph-map 18.1).
func hookID(pullRequest bool, level, permission string, digest [sha256.Size]byte) string {
	prefix := "in-tree-action"
	if pullRequest {
		prefix = "in-tree-pr-action"
	}
	return fmt.Sprintf("%s-%s-%s/%s", prefix, level, permission, hex.EncodeToString(digest[:])[:10])
}

// HookFor is what a hook of actions stands for. All of it is known to the server without asking the tree
// for more than the text of its .taskcluster.yml.
type HookFor struct {
	TaskclusterYML []byte
	Permission     string
	Level          int
	PullRequest    bool
	// Repositories share the hook: they have the same text at the same level.
	Repositories []HookRepository
	RootURL      string
}

// HookRepository is a repository whose actions a hook starts; URL is base_url of the payload.
type HookRepository struct {
	URL     string
	Project string
	Role    string // repo:<forge path>
	Type    string // git or hg
}

// Scope is the scope that the actions of the repository run with.
func (r HookRepository) Scope(pullRequest bool, permission string) string {
	if pullRequest {
		return "assume:" + r.Role + ":pr-action:" + permission
	}
	return "assume:" + r.Role + ":action:" + permission
}

const maxName = 100 // bytes of a permission, or of what follows project-

var (
	permissionRule = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)
	groupRule      = regexp.MustCompile(`^project-[A-Za-z0-9][A-Za-z0-9_.-]*$`)
)

// CheckName refuses an entry of an actions.json that names the hook of another level or permission, or of
// another kind of push. Who wrote the file may have meant one of a higher level.
func (h HookFor) CheckName(e Entry) error {
	if len(h.Permission) > maxName || !permissionRule.MatchString(h.Permission) {
		return fmt.Errorf("the permission %.200q must match %s, in at most %d bytes", h.Permission, permissionRule, maxName)
	}
	if len(e.HookGroupID) > len("project-")+maxName || !groupRule.MatchString(e.HookGroupID) {
		return fmt.Errorf("the hook group %.200q must match %s, in at most %d bytes", e.HookGroupID, groupRule, len("project-")+maxName)
	}
	of := func(id string) string { name, _, _ := strings.Cut(id, "/"); return name }
	return h.compare(e, of(e.HookID), of(hookID(h.PullRequest, strconv.Itoa(h.Level), h.Permission, [sha256.Size]byte{})))
}

// Check is CheckName, and refuses the hook of another text, too.
func (h HookFor) Check(e Entry) error {
	if err := h.CheckName(e); err != nil {
		return err
	}
	return h.compare(e, e.HookID, hookID(h.PullRequest, strconv.Itoa(h.Level), h.Permission, sha256.Sum256(h.TaskclusterYML)))
}

func (h HookFor) compare(e Entry, got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("actions.json names the hook %s, but actions with the permission %s on this push have the hook %s", e.HookID, h.Permission, want)
}

// Scopes are those that the hook's role holds: no more than its actions need.
func (h HookFor) Scopes() []string {
	list := make([]string, len(h.Repositories))
	for i, r := range h.Repositories {
		list[i] = r.Scope(h.PullRequest, h.Permission)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Task is the hook's task: the first task of .taskcluster.yml as a template of the hook's payload
// (taskgraph-map 18.6). Level, repository and permission are the server's; the payload only chooses
// among the repositories.
func (h HookFor) Task() (map[string]any, error) {
	tasks, err := Tasks(h.TaskclusterYML)
	if err != nil {
		return nil, fmt.Errorf(".taskcluster.yml: %w", err)
	}
	tasksFor := "action"
	if h.PullRequest {
		tasksFor = "pr-action"
	}
	known := map[string]any{}
	for _, r := range h.Repositories {
		facts := map[string]any{"base_url": r.URL, "project": r.Project, "level": strconv.Itoa(h.Level), "role": r.Role, "type": r.Type}
		if !h.PullRequest { // the head of one may be anywhere
			facts["url"] = r.URL
		}
		known[r.URL] = map[string]any{"scope": r.Scope(h.PullRequest, h.Permission), "facts": facts}
	}
	names := map[string]any{
		"tasks_for": tasksFor,
		"action": map[string]any{"$merge": []any{eval("payload.decision.action"), map[string]any{
			"action_perm": h.Permission, "repo_scope": eval("known[payload.decision.repository.base_url].scope"),
		}}},
		"repository": map[string]any{"$merge": []any{eval("payload.decision.repository"), eval("known[payload.decision.repository.base_url].facts")}},
		"push":       eval("payload.decision.push"), "parameters": map[string]any{},
		"input": eval("payload.user.input"), "taskId": eval("payload.user.taskId"), "taskGroupId": eval("payload.user.taskGroupId"),
		"ownTaskId": eval("taskId"), "taskcluster_root_url": h.RootURL, "startedBy": startedBy(),
	}
	return let(map[string]any{"known": known}, let(names, let(map[string]any{"tasks": tasks}, let(
		map[string]any{"task": eval("tasks[0]")}, map[string]any{"$mergeDeep": []any{
			map[string]any{"$map": eval("task"), "each(v, k)": map[string]any{
				"$if": `k != "taskId"`, "then": map[string]any{"${k}": eval("v")}, "else": map[string]any{},
			}},
			map[string]any{"extra": map[string]any{"action": map[string]any{"name": eval("action.name"), "startedBy": eval("startedBy")}}},
		}},
	)))), nil
}

// startedBy says who triggered the hook; it is for people, and gives no rights.
func startedBy() map[string]any {
	return map[string]any{"$merge": []any{
		map[string]any{"$if": "defined('clientId')", "then": map[string]any{"clientId": eval("clientId")}, "else": map[string]any{}},
		map[string]any{"$if": "'by' in payload.user", "then": map[string]any{"by": eval("payload.user.by")}, "else": map[string]any{}},
	}}
}

func let(names map[string]any, in any) map[string]any { return map[string]any{"$let": names, "in": in} }

// TriggerSchema is the schema of the hook's payload: that of actions.json, for these repositories at this
// level only.
func (h HookFor) TriggerSchema() map[string]any {
	text := map[string]any{"type": "string", "maxLength": 32768}
	id := map[string]any{"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}
	urls := make([]any, len(h.Repositories))
	for i, r := range h.Repositories {
		urls[i] = r.URL
	}
	shape := func(required []string, properties map[string]any) map[string]any {
		s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false, "required": anys(required)}
		return s
	}
	action := map[string]any{"taskGroupId": id}
	for _, name := range []string{"name", "title", "description", "symbol", "cb_name"} {
		action[name] = text
	}
	repository := map[string]any{
		"url": map[string]any{"enum": urls}, "base_url": map[string]any{"enum": urls}, "project": text, "level": map[string]any{"enum": []any{strconv.Itoa(h.Level)}},
	}
	if h.PullRequest {
		repository["url"] = text
	}
	push := map[string]any{}
	for _, name := range []string{"owner", "pushlog_id", "revision", "base_revision", "branch", "base_branch"} {
		push[name] = text
	}
	return shape([]string{"decision", "user"}, map[string]any{
		"decision": shape([]string{"action", "push", "repository"}, map[string]any{
			"action":     shape(slices.Sorted(maps.Keys(action)), action),
			"repository": shape([]string{"base_url", "level", "project", "url"}, repository),
			"push":       shape([]string{"owner", "revision"}, push),
		}),
		"user": shape([]string{"input", "taskGroupId", "taskId"}, map[string]any{
			"input":  map[string]any{"type": []any{"object", "null"}},
			"taskId": map[string]any{"anyOf": []any{id, map[string]any{"type": "null"}}}, "taskGroupId": id,
			"by": map[string]any{"type": "string", "maxLength": 255},
		}),
	})
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
