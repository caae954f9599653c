package pulse

// Field is a word of a routing key.
type Field struct {
	Name     string
	Summary  string
	Constant string // always this
	Optional bool   // "_" when there is none
	Rest     bool   // may hold several words; what listeners match with #
}

// Exchange is a topic exchange, and the kind of the events that are published on it: both have the
// same name.
type Exchange struct {
	Exchange           string // last part of its name, such as "task-pending"
	Name               string // in clients, such as "taskPending"
	Title, Description string // Markdown
	Key                []Field
	Schema             string // file of the message's schema
}

// Service is the exchanges of a service.
type Service struct {
	Name, Title, Description string
	Exchanges                []Exchange
}

var (
	primary  = Field{Name: "routingKeyKind", Constant: "primary", Summary: "Tells this key from those of a task's routes: always `primary`."}
	reserved = Field{Name: "reserved", Optional: true, Rest: true, Summary: "Room for words to come; match it with `#`."}
)

// runFields say what words about a run a key always has.
type runFields int

const (
	noRun     runFields = iota // none
	runOnly                    // the run's number
	runWorker                  // the run and its worker
)

// taskKey is the key of messages about a task.
func taskKey(always runFields) []Field {
	return []Field{
		primary,
		{Name: "taskId", Summary: "The task."},
		{Name: "runId", Optional: always < runOnly, Summary: "Number of the run that the message is about; `_` without one."},
		{Name: "workerGroup", Optional: always < runWorker, Summary: "Worker group of that run; `_` while no worker has it."},
		{Name: "workerId", Optional: always < runWorker, Summary: "Worker of that run; `_` while no worker has it."},
		{Name: "provisionerId", Summary: "First half of the task queue's name."},
		{Name: "workerType", Summary: "Second half of the task queue's name."},
		{Name: "schedulerId", Summary: "The task's scheduler."},
		{Name: "taskGroupId", Summary: "The task's group."},
		reserved,
	}
}

func groupKey() []Field {
	return []Field{
		primary,
		{Name: "taskGroupId", Summary: "The task group."},
		{Name: "schedulerId", Summary: "The group's scheduler."},
		reserved,
	}
}

// repositoryKey is the key of messages about a repository at GitHub; more follows the repository.
func repositoryKey(more ...Field) []Field {
	return append([]Field{
		primary,
		{Name: "organization", Summary: "Owner of the repository, without characters that a key cannot have; a dot is written as %."},
		{Name: "repository", Summary: "Name of the repository, likewise."},
	}, more...)
}

// poolKey is the key of messages about a worker pool, of which worker says whether they are about one of its
// workers always.
func poolKey(worker bool) []Field {
	return []Field{
		primary,
		{Name: "providerId", Optional: !worker, Summary: "The provider."},
		{Name: "provisionerId", Optional: !worker, Summary: "First half of the worker pool's name."},
		{Name: "workerType", Optional: !worker, Summary: "Second half of the worker pool's name."},
		{Name: "workerGroup", Optional: !worker, Summary: "The worker's group."},
		{Name: "workerId", Optional: !worker, Summary: "The worker."},
		{Name: "launchConfigId", Optional: true, Summary: "The launch config."},
		reserved,
	}
}

