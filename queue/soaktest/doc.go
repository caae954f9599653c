// Package soaktest proves the queue: it lets many clients of two replicas do random things to a
// real PostgreSQL, while connections are cut at every point of the protocol, commits succeed whose
// caller sees an error, statements fail as victims of deadlocks, workers wake up too late and clocks
// are wrong; it writes down what each caller was told, and holds that against the event feed and the
// database.
//
// # Reading
//
// round.go is one round: a database, its clients (client.go, verbs.go), what disturbs them (faults.go,
// lapse.go, wire.go), and the end, at which everything must be resolved (drain.go). check.go and the
// files beside it judge the evidence; they are pure, and their own tests show for each invariant a
// history that violates it.
//
// # Replay
//
// All decisions come from generators seeded by the round's seed and the client's number. The order in
// which the machine runs the clients is not replayed, except in lockstep, where one client acts at a
// time and the same seed gives the same history.
package soaktest
