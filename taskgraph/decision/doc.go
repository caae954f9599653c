// Package decision makes the artifacts that a decision task publishes (taskgraph-map 17.2), the
// same for a decision made in the server and for one made by a worker:
//
//	parameters.yml        the parameters
//	actions.json          what people may do with the tasks (taskgraph-map 18)
//	full-task-graph.json  every task of the tree
//	runnable-jobs.json    label to Treeherder symbols
//	target-tasks.json     labels selected
//	task-graph.json       tasks created, by task id
//	label-to-taskid.json  also of tasks that were replaced
//	optimizations.log     one line a decision of the optimization
//	explain.json          why every task is as it is (package explain)
//
// Everything is a function of its arguments: the same generation gives the same bytes.
package decision
