// Package container runs commands in containers and makes their images, through the Docker Engine API: the
// engine is Docker or Podman, wherever its socket is. It starts no program of its own.
package container

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Engine is a running Docker or Podman. It may be used by several goroutines.
type Engine struct {
	api  *client.Client
	host string
	name string
}

// hosts are where engines listen when nobody said otherwise.
func hosts() []string {
	list := []string{"/var/run/docker.sock", "/run/podman/podman.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		list = append(list, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman", "podman.sock"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		list = append(list, filepath.Join(home, ".docker", "run", "docker.sock"))
	}
	return list
}

// Connect finds the engine: at DOCKER_HOST (with DOCKER_TLS_VERIFY and DOCKER_CERT_PATH), or CONTAINER_HOST,
// as the clients of Docker and Podman do, else at the usual sockets. Close gives the connection back.
func Connect(ctx context.Context) (*Engine, error) {
	if os.Getenv("DOCKER_HOST") != "" {
		return connect(ctx, os.Getenv("DOCKER_HOST"), client.FromEnv)
	}
	if host := os.Getenv("CONTAINER_HOST"); host != "" {
		return connect(ctx, host, client.WithHost(host))
	}
	var problems []error
	for _, socket := range hosts() {
		if _, err := os.Stat(socket); err != nil {
			continue
		}
		e, err := connect(ctx, "unix://"+socket, client.WithHost("unix://"+socket))
		if err == nil {
			return e, nil
		}
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return nil, fault.New(fault.Unavailable, "no container engine answers: start Docker, or Podman with "+
		"\"podman system service --time=0 unix:///tmp/podman.sock\", and set DOCKER_HOST to its socket")
}

func connect(ctx context.Context, host string, option client.Opt) (*Engine, error) {
	if u, err := url.Parse(host); err == nil && u.Scheme == "ssh" {
		return nil, fault.New(fault.Invalid, "the container engine at %s is behind ssh: forward its socket (ssh -L) and name that", u.Host)
	}
	api, err := client.New(option)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the container engine at %s", host)
	}
	e := &Engine{api: api, host: host}
	version, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "the container engine at %s does not answer: %v", host, err), api.Close())
	}
	e.name = "Docker " + version.Version
	for _, c := range version.Components {
		if strings.HasPrefix(c.Name, "Podman") {
			e.name = "Podman " + c.Version
		}
	}
	return e, nil
}

// Name is what the engine is, with its version.
func (e *Engine) Name() string { return e.name }

// Host is where the engine listens.
func (e *Engine) Host() string { return e.host }

// Close closes idle connections.
func (e *Engine) Close() error { return e.api.Close() }

// fail says what was tried; an engine's answers of not found keep that meaning.
func fail(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if notFound(err) {
		return fault.Wrap(fault.NotFound, err, "%s: %v", what, err)
	}
	return fmt.Errorf("container: %s: %w", what, err)
}

func notFound(err error) bool { return errdefs.IsNotFound(err) }
