package metrics

// The buckets of histograms, in seconds.
var (
	requestBuckets = []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 10}
	sqlBuckets     = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5}
	waitBuckets    = []float64{0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600}
	claimBuckets   = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 20}
	lagBuckets     = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	roundBuckets   = []float64{0.01, 0.1, 1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 6000}
	workerBuckets  = []float64{15, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800}
)

// queueLabels are a task queue's, as the field writes them.
var queueLabels = []string{"provisionerId", "workerType"}

// What requests are counted by.
var (
	httpRequests = Family{"http_requests_total", Counter, Process, []string{"method", "name", "service", "status"},
		"Requests, by service and method of the API (service ui: by page), and by the class of the status, such as 2xx.", nil, "HTTP"}
	httpSeconds = Family{"http_request_duration_seconds", Histogram, Process, []string{"method", "name", "service", "status"},
		"How long requests took. claimWork waits for work up to 20 s; streams are not measured.", requestBuckets, "HTTP"}
	authSuccess = Family{"auth_success_total", Counter, Process, []string{"scheme"},
		"Requests of which it is known who made them; scheme none is without credentials.", nil, "HTTP"}
	authFailure = Family{"auth_failure_total", Counter, Process, []string{"reason"},
		"Requests whose credentials were refused (reason refused) or could not be checked (reason error).", nil, "HTTP"}
	secretsRead = Family{"treeline_secrets_read_by_people_total", Counter, Process, nil,
		"Secrets that were read by others than tasks, workers and the clients of TREELINE_ALARM_EXCEPT.", nil, "HTTP"}
	limitsRefused = Family{"treeline_limits_refused_total", Counter, Process, []string{"kind"},
		"Requests that were refused (429) because too many came, by what was counted: anonymous, client, failures, sign-in or costly.", nil, "HTTP"}
)

// What the database does for the server, by the room that asks.
var (
	sqlCalls = Family{"treeline_sql_calls_total", Counter, Process, []string{"room", "outcome"},
		"Round trips to the database with statements of a room; outcome is ok or error.", nil, "Database"}
	sqlSeconds = Family{"treeline_sql_duration_seconds", Histogram, Process, []string{"room"},
		"How long round trips took, until their last row was read. A batch is one, of the room of its first named statement.", sqlBuckets, "Database"}
	sqlStatements = Family{"treeline_sql_statements_total", Counter, Process, []string{"room", "statement"},
		"How often each named statement ran.", nil, "Database"}
	sqlStatementSeconds = Family{"treeline_sql_statement_seconds_total", Counter, Process, []string{"room", "statement"},
		"The seconds that round trips took, by the named statement that led them.", nil, "Database"}
	sqlStatementErrors = Family{"treeline_sql_statement_errors_total", Counter, Process, []string{"room", "statement"},
		"How often each named statement failed; those that never did are left out.", nil, "Database"}
	poolConns = Family{"treeline_db_connections", Gauge, Process, []string{"pool", "state"},
		"Connections of a pool: idle, used, or being opened.", nil, "Database"}
	poolMax = Family{"treeline_db_connections_max", Gauge, Process, []string{"pool"},
		"How many connections a pool may have.", nil, "Database"}
	poolAcquires = Family{"treeline_db_acquires_total", Counter, Process, []string{"pool"},
		"How often a connection was taken from a pool.", nil, "Database"}
	poolWaits = Family{"treeline_db_acquire_waits_total", Counter, Process, []string{"pool"},
		"How often somebody had to wait for a connection, because all were used or one had to be opened.", nil, "Database"}
	poolWaited = Family{"treeline_db_acquire_wait_seconds_total", Counter, Process, []string{"pool"},
		"How long they waited, together.", nil, "Database"}
	schemaVersion = Family{"treeline_schema_version", Gauge, Database, nil,
		"The version of the database's schema.", nil, "Database"}
	programSchema = Family{"treeline_program_schema_version", Gauge, Process, nil,
		"The version of the schema that this program knows.", nil, "Database"}
	databaseBytes = Family{"treeline_database_bytes", Gauge, Database, nil,
		"The size of the database on disk.", nil, "Database"}
	deadRows = Family{"treeline_database_dead_rows", Gauge, Database, []string{"table"},
		"Rows that PostgreSQL has yet to clear away, of the ten tables that have most.", nil, "Database"}
	oldestTransaction = Family{"treeline_database_oldest_transaction_seconds", Gauge, Database, nil,
		"Age of the oldest open transaction of anybody in the database: nothing that died since can be cleared away.", nil, "Database"}
)

