// Package pg is Treeline's one way to PostgreSQL: connections, transactions, numbered schema
// versions, and the private cluster that `treeline dev` and the tests run.
//
// Rooms write their SQL as named Statement values and run it with pgx inside Tx. Nothing here
// knows a room's tables; the only table of this package is schema_versions.
//
// Everything works through a transaction-mode pooler: locks are transaction-level, and no session
// state is kept between transactions. Statements stay prepared on the server only when the connection
// URL asks for it (default_query_exec_mode=cache_statement), or when a pool was opened with KeepPlans
// and Open found that no pooler stands between.
package pg
