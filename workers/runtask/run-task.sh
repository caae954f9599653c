#!/bin/sh
# Starts the run-task of Treeline: checks out the sources and runs a task's command.
command -v treeline >/dev/null 2>&1 || {
	echo "run-task: the program treeline is not on this worker's PATH ($PATH); install it there" >&2
	exit 1
}
exec treeline run-task "$@"