// Services returns the exchanges that are published (taskcluster-map appendix C).
func Services() []Service {
	return []Service{{
		Name: "queue", Title: "Queue AMQP Exchanges",
		Description: "What happens to tasks. Every message about a task is also routed by the task's routes, each with `route.` before it " +
			"(header `CC`), so a listener can bind to routes and need not know the tasks. Messages come at least once: be ready for repetitions.",
		Exchanges: []Exchange{
			{"task-defined", "taskDefined", "Task Defined Messages", "A task was created. It may still wait for others.", taskKey(noRun), "task-defined-message.json"},
			{"task-pending", "taskPending", "Task Pending Messages", "A run of a task can be claimed.", taskKey(runOnly), "task-pending-message.json"},
			{"task-running", "taskRunning", "Task Running Messages", "A worker claimed a run.", taskKey(runWorker), "task-running-message.json"},
			{"artifact-created", "artifactCreated", "Artifact Creation Messages", "A run has a new artifact. There is no message for artifacts of type `s3`.", taskKey(runWorker), "artifact-created-message.json"},
			{"task-completed", "taskCompleted", "Task Completed Messages", "A run ended and its worker reported success.", taskKey(runWorker), "task-completed-message.json"},
			{"task-failed", "taskFailed", "Task Failed Messages", "A run ended and its worker reported failure.", taskKey(noRun), "task-failed-message.json"},
			{"task-exception", "taskException", "Task Exception Messages", "A task was resolved without an outcome: canceled, out of time, or given up by its worker.", taskKey(noRun), "task-exception-message.json"},
			{"task-group-resolved", "taskGroupResolved", "Task Group Resolved Messages", "The last task of a group was resolved. A group that gets more tasks, or of which tasks are run again, can be resolved again.", groupKey(), "task-group-changed-message.json"},
			{"task-group-sealed", "taskGroupSealed", "Task Group Sealed Messages", "A group was sealed: it gets no more tasks.", groupKey(), "task-group-changed-message.json"},
			{"task-priority-changed", "taskPriorityChanged", "Task Priority Changed Messages", "The priority of a task that is not resolved was changed.", taskKey(noRun), "task-priority-changed-message.json"},
			{"task-group-priority-changed", "taskGroupPriorityChanged", "Task Group Priority Changed Messages", "The priorities of a group's tasks were changed.", groupKey(), "task-group-priority-changed-message.json"},
		},
	}, {
		Name: "auth", Title: "Auth Pulse Exchanges",
		Description: "Changes of clients and roles, for those who keep copies of them.",
		Exchanges: []Exchange{
			{"client-created", "clientCreated", "Client Created Messages", "There is a new client.", []Field{reserved}, "client-message.json"},
			{"client-updated", "clientUpdated", "Client Updated Messages", "A client was changed, disabled, enabled, or given another access token.", []Field{reserved}, "client-message.json"},
			{"client-deleted", "clientDeleted", "Client Deleted Messages", "A client was removed.", []Field{reserved}, "client-message.json"},
			{"role-created", "roleCreated", "Role Created Messages", "There is a new role.", []Field{reserved}, "role-message.json"},
			{"role-updated", "roleUpdated", "Role Updated Messages", "A role was changed.", []Field{reserved}, "role-message.json"},
			{"role-deleted", "roleDeleted", "Role Deleted Messages", "A role was removed.", []Field{reserved}, "role-message.json"},
		},
	}, {
		Name: "hooks", Title: "Exchanges to manage hooks",
		Description: "Changes of hooks, for those who keep copies of them. No hook may be bound to these.",
		Exchanges: []Exchange{
			{"hook-created", "hookCreated", "Hook Created Messages", "There is a new hook.", []Field{reserved}, "pulse-hook-changed-message.json"},
			{"hook-updated", "hookUpdated", "Hook Updated Messages", "A hook was changed.", []Field{reserved}, "pulse-hook-changed-message.json"},
			{"hook-deleted", "hookDeleted", "Hook Deleted Messages", "A hook was removed.", []Field{reserved}, "pulse-hook-changed-message.json"},
		},
	}, {
		Name: "github", Title: "GitHub Exchanges",
		Description: "What happens at GitHub where the server's App is installed, and was not told before.",
		Exchanges: []Exchange{
			{"pull-request", "pullRequest", "GitHub Pull Request Event", "Something happened to a pull request at GitHub.", repositoryKey(Field{Name: "action", Summary: "What happened, in GitHub's word."}), "github-pull-request-message.json"},
			{"push", "push", "GitHub push Event", "Somebody pushed to a repository at GitHub.", repositoryKey(), "github-push-message.json"},
			{"release", "release", "GitHub release Event", "Something happened to a release at GitHub.", repositoryKey(), "github-release-message.json"},
			{"rerun", "rerun", "GitHub re-run task Event", "Somebody asked at GitHub that a check run of ours is run again.", repositoryKey(), "github-rerun-message.json"},
			{"task-group-creation-requested", "taskGroupCreationRequested", "Task Group Messages", "A task group was made of what happened at GitHub.", repositoryKey(), "task-group-creation-requested.json"},
		},
	}, workerManager(), {
		Name: "notify", Title: "Notify AMQP Exchanges",
		Description: "Messages that callers of the service notify publish, and those of tasks with a route `notify.pulse.<topic>.on-<event>`.",
		Exchanges: []Exchange{
			{"notification", "notify", "Notification Messages", "What a caller has to tell; of a task's route, the task's status. It is also routed by " +
				"`route.<topic>` (header `CC`).", []Field{primary, {Name: "topic", Rest: true, Summary: "What the caller chose, or stands in the task's route."}}, "notification-message.json"},
		},
	}}
}

func workerManager() Service {
	const pool, worker, config = "pulse-worker-pool-message.json", "pulse-worker-message.json", "pulse-launch-config-message.json"
	return Service{
		Name: "worker-manager", Title: "Worker Manager Exchanges",
		Description: "What becomes of worker pools and of their workers.",
		Exchanges: []Exchange{
			{"worker-pool-created", "workerPoolCreated", "Worker Pool Created Messages", "There is a new worker pool.", poolKey(false), pool},
			{"worker-pool-updated", "workerPoolUpdated", "Worker Pool Updated Messages", "A worker pool was changed, or is to be deleted.", poolKey(false), pool},
			{"worker-pool-error", "workerPoolError", "Worker Pool Error Messages", "Something went wrong with a worker pool, or a worker complains.", poolKey(false), "pulse-worker-pool-error-message.json"},
			{"worker-requested", "workerRequested", "Worker Requested Messages", "A provider was asked for a worker.", poolKey(true), worker},
			{"worker-running", "workerRunning", "Worker Running Messages", "A worker has registered.", poolKey(true), worker},
			{"worker-stopped", "workerStopped", "Worker Stopped Messages", "A worker is gone.", poolKey(true), worker},
			{"worker-removed", "workerRemoved", "Worker Removed Messages", "A worker was told to end, or its provider to end it.", poolKey(true), "pulse-worker-removed-message.json"},
			{"launch-config-created", "launchConfigCreated", "Launch Config Created Messages", "A worker pool has a new launch config.", poolKey(false), config},
			{"launch-config-updated", "launchConfigUpdated", "Launch Config Updated Messages", "The weights or limits of a launch config were changed, or it is in use again.", poolKey(false), config},
			{"launch-config-archived", "launchConfigArchived", "Launch Config Archived Messages", "A launch config makes no workers any more.", poolKey(false), config},
		},
	}
}

// prefix is what the names of a service's exchanges begin with.
func prefix(namespace, service string) string {
	return "exchange/" + namespace + "-" + service + "/v1/"
}
