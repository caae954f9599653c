// Package star runs Starlark from the repository's tree: transforms, target-tasks methods and
// optimization strategies that YAML cannot say. A function is named FILE:FUNCTION, where FILE
// ends in ".star" and is a path in the tree, such as "taskcluster/transforms.star:add_env".
//
// # Functions
//
// A transform has one of two forms, told apart by the name of its second parameter. The first
// is called once per task, and gives one dict, a list of dicts (the task is split) or None (the
// task is dropped); changing the given dict and returning it is usual. The second is called once
// with all tasks of the kind and gives a list of dicts.
//
//	def add_env(config, task):
//	    task["worker"].setdefault("env", {})["LEVEL"] = config.params["level"]
//	    return task
//
//	def number(config, tasks):
//	    return [dict(task, index = i) for i, task in enumerate(tasks)]
//
// config has the attributes kind, path, config (the kind's file), params, graph_config and
// kind_dependencies_tasks (label to task; only tasks of the kinds named in kind-dependencies).
// All of them are read-only. Tasks are plain dicts, lists, strings, ints, floats, bools and None;
// the keys of a dict from Go stand in sorted order.
//
// A target-tasks method is a predicate on one task, or gives the list of labels:
//
//	def nightly(task, parameters, graph_config):
//	    return task["attributes"].get("nightly", False)
//
//	def first_two(tasks, parameters, graph_config):
//	    return sorted(tasks.keys())[:2]
//
// A strategy says whether a task can be left out of the graph. It gives a bool, or a string,
// which means yes and is recorded as the reason:
//
//	def weekends_only(task, params, arg):
//	    return "arg names project" if params["project"] in arg else False
//
// # Language
//
// It is Starlark without while and recursion, with sets and with if and for at top level.
// load("//path/from/root.star", "name") and load("beside.star", "name") read only from the tree.
// There is no other input or output: no files, network, clock, environment or randomness. print
// goes to the log of the decision. Globals are frozen after the file has run. Besides the usual
// built-ins there are
//
//	json.encode(x), json.decode(text)
//	match(pattern, text)         None, or the list of the whole match and its groups; the pattern
//	                             (RE2) must match at the start of the text, like Python's re.match
//	merge(a, b, …)               a new dict: dicts merge, lists append, the rest is replaced
//
// # Limits
//
// A call has a budget of steps, of bytes it may make in all, of values it may give back and of
// text it may print (Limits). Each operation and built-in that can make a large value in one
// step is checked before it runs, so a string or list bomb stops before it explodes; so are
// comparisons and texts of deeply shared structures. The left side of +=, *=, %= and |= must be made
// of names, constants, indexes and attributes, and lambda takes no *args: that keeps the checks
// exact. As a last resort the growth of the process's heap is watched. Every error is an *Error with file,
// line, function, task and traceback; errors.Is(err, ErrLimit) tells that a limit was met.
//
// A Module may be used by several goroutines at once.
package star
