// Package optimize leaves tasks out of the target graph (taskgraph-map 14) in three phases.
//
// Phase A removes tasks whose strategy says that nobody needs them, dependents first. Phase B
// replaces tasks by tasks that exist already: listed in the parameter existing_tasks, or found
// in the index. Phase C gives the rest their ids, resolves references and makes the graph of
// what is to be created.
//
// # If-dependencies
//
// A task with if-dependencies is wanted only as long as one of them stays. Tasks are settled once all
// their dependents are; of those that can be settled next, what stays comes first. A task that may go
// for its dependents or its if-dependencies stays open until one of these is known to stay; a kept task
// keeps all it depends on, and what is open at the end goes. The result does not depend on the order of
// tasks, and no kept task ever depends on a removed one. The field's own generator settles tasks in an
// order of chance: wherever its result does not depend on that, this one is the same (field_test.go).
//
// # Strategies
//
//	never                          keep
//	always                         remove
//	skip-unless-changed [globs]    remove when no changed file matches
//	index-search [paths]           replace by the first good task found in the index
//	skip-unless-has-relevant-tests remove when no changed file stands beside or above its tests
//	when condition                 keep when the condition holds (package cond), else remove
//	any, all [{strategy: arg} …]   one, or each, of the strategies says so
//	not {strategy: arg}            keep what the strategy would remove, and the other way round
//	FILE.star:FUNCTION arg         a function of the tree (package star)
//
// Every decision is recorded in the explain log with what decided it. Same input, same result;
// all functions are safe for concurrent use.
package optimize
