package local

import (
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/payload"
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// execTask is the script that runs the task's own command in an interactive shell.
const execTask = "exec-task"

// shell is the best shell at hand.
func shell() []string {
	return []string{"sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec sh"}
}

// usesRunTask tells whether a command starts run-task.
func usesRunTask(argv []string) bool {
	return len(argv) > 0 && (strings.HasPrefix(path.Base(argv[0]), "run-task") || len(argv) > 1 && path.Base(argv[0]) == "treeline" && argv[1] == "run-task")
}

// split divides the arguments of run-task from the command behind them.
func split(argv []string) (own, command []string) {
	if i := slices.Index(argv, "--"); i >= 0 {
		return slices.Clone(argv[:i]), argv[i+1:]
	}
	return slices.Clone(argv), nil
}

// interactive puts a shell in the place of the last command, after what run-task does before it, and returns
// the script that runs the command after all.
func (j *job) interactive() string {
	last := len(j.payload.Commands) - 1
	argv := j.payload.Commands[last]
	command := argv
	if usesRunTask(argv) {
		own, inner := split(argv)
		command = inner
		j.payload.Commands[last] = slices.Concat(own, []string{"--"}, shell())
	} else {
		j.payload.Commands[last] = shell()
	}
	if len(command) == 0 {
		return "#!/bin/sh\necho 'the task has no command but its image'\"'\"'s'\n"
	}
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return "#!/bin/sh\n# Runs the task's command.\nexec " + strings.Join(words, " ") + "\n"
}

// asUser makes run-task give the command to a user; false when the command is not run-task's.
func (j *job) asUser(name string) bool {
	done := false
	for i, argv := range j.payload.Commands {
		if !usesRunTask(argv) {
			continue
		}
		own, command := split(argv)
		own = withoutOption(withoutOption(own, "--user"), "--group")
		j.payload.Commands[i] = slices.Concat(own, []string{"--user", name, "--"}, command)
		done = true
	}
	return done
}

func withoutOption(argv []string, name string) []string {
	out := []string{}
	for i := 0; i < len(argv); i++ {
		switch {
		case argv[i] == name:
			i++
		case !strings.HasPrefix(argv[i], name+"="):
			out = append(out, argv[i])
		}
	}
	return out
}

// develop takes the checkout out of the task's command and returns where the task expects it, an absolute
// path, so that one of this machine can be put there. Of several it is the first. Commands start in workdir.
func (j *job) develop(workdir string) (place string, err error) {
	for i, argv := range j.payload.Commands {
		if !usesRunTask(argv) {
			continue
		}
		own, command := split(argv)
		at := slices.IndexFunc(own, func(s string) bool {
			name, _, _ := strings.Cut(s, "=")
			return strings.HasPrefix(s, "--") && strings.HasSuffix(name, "-checkout")
		})
		if at < 0 {
			continue
		}
		name, place, given := strings.Cut(own[at], "=")
		next := at + 1
		if !given {
			if next == len(own) {
				break
			}
			place = own[next]
			next++
		}
		own = slices.Concat(own[:at], own[next:])
		j.payload.Commands[i] = slices.Concat(own, []string{"--"}, command)
		j.Say("%s: %s is used as it is, in the place of a checkout", strings.TrimSuffix(strings.TrimPrefix(name, "--"), "-checkout"), j.options.Develop)
		if !path.IsAbs(place) {
			place = path.Join(workdir, place)
		}
		place = path.Clean(place)
		j.leaveOutCaches(place, workdir)
		return place, nil
	}
	return "", fault.New(fault.BadArguments, "--develop: the task checks nothing out (run-task with --NAME-checkout), so there is nothing to put in its place")
}

// leaveOutCaches drops the caches that a directory lies in: they hold checkouts of workers.
func (j *job) leaveOutCaches(place, workdir string) {
	over := func(dir string) bool {
		if !path.IsAbs(dir) {
			dir = path.Join(workdir, dir)
		}
		dir = path.Clean(dir)
		return dir == place || strings.HasPrefix(place, dir+"/")
	}
	if list, ok := j.payload.Env["TASKCLUSTER_CACHES"]; ok {
		kept := slices.DeleteFunc(strings.Split(list, ";"), over)
		j.payload.Env["TASKCLUSTER_CACHES"] = strings.Join(kept, ";")
	}
	if j.payload.Container != nil {
		maps.DeleteFunc(j.payload.Container.Caches, func(_, dir string) bool { return over(dir) })
	}
	j.payload.Mounts = slices.DeleteFunc(j.payload.Mounts, func(m payload.Mount) bool { return m.CacheName != "" && over(m.Directory) })
}
