package container

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/treeline-ci/treeline/workers/engine"
)

// Spec is one command in a container of its own.
type Spec struct {
	Image   string
	Argv    []string // nil: the image's own command
	Env     []string // NAME=value, besides the image's own
	Dir     string   // "" is the image's own
	User    string   // name or uid:gid, "" is the image's own
	Binds   []Bind
	Volumes map[string]string // place in the container → name of a volume that outlives it
	Files   []File            // put into the container before it starts
	Labels  map[string]string
	HostNet bool     // the container has the machine's own network
	Network string   // name of the network it is in, "" is the engine's usual one
	Program []string // in place of the image's entry point; nil leaves that
	Limits  engine.Limits
	Grants  engine.Grants

	Output   io.Writer    // standard output and error
	Terminal *Terminal    // the command talks to a terminal; Output is not used then
	Keep     bool         // the container stays when it has ended
	Started  func(string) // told the container's id once it runs; may be nil
	Grace    time.Duration
}

// Bind is a directory or file of the machine that the container sees.
type Bind = engine.Bind

// File is something to put into a container.
type File = engine.File

// Terminal is where a command that talks to people reads and writes.
type Terminal = engine.Terminal

// Exit says how a command ended.
type Exit struct {
	Code      int
	Stopped   bool   // it was stopped because the context ended
	Container string // id of the container
}

// How long the engine may take to stop or remove a container when the context has ended, and to start one.
const (
	farewell  = time.Minute
	startTime = 2 * time.Minute // however much else the engine has to do
)

// Run creates a container, runs its command to the end, and removes it unless it is to be kept. When ctx
// ends first the command is asked to end, and killed after the grace time.
func (e *Engine) Run(ctx context.Context, s Spec) (exit Exit, err error) {
	id, err := e.create(ctx, s)
	if err != nil {
		return Exit{}, err
	}
	exit.Container = id
	outlast := context.WithoutCancel(ctx)
	if !s.Keep {
		defer func() {
			ctx, cancel := context.WithTimeout(outlast, farewell)
			defer cancel()
			if _, rerr := e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); rerr != nil && !notFound(rerr) {
				err = errors.Join(err, fail(rerr, "remove container"))
			}
		}()
	}
	for _, f := range s.Files {
		if err := e.put(ctx, id, f); err != nil {
			return exit, err
		}
	}
	attached, err := e.api.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdin: s.Terminal != nil, Stdout: true, Stderr: true})
	if err != nil {
		// Podman makes the container ready first; only starting says what it lacks.
		if _, serr := e.api.ContainerStart(ctx, id, client.ContainerStartOptions{}); serr != nil {
			err = serr
		}
		return exit, fail(err, "start container of %s", s.Image)
	}
	defer attached.Close()
	copied := make(chan error, 1)
	go func() { copied <- copyOutput(s, attached.HijackedResponse) }()
	if err := e.start(outlast, id); err != nil {
		return exit, fail(err, "start container of %s", s.Image)
	}
	if s.Started != nil {
		s.Started(id)
	}
	if s.Terminal != nil {
		ctx, cancel := context.WithCancel(outlast)
		defer cancel()
		go e.resize(ctx, id, s.Terminal.Resize)
	}
	exit.Code, exit.Stopped, err = e.wait(ctx, id, s.Grace)
	if err != nil {
		return exit, err
	}
	if s.Terminal == nil { // with one, what is still typed keeps the copying busy
		select {
		case err = <-copied:
		case <-time.After(farewell):
			err = errors.New("container: the output does not end")
		}
	}
	return exit, err
}

// start is not given up half-way: the command may be running before the engine says so, and is stopped as any other.
func (e *Engine) start(outlast context.Context, id string) error {
	ctx, cancel := context.WithTimeout(outlast, startTime)
	defer cancel()
	_, err := e.api.ContainerStart(ctx, id, client.ContainerStartOptions{})
	return err
}

