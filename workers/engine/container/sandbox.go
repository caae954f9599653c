package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/client"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/archive"
	"github.com/treeline-ci/treeline/workers/engine"
)

// Runner is the engine of an agent: each task in containers of its own.
type Runner struct {
	*Engine
	o Options
}

// Options of a Runner.
type Options struct {
	Agent   string // whose containers these are: Clear removes those of the same name only
	Image   string // for tasks that name none; "": they must
	Network string // that all tasks share, as "host" or "none"; "": each task has one of its own
	Log     *slog.Logger
}

const (
	agentLabel = "treeline.agent"
	runLabel   = "treeline.run"
)

// NewRunner makes an agent's engine of a running Docker or Podman, which it closes in the end.
func NewRunner(e *Engine, o Options) *Runner {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{Engine: e, o: o}
}

// Images are the engine's.
func (r *Runner) Images() engine.Images { return images{r.Engine} }

// images gives the engine's verbs the names of the interface.
type images struct{ e *Engine }

func (i images) Find(ctx context.Context, name string) (Image, error) { return i.e.Image(ctx, name) }
func (i images) Pull(ctx context.Context, name string, progress func(string)) error {
	return i.e.Pull(ctx, name, progress)
}
func (i images) Load(ctx context.Context, archive io.Reader) ([]string, error) {
	return i.e.Load(ctx, archive)
}
func (i images) Tag(ctx context.Context, image, name string) error { return i.e.Tag(ctx, image, name) }
func (i images) Remove(ctx context.Context, name string) error     { return i.e.RemoveImage(ctx, name) }

// sandbox is the containers of one task.
type sandbox struct {
	r       *Runner
	o       engine.Order
	network string // of its own
	gateway string

	mu     sync.Mutex
	made   []string // containers
	now    string   // the one that runs
	keeper string   // of a sandbox that is kept open
	ended  bool
	usage  engine.Usage
	past   engine.Usage // of containers that have ended
}

// Open makes the task's network. Without an image there can be no sandbox.
func (r *Runner) Open(ctx context.Context, o engine.Order) (_ engine.Sandbox, err error) {
	if o.Image == "" {
		o.Image = r.o.Image
	}
	if o.Image == "" {
		return nil, fault.New(fault.Invalid, "the task names no image and this worker has none for such tasks (treeline worker run --image)")
	}
	s := &sandbox{r: r, o: o, network: r.o.Network, gateway: "127.0.0.1"}
	if s.network == "" {
		if err := s.makeNetwork(ctx); err != nil {
			return nil, err
		}
	}
	if o.Keep {
		if err := s.startKeeper(ctx); err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	return s, nil
}

func (s *sandbox) labels() map[string]string {
	return map[string]string{agentLabel: s.r.o.Agent, runLabel: s.o.ID}
}

func (s *sandbox) makeNetwork(ctx context.Context) error {
	name := "treeline-" + s.r.o.Agent + "-" + s.o.ID
	if _, err := s.r.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: s.labels()}); err != nil {
		return fail(err, "make network")
	}
	s.network = name
	found, err := s.r.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err == nil {
		for _, c := range found.Network.IPAM.Config {
			if c.Gateway.Is4() {
				s.gateway = c.Gateway.String()
			}
		}
	}
	if err == nil && s.gateway == "127.0.0.1" {
		err = errors.New("it has no gateway")
	}
	if err != nil {
		return errors.Join(fail(err, "look at network"), s.removeNetwork(context.WithoutCancel(ctx)))
	}
	return nil
}

func (s *sandbox) removeNetwork(ctx context.Context) error {
	if s.r.o.Network != "" || s.network == "" {
		return nil
	}
	_, err := s.r.api.NetworkRemove(ctx, s.network, client.NetworkRemoveOptions{})
	if err != nil && !notFound(err) {
		return fail(err, "remove network")
	}
	return nil
}

// Work is the task's directory; in an image's own the image says it.
func (s *sandbox) Work() string {
	if s.o.Bare {
		return ""
	}
	return s.o.Work
}

// Gateway is the address of this machine in the task's network.
func (s *sandbox) Gateway() string { return s.gateway }

// Env is what the image does not have.
func (s *sandbox) Env() []string {
	if s.o.Bare {
		return nil
	}
	return []string{"HOME=" + s.o.Work, "TMPDIR=" + s.o.Temp, "LANG=C.UTF-8"}
}

func (s *sandbox) spec(c engine.Command) Spec {
	spec := Spec{
		Image: s.o.Image, Argv: c.Argv, Env: c.Env, Labels: s.labels(), Output: c.Output, Keep: true, Grace: c.Grace,
		Binds: slices.Clone(s.o.Binds), Network: s.network, Limits: s.o.Limits, Grants: s.o.Grants, Files: s.o.Files,
	}
	if !s.o.Bare {
		spec.Dir = s.o.Work
		spec.Binds = append(spec.Binds, Bind{Host: s.o.Work, Place: s.o.Work}, Bind{Host: s.o.Temp, Place: s.o.Temp})
		if s.o.User != nil {
			spec.User = fmt.Sprintf("%d:%d", s.o.User.UID, s.o.User.GID)
		}
	}
	return spec
}

// Run runs a command in a container of its own, or in the one that is kept open.
func (s *sandbox) Run(ctx context.Context, c engine.Command) (engine.Exit, error) {
	return s.run(ctx, c, nil)
}

// Shell runs a command beside the one that runs, or in a container of its own when none does.
func (s *sandbox) Shell(ctx context.Context, c engine.Command, t engine.Terminal) (engine.Exit, error) {
	return s.run(ctx, c, &t)
}

