package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/term"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/workers/engine/container"
)

// Labels of our containers, for people who list them.
const taskLabel = "treeline.task"

// inContainer runs the task in a container of Docker or Podman.
func (j *job) inContainer(ctx context.Context) (code int, err error) {
	if j.payload.Container == nil {
		return 0, fault.New(fault.BadArguments, "the task is written for generic-worker, which has no containers: leave out --engine %s and --image", Container)
	}
	engine, err := container.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	image, err := j.image(ctx, engine)
	if err != nil {
		return 0, err
	}
	spec, err := j.spec(image)
	if err != nil {
		return 0, err
	}
	restore := func() error { return nil }
	if j.options.Interactive {
		j.Say("a shell in the task's container; %s runs its command, exit ends it", execTask)
		if spec.Terminal, restore, err = j.terminal(); err != nil {
			return 0, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, j.payload.MaxRunTime)
	defer cancel()
	if j.options.Interactive {
		limited = context.WithoutCancel(ctx)
	}
	exit, err := engine.Run(limited, spec)
	if err := errors.Join(err, restore()); err != nil {
		return 0, err
	}
	if j.options.Keep {
		j.Say("the container is kept: %.12s (of %s)", exit.Container, engine.Name())
	}
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case exit.Stopped:
		j.Say("the time of the task is over: maxRunTime is %v", j.payload.MaxRunTime)
		return timedOut, nil
	}
	return exit.Code, nil
}

// spec is what the engine is to do.
func (j *job) spec(image string) (container.Spec, error) {
	s := container.Spec{
		Image: image, Output: j.Out, Keep: j.options.Keep, Grace: killGrace, Binds: j.options.Binds,
		Volumes: map[string]string{}, Labels: map[string]string{taskLabel: j.task.ID},
	}
	if j.options.User != "" && !j.asUser(j.options.User) {
		s.User = j.options.User
	}
	if j.options.Develop != "" {
		place, err := j.develop("/")
		if err != nil {
			return s, err
		}
		s.Binds = append(s.Binds, container.Bind{Host: j.options.Develop, Place: place})
		// git refuses directories of other users, and the checkout is the person's.
		s.Env = append(s.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	}
	if err := j.files(&s); err != nil {
		return s, err
	}
	env, err := j.environment("")
	if err != nil {
		return s, err
	}
	s.Env = append(s.Env, env...)
	if c := j.payload.Container; c != nil {
		for name, place := range c.Caches {
			s.Volumes[place] = volume(strings.TrimSuffix(name+"-"+j.options.User, "-")) // caches are of one user
		}
	}
	s.Argv = j.payload.Commands[len(j.payload.Commands)-1]
	s.HostNet = j.options.Proxy && j.payload.Proxy || j.Client != nil && isHere(j.Client.RootURL())
	return s, nil
}

// files puts our programs where images of the field have theirs, unless they do.
func (j *job) files(s *container.Spec) error {
	var also []container.File
	if runtime.GOOS == "linux" {
		also = []container.File{{Place: "/usr/local/bin/treeline", Mode: 0o755, From: j.Program}}
	} else {
		j.Say("this treeline is not made for Linux, so the image needs a treeline, or a run-task, of its own")
	}
	argv := j.payload.Commands[len(j.payload.Commands)-1]
	for _, name := range scriptNames() {
		content, err := script(name)
		if err != nil {
			return err
		}
		f := container.File{Place: "/usr/local/bin/" + name, Mode: 0o755, Content: content, Also: also, Missing: true}
		if name == "run-task" && j.options.Interactive {
			f.Missing = false // ours lets its command have the terminal
		}
		if usesRunTask(argv) || j.payload.Env["MOZ_FETCHES"] != "" {
			s.Files = append(s.Files, f)
		}
	}
	if j.options.Interactive {
		s.Files = append(s.Files, container.File{Place: "/usr/local/bin/" + execTask, Mode: 0o755, Content: []byte(j.interactive())})
	}
	return nil
}

var notInVolumes = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`)

// volume is the name of the volume that keeps a cache.
func volume(cache string) string {
	sum := sha256.Sum256([]byte(cache))
	name := notInVolumes.ReplaceAllString(cache, "-")
	return "treeline-" + name[:min(len(name), 60)] + "-" + hex.EncodeToString(sum[:4])
}

// isHere tells whether a server listens on this machine only, where a container with a network of its own
// does not reach it.
func isHere(root string) bool {
	u, err := url.Parse(root)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || ip != nil && ip.IsLoopback()
}

// terminal hands the person's terminal to a container: each key as it is typed, and its size.
func (j *job) terminal() (*container.Terminal, func() error, error) {
	t := &container.Terminal{In: j.In, Out: j.Out}
	file, ok := j.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return t, func() error { return nil }, nil
	}
	before, err := term.MakeRaw(int(file.Fd()))
	if err != nil {
		return nil, nil, err
	}
	sizes := make(chan [2]uint, 1)
	changes, unheard := sys.Resized()
	done := make(chan struct{})
	go func() {
		for { // first the size it has now
			if width, height, err := term.GetSize(int(file.Fd())); err == nil {
				select {
				case sizes <- [2]uint{uint(height), uint(width)}:
				case <-done:
					return
				}
			}
			select {
			case <-done:
				return
			case <-changes:
			}
		}
	}()
	t.Resize = sizes
	return t, func() error {
		unheard()
		close(done)
		return term.Restore(int(file.Fd()), before)
	}, nil
}
