// Package conformance compares what a running server publishes and accepts with what clients written
// for Taskcluster expect: the endpoints of auth, queue, index and object, and what each schema takes.
//
// The facts about the peer are test data, made from its machine-readable references; CONTRIBUTING.md
// says how to make them anew. Where we differ is listed, with the reason, and the list may hold
// nothing that is not there.
package conformance