func (s *sandbox) run(ctx context.Context, c engine.Command, t *Terminal) (engine.Exit, error) {
	s.mu.Lock()
	into, ended := s.keeper, s.ended
	if into == "" && t != nil {
		into = s.now
	}
	s.mu.Unlock()
	if ended {
		return engine.Exit{}, errors.New("container: the sandbox is closed")
	}
	if into != "" {
		return s.r.exec(ctx, into, c, t, s.user())
	}
	spec := s.spec(c)
	spec.Terminal = t
	stop := s.watch(ctx, &spec)
	exit, err := s.r.Run(ctx, spec)
	stop()
	s.mu.Lock()
	if exit.Container != "" && !slices.Contains(s.made, exit.Container) {
		s.made = append(s.made, exit.Container)
	}
	s.now = ""
	s.past, s.usage = add(s.past, s.usage), engine.Usage{}
	s.mu.Unlock()
	if err != nil && startFailed(err) {
		return engine.Exit{}, &engine.StartError{Program: strings.Join(c.Argv, " "), Err: err}
	}
	return engine.Exit{Code: exit.Code, Stopped: exit.Stopped, Signal: signalOf(exit.Code)}, err
}

func (s *sandbox) user() string {
	if s.o.Bare || s.o.User == nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", s.o.User.UID, s.o.User.GID)
}

// watch follows what the container uses from its start until the returned function is called.
func (s *sandbox) watch(ctx context.Context, spec *Spec) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	spec.Started = func(id string) {
		s.mu.Lock()
		s.made, s.now = append(s.made, id), id
		s.mu.Unlock()
		watching.Go(func() { s.r.follow(ctx, id, s.used) })
	}
	return func() { cancel(); watching.Wait() }
}

func (s *sandbox) used(u engine.Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.CPU, s.usage.Memory = max(s.usage.CPU, u.CPU), max(s.usage.Memory, u.Memory)
}

func add(a, b engine.Usage) engine.Usage {
	return engine.Usage{CPU: a.CPU + b.CPU, Memory: max(a.Memory, b.Memory), OOMKills: a.OOMKills + b.OOMKills, Refused: a.Refused + b.Refused}
}

// Usage is what the engine told, about once a second; what a container used in its last moments is missing.
func (s *sandbox) Usage() engine.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return add(s.past, s.usage)
}

// Kill ends all containers. They stay for Collect, and what they run ends with them.
func (s *sandbox) Kill(ctx context.Context) (int, error) {
	s.mu.Lock()
	s.ended = true
	made, keeper := slices.Clone(s.made), s.keeper
	s.keeper = ""
	s.mu.Unlock()
	left := 0
	var problems []error
	for _, id := range made {
		if _, err := s.r.api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"}); err == nil && id != keeper {
			left++
		} else if err != nil && !notFound(err) && !notRunning(err) {
			problems = append(problems, fail(err, "kill container"))
		}
	}
	return left, errors.Join(problems...)
}

// maxCollected is how much one task may leave for artifacts in its containers.
const maxCollected = 64 << 30

// Collect copies a place out of the containers, of the last one that has it.
func (s *sandbox) Collect(ctx context.Context, place string) error {
	if !s.o.Bare || !path.IsAbs(place) {
		return nil
	}
	s.mu.Lock()
	made := slices.Clone(s.made)
	s.mu.Unlock()
	place = path.Clean(place)
	for _, id := range slices.Backward(made) {
		found, err := s.r.api.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: place})
		if notFound(err) {
			continue
		}
		if err != nil {
			return fail(err, "copy %s", place)
		}
		return errors.Join(s.unpack(ctx, found.Content, path.Dir(place)), found.Content.Close())
	}
	return nil
}

func (s *sandbox) unpack(ctx context.Context, content io.Reader, below string) (err error) {
	root, err := os.OpenRoot(s.o.Work)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if below = strings.TrimPrefix(below, "/"); below != "" {
		if err := root.MkdirAll(below, 0o755); err != nil {
			return err
		}
		inner, err := root.OpenRoot(below)
		if err != nil {
			return err
		}
		defer func() { _ = inner.Close() }()
		return archive.ExtractTar(ctx, content, inner, maxCollected)
	}
	return archive.ExtractTar(ctx, content, root, maxCollected)
}

// Close removes the containers and the network.
func (s *sandbox) Close(ctx context.Context) error {
	_, err := s.Kill(ctx)
	s.mu.Lock()
	made := s.made
	s.made, s.past, s.usage = nil, add(s.past, s.usage), engine.Usage{}
	s.mu.Unlock()
	for _, id := range made {
		_, rerr := s.r.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if rerr != nil && !notFound(rerr) {
			err = errors.Join(err, fail(rerr, "remove container"))
		}
	}
	return errors.Join(err, s.removeNetwork(ctx))
}

// Clear removes the containers and networks that an agent of this name left when it was killed.
func (r *Runner) Clear(ctx context.Context) error {
	ours := make(client.Filters).Add("label", agentLabel+"="+r.o.Agent)
	list, err := r.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return fail(err, "list containers")
	}
	var problems []error
	for _, c := range list.Items {
		if _, err := r.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !notFound(err) {
			problems = append(problems, fail(err, "remove container"))
		}
	}
	networks, err := r.api.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return errors.Join(append(problems, fail(err, "list networks"))...)
	}
	for _, n := range networks.Items {
		if n.Labels[agentLabel] != r.o.Agent { // not all engines filter
			continue
		}
		if _, err := r.api.NetworkRemove(ctx, n.Name, client.NetworkRemoveOptions{}); err != nil && !notFound(err) {
			problems = append(problems, fail(err, "remove network"))
		}
	}
	return errors.Join(problems...)
}
