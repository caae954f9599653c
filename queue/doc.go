// Package queue holds tasks, from their creation to their resolution: the state machine of runs,
// dependencies, the line of pending work of each task queue, claims, deadlines, task groups and what
// is known of artifacts (taskcluster-map 5).
//
// # Reading
//
// create.go → claim.go → resolve.go is a task's way; transition.go holds the rules of the state
// machine as pure functions, and save.go is the only place that writes a task's state.
//
// # One transaction
//
// A state change, its row in the hot tables, its event, the index entries of a completed task and
// the release of its dependents commit together (change.go). In every committed snapshot, a task
// has a row in pending exactly when its state is pending, in claims exactly when it is running, and
// in deadlines exactly when it is not resolved.
//
// Every verb can be repeated: when the answer to a call is lost after its COMMIT, the same call
// again gives the same outcome. Claim alone hands out new work each time; a claim whose answer is
// lost ends when it expires, and the task is tried again.
//
// # Many calls, one transaction
//
// Concurrent creates, claims and reports of one process share transactions (together.go,
// queue/combine): what arrives while one runs is the next one's. Nobody waits for company. Each call is
// judged by itself under the locks, as if it came alone: calls of one transaction are ordered as they
// came, and a create that refers to a task of an earlier call waits for the outcome of that one. A
// refused create takes the whole transaction back, and the others go again without it; a refused report
// has written nothing; what fails otherwise is done again in halves, down to the call that is to blame.
// So the rules below are about transactions, however many calls are in one.
//
// A transaction makes as few round trips as its statements' data need: BEGIN travels with the first
// statements, and what nobody reads again (new tasks, claims, released tasks, events) with COMMIT
// (change.late). A create or a claim takes two, a report three.
//
// Plans are made once per connection and kept (pg.KeepPlans): every statement must find its rows by an
// index in a nested loop, whatever its arguments and however full the tables are; plan_test.go holds
// them to it.
//
// # Order of locks
//
// Transactions take locks in this order, and within each class in ascending order of ids:
//
//  1. task_groups (key share by creators, update by who seals);
//  2. tasks (no key update): the tasks to change together with the unsatisfied dependents that their
//     resolution may release, in one statement. Claimers and the expiry loops skip what is
//     locked instead of waiting. Creators do not lock other tasks (but share-lock a dependency
//     that ended badly, since a rerun may bring it back);
//  3. deadlines: creators share the rows of unresolved dependencies, and who resolves a task
//     deletes its row. So either the creator sees the dependency resolved, or the resolving
//     transaction sees the new dependent; neither waits for claims;
//  4. pending: claimers lock rows here first but never wait, neither here nor on tasks;
//  5. the lock of a task group under which the last resolver tells that the group is resolved; before
//     it, without waiting, an unresolved task of the group as a witness (group.go);
//  6. index entries, which nobody locks who then waits for anything above.
//
// A dependent that is created between the look for dependents and the lock on the task is locked
// late, out of order. That can end in a deadlock, which PostgreSQL breaks and internal/pg retries.
//
// # Time
//
// Only the database's clock decides. Go code sees it as a value read in the transaction.
package queue