// What tasks do.
var (
	queuePending = Family{"queue_pending_tasks", Gauge, Database, queueLabels,
		"Tasks that wait for a worker.", nil, "Queue"}
	queueClaimed = Family{"queue_claimed_tasks", Gauge, Database, queueLabels,
		"Tasks that a worker works on.", nil, "Queue"}
	queueUnscheduled = Family{"treeline_queue_unscheduled_tasks", Gauge, Database, queueLabels,
		"Tasks that wait for other tasks.", nil, "Queue"}
	queueOldest = Family{"treeline_queue_oldest_pending_seconds", Gauge, Database, queueLabels,
		"How long the task waits that waits longest for a worker; 0 without any.", nil, "Queue"}
	queueWorkers = Family{"queue_workers_total", Gauge, Database, queueLabels,
		"Workers that asked for work in the last ten minutes, or are quarantined.", nil, "Queue"}
	queueRunning = Family{"queue_running_workers", Gauge, Database, queueLabels,
		"Of these, how many work on something.", nil, "Queue"}
	queueIdle = Family{"queue_idle_workers", Gauge, Database, queueLabels,
		"Of these, how many have nothing to do and may have something.", nil, "Queue"}
	queueQuarantined = Family{"queue_quarantined_workers", Gauge, Database, queueLabels,
		"Workers that may not have any work.", nil, "Queue"}
	queueCapacity = Family{"treeline_queue_capacity", Gauge, Database, queueLabels,
		"Tasks that the workers of a queue could do at once when the last sample was taken, once a minute.", nil, "Queue"}
	queueCompleted = Family{"queue_completed_tasks", Counter, Process, queueLabels,
		"Runs that were completed.", nil, "Queue"}
	queueFailed = Family{"queue_failed_tasks", Counter, Process, []string{"provisionerId", "reasonResolved", "workerType"},
		"Runs that failed.", nil, "Queue"}
	queueException = Family{"queue_exception_tasks", Counter, Process, []string{"provisionerId", "reasonResolved", "workerType"},
		"Runs that ended otherwise, by the reason.", nil, "Queue"}
	queueDefined = Family{"treeline_queue_created_tasks_total", Counter, Process, queueLabels,
		"Tasks that were created.", nil, "Queue"}
	queueWait = Family{"treeline_queue_wait_seconds", Histogram, Process, queueLabels,
		"How long runs waited from pending to their claim.", waitBuckets, "Queue"}
	claimLatency = Family{"treeline_claim_latency_seconds", Histogram, Process, nil,
		"How long a run took to its claim when both it and a worker were there: the shorter of the times that the two waited.", claimBuckets, "Queue"}
)

// How events go out.
var (
	feedHead = Family{"treeline_feed_head", Gauge, Database, nil,
		"The position of the newest event in the feed.", nil, "Feed"}
	feedBehind = Family{"treeline_feed_lag_events", Gauge, Database, []string{"consumer"},
		"Events of the feed that a consumer is not done with. The consumer pulse is the outbox of RabbitMQ.", nil, "Feed"}
	feedSeconds = Family{"treeline_feed_lag_seconds", Gauge, Database, []string{"consumer"},
		"Age of the first of these; 0 without any.", nil, "Feed"}
	notifyWaiting = Family{"treeline_notify_outbox", Gauge, Database, []string{"channel"},
		"Notifications that have yet to be sent, by channel.", nil, "Feed"}
	notifyOldest = Family{"treeline_notify_outbox_oldest_seconds", Gauge, Database, []string{"channel"},
		"Age of the oldest of these.", nil, "Feed"}
	notifyFailed = Family{"treeline_notify_failed", Gauge, Database, []string{"channel"},
		"Notifications of the last hour that were given up.", nil, "Feed"}
	hookMessages = Family{"treeline_hook_messages", Gauge, Database, nil,
		"Messages that fit a hook's binding and have yet to fire it.", nil, "Feed"}
	hookFailing = Family{"treeline_hooks_failing", Gauge, Database, nil,
		"Hooks whose last fires failed, when nobody called for them.", nil, "Feed"}
)

