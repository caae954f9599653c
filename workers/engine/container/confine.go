package container

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/treeline-ci/treeline/workers/engine"
)

// confine sets limits, and what was granted; everything else stays as tight as the engine makes it.
func confine(host *container.HostConfig, s Spec) {
	l := s.Limits
	if l.Memory > 0 {
		host.Memory, host.MemorySwap = l.Memory, l.Memory // together: no swap
	}
	if l.PIDs > 0 {
		n := int64(l.PIDs)
		host.PidsLimit = &n
	}
	host.NanoCPUs = int64(l.CPUs * 1e9)
	if l.FileSize > 0 || l.Files > 0 {
		host.Ulimits = ulimits(l)
	}
	g := s.Grants
	host.Privileged = g.Privileged
	if g.Ptrace {
		host.CapAdd = append(host.CapAdd, "SYS_PTRACE")
	}
	if g.NoSeccomp {
		host.SecurityOpt = append(host.SecurityOpt, "seccomp=unconfined")
	}
	if g.SharedMemory {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: "/dev/shm", Target: "/dev/shm"})
	}
	for _, d := range g.Devices {
		host.Devices = append(host.Devices, container.DeviceMapping{PathOnHost: d, PathInContainer: d, CgroupPermissions: "rwm"})
	}
}

// ulimits are those of each process. Who names one loses the defaults that Podman's configuration may have, and
// Podman's built-in ones are more than a restricted machine may give: there all are named.
func ulimits(l engine.Limits) []*container.Ulimit {
	var list []*container.Ulimit
	set := func(name string, value int64) {
		if value > 0 {
			list = append(list, &container.Ulimit{Name: name, Soft: value, Hard: value})
		}
	}
	set("fsize", l.FileSize)
	set("nofile", int64(l.Files))
	if restricted() {
		if l.Files == 0 {
			set("nofile", 1024)
		}
		set("nproc", 2048)
	}
	return list
}

// sysResource is the capability to raise limits.
const sysResource = 24

// restricted says that this machine's root may not raise limits, as in many containers and virtual machines.
func restricted() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if bits, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(bits), 16, 64)
			return err == nil && n&(1<<sysResource) == 0
		}
	}
	return false
}

// startFailed tells errors about a program that is not there, or not one, from those of the engine.
func startFailed(err error) bool {
	text := err.Error()
	for _, part := range []string{"executable file", "no such file or directory", "permission denied", "exec format error", "OCI runtime", "no command specified"} {
		if strings.Contains(text, part) && strings.Contains(text, "start container") || strings.Contains(text, "no command") {
			return true
		}
	}
	return false
}

func notRunning(err error) bool {
	return errdefs.IsConflict(err) || strings.Contains(err.Error(), "not running") || strings.Contains(err.Error(), "state improper")
}

// signalOf is the name of the signal that a status of 128 and more stands for.
func signalOf(code int) string {
	if code > 128 && code < 128+32 {
		return syscall.Signal(code - 128).String()
	}
	return ""
}

// follow tells what a container uses until it or ctx ends.
func (e *Engine) follow(ctx context.Context, id string, tell func(engine.Usage)) {
	stats, err := e.api.ContainerStats(ctx, id, client.ContainerStatsOptions{Stream: true})
	if err != nil {
		return // it has ended already, or the engine does not tell
	}
	defer stats.Body.Close()
	for dec := json.NewDecoder(stats.Body); ; {
		var s container.StatsResponse
		if dec.Decode(&s) != nil {
			return
		}
		tell(engine.Usage{CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), Memory: int64(max(s.MemoryStats.MaxUsage, s.MemoryStats.Usage))})
	}
}

// keep is what a container does that is kept open.
func keep() []string {
	return []string{"/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"}
}

// startKeeper starts the container that a kept sandbox's commands and shells run in.
func (s *sandbox) startKeeper(ctx context.Context) error {
	spec := s.spec(engine.Command{})
	spec.Program, spec.Argv = keep(), nil
	id, err := s.r.create(ctx, spec)
	if err != nil {
		return err
	}
	s.made, s.keeper = append(s.made, id), id
	for _, f := range spec.Files {
		if err := s.r.put(ctx, id, f); err != nil {
			return err
		}
	}
	if _, err := s.r.api.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return fail(err, "start container of %s (to keep it open for shells the image needs /bin/sh)", s.o.Image)
	}
	return nil
}

// exec runs a command in a running container, to its end. When ctx ends the command's container is stopped:
// the engine has no other way to end a command in it.
func (e *Engine) exec(ctx context.Context, id string, c engine.Command, t *Terminal, user string) (engine.Exit, error) {
	outlast, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	made, err := e.api.ExecCreate(outlast, id, client.ExecCreateOptions{
		Cmd: c.Argv, Env: c.Env, User: user, TTY: t != nil, AttachStdin: t != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return engine.Exit{}, fail(err, "run in container")
	}
	attached, err := e.api.ExecAttach(outlast, made.ID, client.ExecAttachOptions{TTY: t != nil})
	if err != nil {
		return engine.Exit{}, &engine.StartError{Program: strings.Join(c.Argv, " "), Err: err}
	}
	defer attached.Close()
	if t != nil {
		go e.resizeExec(outlast, made.ID, t.Resize)
	}
	copied := make(chan error, 1)
	go func() { copied <- copyOutput(Spec{Output: c.Output, Terminal: t}, attached.HijackedResponse) }()
	stopped := false
	select {
	case err = <-copied:
	case <-ctx.Done():
		stopped = true
		if t == nil {
			seconds := int(c.Grace.Seconds())
			_, err = e.api.ContainerStop(outlast, id, client.ContainerStopOptions{Timeout: &seconds})
		}
		attached.Close()
	}
	if stopped {
		return engine.Exit{Code: 128 + int(syscall.SIGKILL), Signal: syscall.SIGKILL.String(), Stopped: true}, err
	}
	if err != nil && t == nil {
		return engine.Exit{}, fail(err, "read what is said in container")
	}
	return e.execEnd(outlast, made.ID, c)
}

func (e *Engine) execEnd(ctx context.Context, id string, c engine.Command) (engine.Exit, error) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	for {
		end, err := e.api.ExecInspect(ctx, id, client.ExecInspectOptions{})
		if err != nil {
			return engine.Exit{}, fail(err, "ask for the end of a command")
		}
		if !end.Running {
			if end.ExitCode == 126 || end.ExitCode == 127 {
				return engine.Exit{}, &engine.StartError{Program: strings.Join(c.Argv, " "), Err: errors.New("not found in the image, or no program")}
			}
			return engine.Exit{Code: end.ExitCode, Signal: signalOf(end.ExitCode)}, nil
		}
		select {
		case <-ctx.Done():
			return engine.Exit{}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (e *Engine) resizeExec(ctx context.Context, id string, sizes <-chan [2]uint) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			// A size that does not arrive spoils the picture, not the work.
			_, _ = e.api.ExecResize(ctx, id, client.ExecResizeOptions{Height: size[0], Width: size[1]})
		}
	}
}
