// Package task is the currency of the house: what a task is and how it stands. Definitions and
// statuses have the JSON shapes of the peer (taskcluster-map 5.2 and 5.4). The package is a leaf:
// pure types and rules, no clock, no database.
package task
