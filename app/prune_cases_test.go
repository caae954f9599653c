package app

// prunes are what each job finds: rows that are to go, and rows that are to stay.
var prunes = map[string]pruned{
	"tasks": {
		goes: []row{
			{"tasks", "task_id = 'old'", "state = 'completed'; priority = 1; task_group_id = 'old'; deadline = " + longAgo + "; expires = " + longAgo},
			{"definitions", "task_id = 'old'", "requires = 'all-completed'"},
			{"runs", "task_id = 'old'", ""},
			{"dependencies", "task_id = 'old'", ""},
			{"task_groups", "task_group_id = 'old'", "expires = " + longAgo},
			{"artifacts", "name = 'old'", "task_id = 'young'; storage_type = 'reference'; expires = " + longAgo},
			{"queue_workers", "worker_id = 'old'", "last_active = " + longAgo},
			{"worker_details", "worker_id = 'old'", "expires = " + longAgo},
			{"task_queues", "task_queue_id = 'old'", "expires = " + longAgo},
		},
		stays: []row{
			{"tasks", "task_id = 'young'", "state = 'completed'; priority = 1; task_group_id = 'young'; deadline = " + longAgo + "; expires = " + soon},
			{"tasks", "task_id = 'runs'", "state = 'running'; priority = 1; task_group_id = 'runs'; deadline = " + soon + "; expires = " + longAgo},
			{"definitions", "task_id = 'young'", "requires = 'all-completed'"},
			{"runs", "task_id = 'young'", ""},
			{"dependencies", "task_id = 'young'", ""},
			{"task_groups", "task_group_id = 'young'", "expires = " + soon},
			{"task_groups", "task_group_id = 'runs'", "expires = " + longAgo},
			{"artifacts", "name = 'young'", "task_id = 'young'; storage_type = 'reference'; expires = " + soon},
			{"queue_workers", "worker_id = 'young'", "last_active = " + lately},
			{"queue_workers", "worker_id = 'in quarantine'", "last_active = " + longAgo},
			{"worker_details", "worker_id = 'in quarantine'", "expires = " + soon},
			{"task_queues", "task_queue_id = 'young'", "expires = " + soon},
		},
	},
	"objects": {
		before: `INSERT INTO object_contents (sha256, size) VALUES (repeat('0', 64), 1)`,
		goes: []row{
			{"objects", "name = 'old'", "sha256 = repeat('0', 64); finished = " + longAgo + "; expires = " + longAgo},
			{"object_parts", "tag = 'old'", "object_id = (SELECT id FROM objects WHERE name = 'old'); number = 1"},
			{"object_contents", "sha256 = repeat('1', 64)", "unused_since = " + longAgo},
			{"object_copies", "sha256 = repeat('1', 64)", "store = 'disk'; state = 'there'"},
		},
		stays: []row{
			{"object_contents", "sha256 = repeat('2', 64)", ""},
			{"object_contents", "sha256 = repeat('3', 64)", "unused_since = " + lately},
			{"object_copies", "sha256 = repeat('2', 64)", "store = 'disk'; state = 'there'"},
			{"objects", "name = 'young'", "sha256 = repeat('2', 64); finished = " + longAgo + "; expires = " + soon},
			{"object_parts", "tag = 'young'", "object_id = (SELECT id FROM objects WHERE name = 'young'); number = 1"},
		},
	},
	"index": {
		goes: []row{
			{"indexed_tasks", "name = 'old'", "expires = " + longAgo},
			{"index_namespaces", "name = 'old'", "expires = " + longAgo},
		},
		stays: []row{
			{"indexed_tasks", "name = 'young'", "expires = " + soon},
			{"index_namespaces", "name = 'young'", "expires = " + soon},
		},
	},
	"events": {
		before: `DELETE FROM event_order; UPDATE event_checkpoint SET position = 3`,
		goes: []row{
			{"events", "id = 'old'", "time = " + longAgo},
			{"event_order", "position = 1", "seq = (SELECT seq FROM events WHERE id = 'old')"},
		},
		stays: []row{
			{"events", "id = 'young'", "time = " + lately},
			{"event_order", "position = 2", "seq = (SELECT seq FROM events WHERE id = 'young')"},
			{"events", "id = 'newest'", "time = " + longAgo},
			{"event_order", "position = 3", "seq = (SELECT seq FROM events WHERE id = 'newest')"},
		},
	},
	"audit": {
		goes: []row{
			{"auth_audit", "entity_id = 'a role of once'", "created = " + longAgo},
			{"auth_approvals", "id = 'old'", "expires = " + longAgo},
			{"auth_clients", "client_id = 'old'", "delete_on_expiration = true; expires = " + longAgo},
		},
		stays: []row{
			{"auth_audit", "entity_id = 'young'", "created = " + lately},
			{"auth_approvals", "id = 'young'", "proposer = 'y'; expires = " + soon},
			{"auth_clients", "client_id = 'young'", "delete_on_expiration = true; expires = " + soon},
			{"auth_clients", "client_id = 'kept'", "delete_on_expiration = false; expires = " + longAgo},
		},
	},
	"secrets": {
		goes:  []row{{"secrets", "name = 'old'", "expires = " + longAgo}},
		stays: []row{{"secrets", "name = 'young'", "expires = " + soon}},
	},
	"cache-purges": {
		goes:  []row{{"cache_purges", "cache_name = 'old'", "expires = " + longAgo}},
		stays: []row{{"cache_purges", "cache_name = 'young'", "expires = " + soon}},
	},
	"sign-ins": {
		goes: []row{
			{"login_spent", `state_hash = '\x01'`, "expires = " + longAgo},
			{"login_tokens", `token_hash = '\x01'`, "expires = " + longAgo},
			{"login_codes", `code_hash = '\x01'`, "kind = 'cli'; expires = " + longAgo},
		},
		stays: []row{
			{"login_spent", `state_hash = '\x02'`, "expires = " + soon},
			{"login_tokens", `token_hash = '\x02'`, "expires = " + soon},
			{"login_codes", `code_hash = '\x02'`, "kind = 'cli'; expires = " + lately},
		},
	},
	"history": {
		before: `INSERT INTO history_lines (project, branch) VALUES ('p', 'main')`,
		goes: []row{
			{"history_pushes", "number = 1", "push_id = 1; line_id = (SELECT id FROM history_lines); pushed = " + longAgo},
			{"history_outcomes", "number = 1", "line_id = (SELECT id FROM history_lines)"},
		},
		stays: []row{
			{"history_pushes", "number = 2", "push_id = 2; line_id = (SELECT id FROM history_lines); pushed = " + lately},
			{"history_outcomes", "number = 2", "line_id = (SELECT id FROM history_lines)"},
		},
	},
	"pushes": {
		before: `INSERT INTO repositories (name, kind, url, level, last_push) VALUES ('r', 'git', 'u', 1, 100);
			INSERT INTO repository_heads (repository, branch, revision) VALUES ('r', 'quiet', 'head')`,
		goes: []row{{"pushes", "id = 1", "repository = 'r'; state = 'decided'; pushed = " + longAgo}},
		stays: []row{
			{"pushes", "id = 2", "repository = 'r'; state = 'decided'; pushed = " + lately},
			{"pushes", "id = 3", "repository = 'r'; state = 'received'; pushed = " + longAgo},
			{"pushes", "id = 4", "repository = 'r'; state = 'decided'; revision = 'head'; pushed = " + longAgo},
			{"pushes", "id = 81", "repository = 'r'; state = 'decided'; pushed = " + longAgo},
		},
	},
	"failures": {
		goes: []row{
			{"failure_pushes", "task_group_id = 'old'", "push_id = 1; pushed = " + longAgo},
			{"failure_labels", "label = 'old'", ""},
			{"failure_outcomes", "task_id = 'old'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'old'); label = (SELECT id FROM failure_labels WHERE label = 'old')"},
			{"failure_runs", "task_id = 'old'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'old'); label = (SELECT id FROM failure_labels WHERE label = 'old')"},
			{"failure_lines", "task_id = 'old'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'old'); label = (SELECT id FROM failure_labels WHERE label = 'old')"},
			{"failure_reports", "task_id = 'old'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'old')"},
		},
		stays: []row{
			{"failure_pushes", "task_group_id = 'young'", "push_id = 2; pushed = " + lately},
			{"failure_labels", "label = 'young'", ""},
			{"failure_labels", "label = 'of a line'", ""},
			{"failure_outcomes", "task_id = 'young'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'young'); label = (SELECT id FROM failure_labels WHERE label = 'young')"},
			{"failure_runs", "task_id = 'young'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'young'); label = (SELECT id FROM failure_labels WHERE label = 'young')"},
			{"failure_lines", "task_id = 'young'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'young'); label = (SELECT id FROM failure_labels WHERE label = 'of a line')"},
			{"failure_reports", "task_id = 'young'", "push = (SELECT id FROM failure_pushes WHERE task_group_id = 'young')"},
		},
	},
	"bugs": {
		goes:  []row{{"bug_filings", "summary = 'old'", "tried = " + longAgo}},
		stays: []row{{"bug_filings", "summary = 'young'", "tried = " + lately}},
	},
	"classifications": {
		goes:  []row{{"classifications", "task_id = 'old'", "class = 4; said = " + longAgo}},
		stays: []row{{"classifications", "task_id = 'young'", "class = 4; said = " + lately}},
	},
	"notifications": {
		goes:  []row{{"notify_outbox", "key = 'old'", "state = 'sent'; created = " + longAgo}},
		stays: []row{{"notify_outbox", "key = 'young'", "state = 'sent'; created = " + lately}},
	},
	"fires": {
		goes:  []row{{"hook_fires", "task_id = 'old'", "fired = " + longAgo}},
		stays: []row{{"hook_fires", "task_id = 'young'", "fired = " + lately}},
	},
	"action-hooks": {
		goes: []row{{"action_hooks", "hook_id = 'old'", "hook_group_id = 'project-x'; used = " + longAgo}},
		stays: []row{
			{"action_hooks", "hook_id = 'young'", "hook_group_id = 'project-x'; used = " + lately},
			{"action_hooks", "repository = 'of two'", "hook_group_id = 'project-x'; hook_id = 'young'; used = " + longAgo},
		},
	},
	"cron-runs": {
		goes: []row{{"cron_runs", "key = 'old'", "state = 'started'; slot = " + longAgo}},
		stays: []row{
			{"cron_runs", "key = 'young'", "state = 'started'; slot = " + lately},
			{"cron_runs", "key = 'waits'", "state = 'waiting'; retry_after = now(); slot = " + longAgo},
		},
	},
	"pool-errors": {
		goes: []row{
			{"worker_pool_errors", "error_id = 'old'", "reported = " + longAgo},
			{"pool_workers", "worker_id = 'old'", "state = 'stopped'; expires = " + longAgo},
			{"worker_launches", "launch_key = 'old'", "created = " + longAgo + "; next_try = " + longAgo},
		},
		stays: []row{
			{"worker_pool_errors", "error_id = 'young'", "reported = " + lately},
			{"pool_workers", "worker_id = 'young'", "state = 'stopped'; expires = " + soon},
			{"worker_launches", "launch_key = 'tried lately'", "created = " + longAgo + "; next_try = " + lately},
		},
	},
	"samples": {
		goes: []row{
			{"queue_samples", "task_queue_id = 'old'", "at = " + longAgo},
			{"queue_samples", "task_queue_id = 'a minute of the day before'", "at = date_trunc('hour', now()) - interval '2 days 59 minutes'"},
			{"queue_samples", "task_queue_id = 'ten minutes of last month'", "at = date_trunc('hour', now()) - interval '30 days 50 minutes'"},
		},
		stays: []row{
			{"queue_samples", "task_queue_id = 'young'", "at = " + lately},
			{"queue_samples", "task_queue_id = 'ten minutes of the day before'", "at = date_trunc('hour', now()) - interval '2 days 50 minutes'"},
			{"queue_samples", "task_queue_id = 'an hour of last month'", "at = date_trunc('hour', now()) - interval '30 days'"},
		},
	},
	"tree-changes": {
		before: `INSERT INTO ui_tree_changes (repository, state, reason, message, changed_by, changed)
			SELECT r, 'open', 'r', 'm', 'x', now() - interval '9 years' FROM generate_series(1, 500) AS n, unnest('{busy,quiet}'::text[]) AS r WHERE r = 'busy' OR n = 1`,
		goes:  []row{{"ui_tree_changes", "id = -1", "repository = 'busy'; changed = " + longAgo}},
		stays: []row{{"ui_tree_changes", "id = 1000", "repository = 'busy'; changed = " + longAgo}, {"ui_tree_changes", "id = 1001", "repository = 'busy'; changed = " + lately}},
	},
	"deliveries": {
		goes: []row{
			{"github_deliveries", "guid = 'old'", "state = 'done'; source = 'webhook'; received = " + longAgo},
			{"github_said", `digest = '\x01'`, "said = " + longAgo},
		},
		stays: []row{
			{"github_deliveries", "guid = 'young'", "state = 'done'; source = 'webhook'; received = " + lately},
			{"github_deliveries", "guid = 'waits'", "state = 'new'; source = 'webhook'; received = " + longAgo},
			{"github_said", `digest = '\x02'`, "said = " + lately},
		},
	},
	"builds": {
		goes:  []row{{"github_builds", "task_group_id = 'old'", "state = 'success'; updated = " + longAgo}},
		stays: []row{{"github_builds", "task_group_id = 'young'", "state = 'success'; created = " + longAgo + "; updated = " + lately}},
	},
	"checks": {
		goes: []row{
			{"github_checks", "subject = 'old'", "kind = 'task'; attempt = 1; updated = " + longAgo},
			{"github_check_heads", "sha = 'old'", "compared = " + longAgo + "; updated = " + longAgo},
			{"github_verdicts", "sha = 'old'", "kind = 'nothing'; created = " + longAgo},
		},
		stays: []row{
			{"github_checks", "subject = 'young'", "kind = 'task'; attempt = 1; updated = " + lately},
			{"github_check_heads", "sha = 'young'", "compared = " + longAgo + "; updated = " + lately},
			{"github_verdicts", "sha = 'young'", "kind = 'nothing'; created = " + lately},
		},
	},
	"scope-gates": {
		before: `INSERT INTO github_pulls (repository_id, number, head, base) VALUES (7, 1, 'open', 'main')`,
		goes:   []row{{"github_scope_gates", "revision = 'closed'", "repository_id = 7; number = 2; base = 'main'; updated = " + longAgo}},
		stays: []row{
			{"github_scope_gates", "revision = 'open'", "repository_id = 7; number = 1; base = 'main'; updated = " + longAgo},
			{"github_scope_gates", "revision = 'young'", "repository_id = 7; number = 2; base = 'main'; updated = " + lately},
		},
	},
	"sessions": {
		goes:  []row{{"ui_sessions", "token_hash = sha256('old')", "expires = " + longAgo}},
		stays: []row{{"ui_sessions", "token_hash = sha256('young')", "expires = " + soon}},
	},
	"log-indexes": {
		goes:  []row{{"log_indexes", "object_id = 1", "expires = " + longAgo}},
		stays: []row{{"log_indexes", "object_id = 2", "expires = " + soon}},
	},
	"shell-offers": {
		goes:  []row{{"shell_offers", "task_id = 'old'", "seen = " + longAgo}},
		stays: []row{{"shell_offers", "task_id = 'young'", "seen = " + lately}},
	},
}