// Forges: what comes from them, and what they are told.
var (
	webhookLag = Family{"treeline_webhook_lag_seconds", Histogram, Process, []string{"event"},
		"How long webhooks of GitHub took from their arrival until they were handled.", lagBuckets, "Forges"}
	webhooks = Family{"treeline_webhooks_total", Counter, Process, []string{"event", "outcome"},
		"Webhooks that were handled: done, failed for good, or put off to another try.", nil, "Forges"}
	webhooksWaiting = Family{"treeline_webhooks_waiting", Gauge, Database, nil,
		"Webhooks that are stored and not handled.", nil, "Forges"}
	webhooksOldest = Family{"treeline_webhooks_oldest_seconds", Gauge, Database, nil,
		"Age of the oldest of these; 0 without any.", nil, "Forges"}
	webhooksFailed = Family{"treeline_webhooks_failed", Gauge, Database, nil,
		"Webhooks of the last day that were given up.", nil, "Forges"}
	githubRepositories = Family{"treeline_github_repositories", Gauge, Database, []string{"state"},
		"Repositories that the GitHub App reaches: enabled, or not any more.", nil, "Forges"}
	githubCompared = Family{"treeline_github_reconcile_oldest_seconds", Gauge, Database, nil,
		"How long ago the branches of a repository were held against the record of pushes, of that where it is longest ago.", nil, "Forges"}
	githubBlocked = Family{"treeline_github_blocked_installations", Gauge, Database, nil,
		"Installations of which GitHub takes no requests for now.", nil, "Forges"}
	githubRemaining = Family{"treeline_github_rate_remaining", Gauge, Database, nil,
		"Requests that GitHub still takes this hour, of the installation with the fewest.", nil, "Forges"}
	checksWaiting = Family{"treeline_check_runs_waiting", Gauge, Database, []string{"state"},
		"Check runs and statuses that GitHub has yet to be told of: due, or put off after an error.", nil, "Forges"}
	checksOldest = Family{"treeline_check_runs_oldest_seconds", Gauge, Database, nil,
		"How long the oldest of these waits.", nil, "Forges"}
	checkMarks = Family{"treeline_check_heads_waiting", Gauge, Database, nil,
		"Revisions of which something changed, and whose check runs are yet to be worked out.", nil, "Forges"}
	hgRepositories = Family{"treeline_hg_repositories", Gauge, Database, []string{"state"},
		"Mercurial repositories: fine, failing, or never read.", nil, "Forges"}
	hgLooked = Family{"treeline_hg_look_oldest_seconds", Gauge, Database, nil,
		"How long ago a Mercurial repository was last read with success, of that where it is longest ago.", nil, "Forges"}
	pushesUndecided = Family{"treeline_pushes_undecided", Gauge, Database, nil,
		"Pushes that are recorded and of which it is not decided yet what is done.", nil, "Forges"}
	pushesOldest = Family{"treeline_pushes_undecided_oldest_seconds", Gauge, Database, nil,
		"Age of the oldest of these; 0 without any.", nil, "Forges"}
)

// Worker pools.
var (
	poolLabels       = []string{"providerId", "workerPoolId"}
	poolRequested    = Family{"worker_manager_requested_capacity", Gauge, Database, poolLabels, "Capacity of workers that a provider was asked for.", nil, "Worker pools"}
	poolExisting     = Family{"worker_manager_existing_capacity", Gauge, Database, poolLabels, "Capacity of workers that are requested or run.", nil, "Worker pools"}
	poolRunning      = Family{"treeline_pool_running_capacity", Gauge, Database, poolLabels, "Capacity of workers that run.", nil, "Worker pools"}
	poolStopping     = Family{"worker_manager_stopping_capacity", Gauge, Database, poolLabels, "Capacity of workers that are being stopped.", nil, "Worker pools"}
	poolDesired      = Family{"worker_manager_desired_capacity", Gauge, Process, poolLabels, "Capacity that this server wanted when it last looked at the pool; one server looks at a time.", nil, "Worker pools"}
	poolMaxCapacity  = Family{"treeline_pool_max_capacity", Gauge, Process, poolLabels, "Capacity that the pool may have at most, when this server last looked at it.", nil, "Worker pools"}
	poolErrors       = Family{"treeline_pool_errors", Gauge, Database, poolLabels, "Errors of the pool's workers and of its provider in the last hour.", nil, "Worker pools"}
	poolTurn         = Family{"worker_manager_worker_pool_provision_seconds", Histogram, Process, []string{"providerId"}, "How long a look took at whether a pool needs workers.", requestBuckets, "Worker pools"}
	poolLate         = Family{"treeline_pool_turn_late_seconds", Gauge, Database, nil, "How long the pool waits for its turn that waits longest; 0 when none is due.", nil, "Worker pools"}
	workerRegistered = Family{"worker_manager_worker_registration_seconds", Histogram, Process, poolLabels, "How long workers took from the request to their registration.", workerBuckets, "Worker pools"}
)

