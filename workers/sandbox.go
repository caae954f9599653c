package workers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/feature/image"
	"github.com/treeline-ci/treeline/workers/feature/mounts"
	"github.com/treeline-ci/treeline/workers/payload"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// permit checks that the task may have what its payload wishes for beyond the usual.
func (r *run) permit() error {
	needs := r.payload.Needs(r.w.TaskQueueID)
	if len(needs) == 0 {
		return nil
	}
	scopes, err := mounts.Expanded(r.doing, r.lease.client(), r.claim.Task.Scopes)
	if err != nil {
		return err
	}
	for _, n := range needs {
		if !slices.ContainsFunc(n.Scopes, func(s string) bool { return scope.Satisfies(scopes, scope.String(s)) }) {
			return fault.New(fault.Forbidden, "%s: takes the scope %s, which the task does not have: add it to the task's scopes, or leave the field out", n.Field, n.Scopes[0])
		}
	}
	return nil
}

// bare says that the task runs in an image's own directory, as docker-worker's dialect has it.
func (r *run) bare() bool { return r.payload.Container != nil && r.w.Engine.Images() != nil }

// openSandbox prepares what the commands run in: image, mounts and caches, and the sandbox itself.
func (r *run) openSandbox() error {
	if err := r.permit(); err != nil {
		return err
	}
	order := engine.Order{
		ID: fmt.Sprintf("%s.%d", r.taskID, r.claim.RunID), Work: r.dir.Work(), Temp: r.dir.Temp(), User: r.user, Path: r.w.path,
		Limits: r.w.Limits, Bare: r.bare(), Keep: r.payload.Interactive,
	}
	var err error
	if order.User, err = r.commandUser(); err != nil {
		return err
	}
	if order.Grants, err = r.grants(); err != nil {
		return err
	}
	if r.bare() {
		if err := r.getImage(&order); err != nil {
			return err
		}
	}
	env := mounts.Env{
		Dir: r.dir, Client: r.lease.client(), Task: r.claim.Task, TaskID: r.taskID, Say: r.log.Say, Purges: r.askPurges, User: r.user,
	}
	if r.bare() {
		r.mounted, order.Binds, err = r.w.caches.Bind(r.doing, env, r.payload.Container.Caches)
	} else {
		r.mounted, err = r.w.caches.Mount(r.doing, env, r.payload.Mounts)
	}
	if err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	r.sandbox, err = r.w.Engine.Open(r.doing, order)
	return err
}

// commandUser is whom commands run as: the run's user, with the groups that were asked for, or the worker's own.
func (r *run) commandUser() (*engine.User, error) {
	s := r.payload.Sandbox
	if s.AsAgent {
		if r.payload.Trust {
			return nil, fault.New(fault.Invalid, "/features/runTaskAsCurrentUser: does not go with chainOfTrust: the commands could read the worker's key")
		}
		r.log.Warn("The commands run as the worker's own user: the task can read and change whatever the worker can.")
		return nil, nil
	}
	if len(s.Groups) == 0 {
		return r.user, nil
	}
	if r.user == nil || os.Geteuid() != 0 {
		return nil, fault.New(fault.Invalid, "/osGroups: this worker is not root, or runs commands as its own user: it cannot add groups")
	}
	u := *r.user
	u.Groups = slices.Clone(u.Groups)
	for i, name := range s.Groups {
		found, err := user.LookupGroup(name)
		if err != nil {
			return nil, fault.New(fault.Invalid, "/osGroups/%d: this worker has no group %q", i, name)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, fault.New(fault.Invalid, "/osGroups/%d: group %q has no number", i, name)
		}
		u.Groups = append(u.Groups, uint32(gid))
	}
	return &u, nil
}

// devices of the machine that tasks may ask for.
const (
	kvmDevice   = "/dev/kvm"
	videoDevice = "/dev/video0"
	audioDevice = "/dev/snd"
)

// grants are what the sandbox gives beyond the usual; permit has said yes to each.
func (r *run) grants() (engine.Grants, error) {
	s := r.payload.Sandbox
	g := engine.Grants{Privileged: s.Privileged, Ptrace: s.Ptrace, NoSeccomp: s.NoSeccomp, SharedMemory: s.SharedMemory}
	if s.Privileged && !r.w.AllowPrivileged {
		return g, fault.New(fault.Invalid, "/capabilities/privileged: this worker has no privileged containers (treeline worker run --allow-privileged)")
	}
	for _, d := range []struct {
		wanted      bool
		name, place string
	}{{s.KVM, "kvm", kvmDevice}, {s.LoopbackVideo, "loopbackVideo", videoDevice}, {s.LoopbackAudio, "loopbackAudio", audioDevice}} {
		if !d.wanted {
			continue
		}
		if _, err := os.Stat(d.place); err != nil {
			return g, fault.New(fault.Invalid, "%s: this worker has no %s", d.name, d.place)
		}
		g.Devices = append(g.Devices, d.place)
	}
	if r.payload.Container == nil {
		return engine.Grants{}, nil // on the machine itself a device is there, or is not
	}
	return g, nil
}

// getImage brings the task's image, and the programs that images of the field have if it lacks them.
func (r *run) getImage(order *engine.Order) error {
	ref := r.payload.Container.Ref
	if ref == (payload.Image{}) {
		return nil // the engine's own choice
	}
	got, err := r.w.images.Get(r.doing, image.Env{Client: r.lease.client(), Task: r.claim.Task, Say: r.log.Say}, ref)
	if err != nil {
		return err
	}
	r.image = got
	order.Image = got.Name
	if r.w.Program == "" {
		return nil
	}
	also := []engine.File{{Place: "/usr/local/bin/treeline", Mode: 0o755, From: r.w.Program}}
	for _, name := range runtask.Used(r.payload.Commands[0], r.payload.Env) {
		content, err := runtask.Script(name)
		if err != nil {
			return err
		}
		order.Files = append(order.Files, engine.File{Place: "/usr/local/bin/" + name, Mode: 0o755, Content: content, Also: also, Missing: true})
	}
	return nil
}

// close ends the sandbox and whatever is left in it, and lets the image go.
func (r *run) close() error {
	var err error
	if r.sandbox != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ours), closeTime)
		defer cancel()
		err = r.sandbox.Close(ctx)
	}
	if r.image != nil {
		r.image.Release()
	}
	return err
}

// endProcesses kills what the commands left behind.
func (r *run) endProcesses() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ours), closeTime)
	defer cancel()
	n, err := r.sandbox.Kill(ctx)
	if n > 0 && !r.bare() {
		r.log.Warn("%d processes that the commands left behind were ended.", n)
	}
	return err
}

// collect brings artifacts out of containers.
func (r *run) collect() error {
	if !r.bare() {
		return nil
	}
	var problems []error
	for _, a := range r.payload.Artifacts {
		problems = append(problems, r.sandbox.Collect(r.doing, a.Path))
	}
	return errors.Join(problems...)
}