func (e *Engine) create(ctx context.Context, s Spec) (string, error) {
	terminal := s.Terminal != nil
	config := &container.Config{
		Image: s.Image, Cmd: s.Argv, Env: s.Env, WorkingDir: s.Dir, User: s.User, Labels: s.Labels,
		AttachStdout: true, AttachStderr: true, AttachStdin: terminal, OpenStdin: terminal, StdinOnce: terminal, Tty: terminal,
		Entrypoint: s.Program,
	}
	host := &container.HostConfig{NetworkMode: container.NetworkMode(s.Network)}
	if s.HostNet {
		host.NetworkMode = "host"
	}
	confine(host, s)
	for _, b := range s.Binds {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: b.Host, Target: b.Place, ReadOnly: b.ReadOnly})
	}
	for place, name := range s.Volumes {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: name, Target: place})
	}
	made, err := e.api.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host})
	if err != nil {
		return "", fail(err, "create container of %s", s.Image)
	}
	return made.ID, nil
}

// put puts a file into a container that has not started.
func (e *Engine) put(ctx context.Context, id string, f File) (err error) {
	if f.Missing {
		_, err := e.api.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: f.Place})
		if err == nil {
			return nil
		}
		if !notFound(err) {
			return fail(err, "look for %s in container", f.Place)
		}
	}
	var content io.Reader = bytes.NewReader(f.Content)
	size := int64(len(f.Content))
	if f.From != "" {
		file, err := os.Open(f.From)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		content, size = file, info.Size()
	}
	read, write := io.Pipe()
	go func() {
		w := tar.NewWriter(write)
		err := parents(w, f.Place)
		if err == nil {
			err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Place[1:], Mode: f.Mode, Size: size})
		}
		if err == nil {
			_, err = io.Copy(w, content)
		}
		write.CloseWithError(errors.Join(err, w.Close()))
	}()
	defer func() { _ = read.Close() }() // it lets the writer end; it cannot fail
	if _, err := e.api.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: "/", Content: read}); err != nil {
		return fail(err, "put %s into container", f.Place)
	}
	for _, also := range f.Also {
		if err := e.put(ctx, id, also); err != nil {
			return err
		}
	}
	return nil
}

// parents writes the directories that a file lies in.
func parents(w *tar.Writer, place string) error {
	dir := path.Dir(place)
	if dir == "/" {
		return nil
	}
	if err := parents(w, dir); err != nil {
		return err
	}
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755})
}

// wait waits for the container's end; when ctx ends first it stops it.
func (e *Engine) wait(ctx context.Context, id string, grace time.Duration) (code int, stopped bool, err error) {
	outlast, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	waiting := e.api.ContainerWait(outlast, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case r := <-waiting.Result:
		return result(r, false)
	case err := <-waiting.Error:
		return 0, false, fail(err, "wait for container")
	case <-ctx.Done():
	}
	seconds := int(grace.Seconds())
	limit, done := context.WithTimeout(outlast, grace+farewell)
	defer done()
	if _, err := e.api.ContainerStop(limit, id, client.ContainerStopOptions{Timeout: &seconds}); err != nil {
		return 0, true, fail(err, "stop container")
	}
	select {
	case r := <-waiting.Result:
		return result(r, true)
	case err := <-waiting.Error:
		return 0, true, fail(err, "wait for container")
	case <-limit.Done():
		return 0, true, fmt.Errorf("container: it does not end: %w", limit.Err())
	}
}

func result(r container.WaitResponse, stopped bool) (int, bool, error) {
	if r.Error != nil && r.Error.Message != "" {
		return int(r.StatusCode), stopped, fmt.Errorf("container: %s", r.Error.Message)
	}
	return int(r.StatusCode), stopped, nil
}

// copyOutput copies until the container's output ends. Without a terminal the engine mixes the two streams,
// with marks between.
func copyOutput(s Spec, attached client.HijackedResponse) error {
	if s.Terminal == nil {
		_, err := stdcopy.StdCopy(s.Output, s.Output, attached.Reader)
		return err
	}
	go func() {
		_, _ = io.Copy(attached.Conn, s.Terminal.In) // ends with the container
		_ = attached.CloseWrite()
	}()
	_, err := io.Copy(s.Terminal.Out, attached.Reader)
	return err
}

// resize passes the terminal's size on.
func (e *Engine) resize(ctx context.Context, id string, sizes <-chan [2]uint) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			// A size that does not arrive spoils the picture, not the work.
			_, _ = e.api.ContainerResize(ctx, id, client.ContainerResizeOptions{Height: size[0], Width: size[1]})
		}
	}
}
