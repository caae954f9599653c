package doctor

// Kind is what there is to know of a finding before it is found.
type Kind struct {
	Severity Severity
	Why      string
	Do       string
}

// Catalogue has everything that can be found, by its code. It is never written.
var Catalogue = map[string]Kind{
	// Configuration and the machine.
	"config-unreadable":    {Error, "A server with this configuration does not start.", "Correct what the message names."},
	"env-unknown":          {Warning, "A variable that nobody reads does nothing, silently: what it was to set has its default.", "Correct its name, or remove it."},
	"file-readable-by-all": {Error, "Other users of the machine can read secrets, and act as the deployment.", "chmod 600 it, and change the secrets that are in it if others use the machine."},
	"secret-weak":          {Error, "Who guesses the secret acts as the deployment.", "Make a long random one (openssl rand -base64 33), and set it on both sides."},
	"secret-default":       {Error, "Everybody knows the credentials that a product comes with.", "Make a user of its own with a random password, and take the default one away."},
	"key-service":          {Error, "A server that starts now cannot unwrap its encryption keys; those that run go on with what they have.", "Do what the message says: reach the key service, or have it allow this deployment its key."},
	"secrets-missing":      {Error, "Without secrets.json a server makes a new one: all credentials, and what is sealed in the database, are then void.", "Put secrets.json of the deployment into TREELINE_DATA."},
	"limits-off":           {Warning, "Who guesses passwords and tokens may try as often as they like.", "Take failures=off and sign-in=off out of --limits (TREELINE_LIMITS)."},
	"limits-tight":         {Warning, "Browsers, and workers that share a client, are refused though they do nothing wrong.", "Raise it, or leave it out of --limits (TREELINE_LIMITS): the defaults are in docs/operations/security.md."},
	"proxies-everybody":    {Error, "Everybody can write any address into X-Forwarded-For: limits by address stop nobody, and the audit log names whom they like.", "Name the proxies alone in --trusted-proxies (TREELINE_TRUSTED_PROXIES)."},
	"proxies-none":         {Warning, "All requests seem to come from the proxy that ends TLS: who fails to sign in has everybody refused, or nobody is when the proxy is on this machine.", "Name the proxy in --trusted-proxies (TREELINE_TRUSTED_PROXIES; docs/operations/reverse-proxy.md)."},
	"claim-timeout-short":  {Warning, "Workers that a slow network holds up lose their tasks, which then run once more.", "Leave --claim-timeout out (20m), or give some minutes at least."},
	"drain-long":           {Warning, "The units of systemd, the compose file and the chart end a server 60 seconds after they told it to stop: requests that still run then are cut off.", "Shorten --drain and --drain-notice, or raise TimeoutStopSec, stop_grace_period or terminationGracePeriodSeconds."},
	"traces-unreachable":   {Warning, "Traces of pushes wait until the receiver can be reached.", "Correct --otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT), or start the receiver."},
	"disk-full":            {Error, "Uploads fail, and with them tasks, when the disk is full.", "Make room, or let contents go to a bucket (docs/how-to/object-storage.md)."},
	"disk-low":             {Warning, "Uploads fail, and with them tasks, when the disk is full.", "Make room, or let contents go to a bucket (docs/how-to/object-storage.md)."},

	// The database's settings.
	"db-unreachable":        {Error, "No server works without its database.", "Correct DATABASE_URL, or start PostgreSQL; the message says which."},
	"db-version":            {Error, "Treeline needs functions of PostgreSQL 15.", "Upgrade PostgreSQL to 15 or newer."},
	"db-fsync":              {Error, "Nothing that was answered is safe when the machine crashes; the database itself may be lost.", "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();"},
	"db-synchronous-commit": {Error, "What was answered may be missing after a crash of PostgreSQL: a task that was created, a run that was reported.", "ALTER SYSTEM (or DATABASE, or ROLE, wherever it was set) SET synchronous_commit = on; SELECT pg_reload_conf();"},
	"db-full-page-writes":   {Error, "A page that was half written at a crash cannot be repaired.", "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();"},
	"db-autovacuum":         {Error, "Tables of the queue fill with dead rows and get slow within hours; in the end the database stops to take writes.", "ALTER SYSTEM SET autovacuum = on, and track_counts = on; SELECT pg_reload_conf();"},
	"db-table-autovacuum":   {Warning, "The table keeps its dead rows, and every look at it gets slower.", "ALTER TABLE the table RESET (autovacuum_enabled);"},
	"db-isolation":          {Error, "The queue locks rows and reads what was committed last; with another isolation transactions fail instead of waiting.", "ALTER DATABASE, ROLE or SYSTEM RESET default_transaction_isolation;"},
	"db-read-only":          {Error, "No server can work on a database that takes no writes.", "Point DATABASE_URL at the primary, or RESET default_transaction_read_only."},
	"db-idle-timeout":       {Hint, "A program that dies or hangs in a transaction keeps rows locked and dead rows alive for as long.", "ALTER DATABASE … SET idle_in_transaction_session_timeout = '5min';"},
	"db-statement-timeout":  {Warning, "A statement_timeout shorter than a minute ends upgrades of the schema and removals of old rows half-way, again and again.", "RESET statement_timeout for Treeline's role, or set it to minutes."},
	"db-connections":        {Error, "Servers cannot connect any more when all connections are taken: requests fail.", "Raise max_connections, lower pool_max_conns in DATABASE_URL, or put a pooler between (docs/operations/database.md)."},
	"db-wal-level":          {Warning, "With wal_level = minimal the database cannot be put back to a point in time, nor have a standby.", "ALTER SYSTEM SET wal_level = replica; restart PostgreSQL."},
	"db-archive":            {Warning, "Without an archive of the log all work since the last backup is lost with the disk.", "Set archive_mode = on and archive_command (docs/operations/backup.md); restart PostgreSQL."},
	"db-archive-failing":    {Error, "The log is not archived: work since the last archived piece is lost with the disk, and the disk fills with what waits.", "Look at PostgreSQL's log for what archive_command says, and correct it."},
	"db-checkpoints":        {Hint, "Frequent checkpoints have every page written whole to the log: a third of the queue's throughput.", "ALTER SYSTEM SET max_wal_size = '4GB', checkpoint_timeout = '15min'; SELECT pg_reload_conf();"},
	"db-pooler-prepared":    {Error, "Behind a pooler that gives each transaction another session, statements that a session keeps are not there when they are wanted.", "Take default_query_exec_mode=cache_statement out of DATABASE_URL."},
	"db-pooler-session":     {Hint, "Behind a pooler every statement is planned anew: the queue does about half as much.", "Let DATABASE_URL lead to PostgreSQL itself, if its connections suffice."},
	"db-collation":          {Error, "The library that sorts text is another than when indexes were made: rows may not be found.", "REINDEX DATABASE …; then ALTER DATABASE … REFRESH COLLATION VERSION;"},
	"db-encoding":           {Error, "Text that is not of the database's encoding cannot be stored: names and messages are refused.", "Make the database anew with ENCODING 'UTF8', and move the data with pg_dump."},

	// The database's health.
	"db-old-transaction": {Warning, "A transaction that is open for long keeps all dead rows of all tables alive: the database grows, and statements get slower.", "See who it is (SELECT * FROM pg_stat_activity WHERE pid = …), and end it: SELECT pg_terminate_backend(…)."},
	"db-prepared-xact":   {Warning, "A prepared transaction that nobody ends holds its locks, and dead rows, for ever.", "COMMIT PREPARED or ROLLBACK PREPARED it."},
	"db-slot":            {Warning, "A replication slot that nobody reads keeps all of the log since: the disk fills.", "SELECT pg_drop_replication_slot(…), or start what reads it."},
	"db-dead-rows":       {Warning, "Every look at the table passes its dead rows.", "See what holds them up (open transactions, slots); then VACUUM the table."},
	"db-wraparound":      {Error, "The database stops to take writes when its transaction ids are used up.", "VACUUM (FREEZE) the oldest tables now; see what holds autovacuum up."},
	"schema-old":         {Error, "The program needs tables and columns that the database lacks.", "treeline db upgrade (a server does it at its start)."},
	"schema-new":         {Warning, "A newer program has changed the schema; this one may not know what it means.", "Run the newer program, or go back with its \"treeline db downgrade\"."},
	"servers-differ":     {Warning, "A rolling upgrade is under way, or was not finished: only programs of neighbouring versions work beside each other.", "Replace the servers of the older program, one after the other (docs/operations/upgrade.md)."},
	"schema-changed":     {Error, "The schema is not what the program takes it for.", "Find out who changed a version that was applied; restore the program that fits."},
	"db-moved":           {Error, "The database was put back, copied, or taken over by a standby. Numbers that it gave after that point, and files and pages that bear them, may be given again: logs mix, pages stand still, check runs hang.", "Stop all servers, give treeline db restored (with --nothing-lost if no commit is missing), start them (docs/operations/backup.md)."},

	// Clocks.
	"clock-database": {Warning, "Credentials and signed URLs begin and end by the server's clock, tasks by the database's: with minutes between them, requests are refused.", "Run a time service (chrony, systemd-timesyncd) on both machines."},
	"clock-forge":    {Error, "GitHub refuses signatures of an App whose clock is more than a minute off.", "Run a time service (chrony, systemd-timesyncd) on this machine."},
	"clock-root":     {Warning, "Clients sign requests by their clocks, and are refused when the server's is minutes off.", "Run a time service (chrony, systemd-timesyncd) on both machines."},

	// The root URL.
	"root-missing":     {Error, "Signatures, links and the addresses that workers and forges call are made from it.", "Set TREELINE_ROOT_URL to the address at which clients reach the deployment."},
	"root-http":        {Error, "Cookies and credentials go over the network in the open.", "Put a proxy with TLS in front, and set TREELINE_ROOT_URL to its https:// address."},
	"root-unreachable": {Error, "Nobody reaches the deployment: neither browsers, nor workers, nor webhooks.", "Look at the proxy, the name's address and the firewall; is a server running?"},
	"root-stranger":    {Error, "What answers there is not this deployment: workers and people would give it their credentials.", "Correct TREELINE_ROOT_URL, or the proxy behind it."},
	"root-unhealthy":   {Error, "The server says itself that it cannot work.", "Look at its log, and at the database."},
	"root-version":     {Warning, "What runs is another version than this program: what it needs may differ.", "Give the command of the version that runs, or deploy this one."},
	"tls-expired":      {Error, "Nobody connects to a server whose certificate has ended or does not fit.", "Renew the certificate."},
	"tls-ends-soon":    {Warning, "Nobody connects to a server whose certificate has ended.", "Renew the certificate; see why that is not done by itself."},

	// What a server needs besides.
	"storage-broken":     {Error, "Artifacts cannot be stored or read: tasks fail.", "Correct what the message names: bucket, keys, permissions, endpoint, or the directory's owner."},
	"storage-lifecycle":  {Error, "A rule of the bucket deletes contents that the database still has: artifacts and logs of tasks are gone.", "Take the rule away: the server removes what has expired itself."},
	"github-problem":     {Error, "What happens at GitHub is not heard of, or cannot be told there.", "Do what the message says (docs/how-to/github.md)."},
	"github-unreachable": {Error, "What happens at GitHub is not heard of, or cannot be told there.", "Do what the message says: the App's id and key, TREELINE_GITHUB_API, the network."},
	"hg-unreachable":     {Error, "Pushes of the repository are not seen.", "Correct its address, certificate or credentials in TREELINE_REPOSITORIES."},
	"git-unreadable":     {Error, "Pushes of the repository are not seen.", "Give the server's user the right to read it, or correct --repo."},
	"rabbit-unusable":    {Error, "Listeners on RabbitMQ, such as Treeherder, hear nothing.", "Correct TREELINE_PULSE_URL, or give its user the rights that the message names."},
	"rabbit-blocked":     {Error, "RabbitMQ takes no messages for now: they wait in the feed, and listeners hear nothing.", "Free memory or disk of RabbitMQ."},
	"mail-unusable":      {Error, "No mail is sent.", "Correct TREELINE_SMTP_URL, the password or the certificate."},
	"slack-unusable":     {Error, "Nothing is posted to Slack.", "Make a new bot token (docs/reference/notify.md)."},
	"matrix-unusable":    {Error, "Nothing is posted to Matrix.", "Make a new access token (docs/reference/notify.md)."},

	// What stands in the database.
	"key-lost":          {Error, "Secrets, hooks or tokens are sealed with a key that is not configured: they cannot be read.", "Give the key as a retired one (docs/operations/keys.md)."},
	"key-unused":        {Hint, "A retired key that seals nothing any more is only one more secret to keep.", "Take it out of the configuration; keep it with old backups."},
	"key-retired-used":  {Warning, "Values are still sealed with a retired key: whoever has it reads them.", "treeline db reencrypt"},
	"client-everything": {Warning, "Who has the access token of a client with the scope * may do everything, and so may all that it makes.", "Give it the scopes that it needs; keep * for static/taskcluster/root."},
	"queue-no-worker":   {Warning, "Tasks wait for a worker that does not come, until their deadline.", "Start a worker of this queue, or make a pool of its name; or correct the tasks' taskQueueId."},
	"queue-quarantined": {Warning, "All workers of the queue are in quarantine: nobody takes its tasks.", "End the quarantine of those that are well (docs/how-to/take-a-worker-out.md)."},
	"pool-errors":       {Warning, "A pool cannot make workers: tasks wait.", "treeline api worker-manager listWorkerPoolErrors POOL says why."},
	"pool-no-capacity":  {Warning, "The pool may have no worker at all: its tasks wait until their deadline.", "Raise maxCapacity in the pool's config."},
	"pool-no-provider":  {Error, "No server knows the provider of the pool: it makes no workers, and ends none.", "Put the provider back into TREELINE_POOLS, or give the pool another."},
	"consumer-stuck":    {Error, "What follows the feed stands still: messages, check runs or notifications are late.", "The server's log says why (a consumer failed); treeline events consumers shows how far it is."},
	"retention-failing": {Warning, "Old rows are not removed: the database grows.", "The message says why; the server tries again."},
	"retention-late":    {Warning, "Old rows are not removed: the database grows.", "Is a server running? Its log says why the job does not end."},
	"backup-none":       {Error, "All is lost with the database's disk.", "Make backups, and tell of them with treeline db backup-report (docs/operations/backup.md)."},
	"backup-old":        {Error, "Work since the last good backup is lost, or takes long to come back, with the database's disk.", "See why the backup does not run; docs/operations/backup.md."},
	"backup-failed":     {Error, "The last backup failed.", "See what it says, and make one."},
	"backup-drill":      {Hint, "A backup that was never restored is a hope.", "Restore one to a spare machine now and then, and tell of it: treeline db backup-report --kind drill."},
}
