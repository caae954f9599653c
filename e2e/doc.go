// Package e2e tests the whole product as its users run it: the built program, real PostgreSQL,
// git, workers and processes, from a commit to green, through crashes and bad configurations.
package e2e
