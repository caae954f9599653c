// Package action holds what people may do with the tasks of a push: the actions (taskgraph-map 18).
//
// A Registry holds the actions of one tree for one push: those that every tree has (Builtin), those
// that its config.yml asks for, and those that its Starlark files register. Registry.Render writes
// actions.json, which tells other programs what there is; Listing reads it and fills in what starts an
// action.
//
// Running an action is a pure function, Registry.Run: a Call has everything a callback may look at, and
// Effects say everything it wants done. Nothing happens before somebody applies them: the command
// treeline taskgraph action-callback through the HTTP API, a server in its own rooms. Needs says what has
// to be fetched for a Call beforehand.
//
// Ids of new tasks follow from the action task's id and the labels, and dates count from the moment the
// action task was created, so that an action task that is killed and run again asks for the same tasks
// again, and creates none twice.
//
// All functions are safe for concurrent use; nothing here reads a clock, a network or draws lots.
package action
