// Package cron reads .cron.yml, the file in which a tree says what is to be done at set times
// (taskgraph-map 19), and answers which of its jobs are due, when the others will be, and what a job's
// .taskcluster.yml is rendered with.
//
// Times are slots: quarters of an hour, in UTC. A job is due in a slot, so whoever asks late asks about
// the slot that has begun (Slot). UTC has no summer time, so no slot is missing and none comes twice.
//
// Everything is a function of its arguments; a File is immutable and safe for concurrent use. Nothing
// here reads a clock: which slots were missed while nobody asked is the caller's to know (Job.Between).
package cron
