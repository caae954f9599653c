package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine/process"
	"github.com/treeline-ci/treeline/workers/feature/mounts"
	"github.com/treeline-ci/treeline/workers/payload"
	"github.com/treeline-ci/treeline/workers/scratch"
)

// killGrace is how long a command may take to end when it is asked to.
const killGrace = 10 * time.Second

// timedOut is the exit status of a task whose time is over, as the program timeout has it.
const timedOut = 124

// inProcess runs the task as processes of this machine, in a directory of its own.
func (j *job) inProcess(ctx context.Context) (code int, err error) {
	var as *process.User
	if j.options.User != "" {
		if as, err = process.LookupUser(j.options.User); err != nil {
			return 0, fault.Wrap(fault.BadArguments, err, "--user: %v", err)
		}
	}
	tasks := filepath.Join(j.Dir, "tasks")
	if err := os.MkdirAll(tasks, 0o755); err != nil {
		return 0, err
	}
	dir, err := scratch.Make(tasks, fmt.Sprintf("%s.%d", j.task.ID, os.Getpid()), as)
	if err != nil {
		return 0, err
	}
	defer func() {
		if j.options.Keep {
			j.Say("the task's directory is kept: %s", dir.Work())
			return
		}
		err = errors.Join(err, dir.Remove())
	}()
	j.payload.Rebase(dir.Work())
	if j.options.Develop != "" {
		if err := j.linkCheckout(dir); err != nil {
			return 0, err
		}
	}
	mounted, err := j.mount(ctx, dir, as)
	if mounted != nil {
		defer func() { err = errors.Join(err, mounted.Release(dir, false)) }()
	}
	if err != nil {
		return 0, err
	}
	defer func() { // before the caches are taken out
		if _, serr := process.Sweep(dir.Work()); serr != nil {
			err = errors.Join(err, serr)
		}
	}()
	return j.commands(ctx, dir, as)
}

// linkCheckout makes the place of the task's checkout a link to one of this machine.
func (j *job) linkCheckout(dir *scratch.Dir) error {
	place, err := j.develop(dir.Work())
	if err != nil {
		return err
	}
	inside, err := filepath.Rel(dir.Work(), place)
	if err != nil || !filepath.IsLocal(inside) || inside == "." {
		return fault.New(fault.Invalid, "--develop: the task checks out to %s, which is not below its directory", place)
	}
	return dir.Link(j.options.Develop, inside)
}

// mount puts the task's mounts into its directory. A person may use whatever caches there are, so none needs
// a scope here.
func (j *job) mount(ctx context.Context, dir *scratch.Dir, as *process.User) (*mounts.Mounted, error) {
	if len(j.payload.Mounts) == 0 {
		return nil, nil
	}
	caches, err := mounts.OpenCaches(filepath.Join(j.Dir, "caches"), as, 0)
	if err != nil {
		return nil, err
	}
	definition := j.task.Definition
	definition.Scopes = []string{"*"}
	from := j.Client
	for i := range j.payload.Mounts {
		c := j.payload.Mounts[i].Content
		if c == nil {
			continue
		}
		if c.TaskID != "" {
			definition.Dependencies = append(definition.Dependencies, c.TaskID)
		}
		if from, err = j.source(c, from); err != nil {
			return nil, err
		}
	}
	say := func(format string, args ...any) { j.Say(format, args...) }
	return caches.Mount(ctx, mounts.Env{Dir: dir, Client: from, Task: definition, TaskID: j.task.ID, Say: say}, j.payload.Mounts)
}

// source checks that content can be had: what stands anywhere on the web needs no server of ours.
func (j *job) source(c *payload.Content, from *client.Client) (*client.Client, error) {
	if from != nil || c.Raw != nil || c.Base64 != nil {
		return from, nil
	}
	address, err := url.Parse(c.URL)
	if c.URL == "" || err != nil {
		return nil, fault.New(fault.Invalid, "the task mounts artifact %s of another task: set TASKCLUSTER_ROOT_URL to the server that has it", c.Artifact)
	}
	return client.New(client.Config{RootURL: address.Scheme + "://" + address.Host})
}

// commands runs one command after the other until one fails.
func (j *job) commands(ctx context.Context, dir *scratch.Dir, as *process.User) (int, error) {
	env, err := j.machine(dir, as)
	if err != nil {
		return 0, err
	}
	last := len(j.payload.Commands) - 1
	if j.options.Interactive {
		if err := dir.WriteFile(path.Join(ownPrograms, execTask), 0o755, strings.NewReader(j.interactive()), 0); err != nil {
			return 0, err
		}
		j.Say("a shell in the task's environment; %s runs its command, exit ends it", execTask)
	}
	limited, cancel := context.WithTimeout(ctx, j.payload.MaxRunTime)
	defer cancel()
	for i, argv := range j.payload.Commands {
		if j.options.Interactive && i == last {
			return j.typed(argv, dir, env)
		}
		exit, err := process.Run(limited, process.Spec{Argv: argv, Dir: dir.Work(), Env: env, User: as, Output: j.Out, Grace: killGrace})
		switch {
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case limited.Err() != nil:
			j.Say("the time of the task is over: maxRunTime is %v", j.payload.MaxRunTime)
			return timedOut, nil
		case err != nil:
			return 0, err
		case exit.Code != 0:
			return exit.Code, nil
		}
	}
	return 0, nil
}

// ownPrograms is a directory on the PATH of the task, in its directory.
const ownPrograms = ".local/bin"

// machine is the environment of the task's commands on this machine.
func (j *job) machine(dir *scratch.Dir, as *process.User) ([]string, error) {
	bin, err := j.bin()
	if err != nil {
		return nil, err
	}
	name := "task"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if as != nil {
		name = as.Name
	}
	search := strings.Join([]string{bin, filepath.Join(dir.Work(), ownPrograms), os.Getenv("PATH")}, string(filepath.ListSeparator))
	env := []string{"PATH=" + search, "HOME=" + dir.Work(), "TMPDIR=" + dir.Temp(), "USER=" + name, "LANG=C.UTF-8", "TERM=" + cmp.Or(os.Getenv("TERM"), "dumb")}
	for _, name := range passedOn() {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	own, err := j.environment(dir.Work())
	return append(env, own...), err
}

// typed runs a command that has the person's terminal. Ctrl-C is for what runs there.
func (j *job) typed(argv []string, dir *scratch.Dir, env []string) (int, error) {
	program, err := process.LookPath(process.Spec{Argv: argv, Dir: dir.Work(), Env: env})
	if err != nil {
		return 0, err
	}
	cmd := &exec.Cmd{Path: program, Args: argv, Dir: dir.Work(), Env: env, Stdin: j.In, Stdout: j.Out, Stderr: j.Out}
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}