// What is done now and then, and how the server itself is.
var (
	iterate = Family{"iterate_duration_seconds", Histogram, Process, []string{"name", "status"},
		"How long rounds took of what is done again and again; status is success or failed.", roundBuckets, "Rounds"}
	retentionRows = Family{"treeline_retention_rows_total", Counter, Database, []string{"job"},
		"Rows that a job has removed since ever.", nil, "Rounds"}
	retentionAge = Family{"treeline_retention_last_success_seconds", Gauge, Database, []string{"job"},
		"How long ago the last run of a job that removes old rows ended; of one that never did, how long ago this server began.", nil, "Rounds"}
	retentionFailures = Family{"treeline_retention_failures", Gauge, Database, []string{"job"},
		"Runs of a job that failed one after another; 0 when the last did not.", nil, "Rounds"}
	backupAge = Family{"treeline_backup_age_seconds", Gauge, Database, []string{"kind"},
		"Age of the newest backup that was reported as good, by kind; absent when there is none.", nil, "Rounds"}
	buildInfo = Family{"treeline_build_info", Gauge, Process, []string{"version", "revision", "goversion"},
		"Always 1: its labels say which program this is.", nil, "Server"}
	readingUp = Family{"treeline_reading_up", Gauge, Process, []string{"reading"},
		"1 when what is read from the database for metrics could be read last time; 0 leaves its metrics out.", nil, "Server"}
	readingSeconds = Family{"treeline_reading_duration_seconds", Gauge, Process, []string{"reading"},
		"How long the last read took.", nil, "Server"}
	readingAge = Family{"treeline_reading_age_seconds", Gauge, Process, []string{"reading"},
		"How old the values are that it gave.", nil, "Server"}
	logLines = Family{"treeline_log_lines_total", Counter, Process, []string{"level"},
		"Lines that were logged, by level.", nil, "Server"}
)

// Families lists every metric of the server, in the order of the reference. Those of the Go runtime (go_…) and of the
// process (process_…) come in addition, as client_golang makes them.
func Families() []Family {
	return []Family{
		httpRequests, httpSeconds, authSuccess, authFailure, secretsRead, limitsRefused,
		sqlCalls, sqlSeconds, sqlStatements, sqlStatementSeconds, sqlStatementErrors,
		poolConns, poolMax, poolAcquires, poolWaits, poolWaited, schemaVersion, programSchema, databaseBytes, deadRows, oldestTransaction,
		queuePending, queueClaimed, queueUnscheduled, queueOldest, queueWorkers, queueRunning, queueIdle, queueQuarantined, queueCapacity,
		queueCompleted, queueFailed, queueException, queueDefined, queueWait, claimLatency,
		feedHead, feedBehind, feedSeconds, notifyWaiting, notifyOldest, notifyFailed, hookMessages, hookFailing,
		webhookLag, webhooks, webhooksWaiting, webhooksOldest, webhooksFailed, githubRepositories, githubCompared, githubBlocked, githubRemaining,
		checksWaiting, checksOldest, checkMarks, hgRepositories, hgLooked, pushesUndecided, pushesOldest,
		poolRequested, poolExisting, poolRunning, poolStopping, poolDesired, poolMaxCapacity, poolErrors, poolTurn, poolLate, workerRegistered,
		iterate, retentionRows, retentionAge, retentionFailures, backupAge,
		buildInfo, readingUp, readingSeconds, readingAge, logLines,
	}
}
