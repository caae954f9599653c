// Package container is the provider of workers in containers, through the API that Docker and Podman answer.
// A container is named after its launch, so the daemon itself keeps a launch from being done twice; its labels
// say whose it is.
package container

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools/provider"
)

const (
	group = "containers"

	labelKey  = "org.treeline.launch"
	labelRoot = "org.treeline.root-url"
	labelPool = "org.treeline.worker-pool"

	// registerPath is where the container finds what to register with.
	registerPath = "/treeline-register.json"
	// stopGrace is how long a worker that is stopped may end by itself.
	stopGrace = 3 * time.Minute
)

// Config says which daemon, and what launch configs may ask of it.
type Config struct {
	Type       string   `yaml:"type"`
	Host       string   `yaml:"host"`       // such as unix:///run/docker.sock; DOCKER_HOST or Docker's own when empty
	AllowBinds []string `yaml:"allowBinds"` // directories of the host below which launch configs may mount; none when empty
	RootURL    string   `yaml:"rootUrl"`    // where containers reach the server, when not at its root URL

	Secret []byte `yaml:"-"` // proofs of identity are made with it
	Server string `yaml:"-"` // root URL of the server: containers of another are not ours
}

// Provider runs workers in containers. It is safe for concurrent use.
type Provider struct {
	Config
	connect func() (*client.Client, error)

	mu      sync.Mutex
	stopped map[string]time.Time // when each was asked to end first
}

// New returns a provider. The daemon is not asked before it is needed.
func New(c Config) (*Provider, error) {
	if len(c.Secret) == 0 || c.Server == "" {
		return nil, fault.New(fault.Invalid, "container: secret and server are missing")
	}
	for _, dir := range c.AllowBinds {
		if !path.IsAbs(dir) || path.Clean(dir) != dir {
			return nil, fault.New(fault.Invalid, "allowBinds: %q is no plain absolute path", dir)
		}
	}
	options := client.FromEnv
	if c.Host != "" {
		options = client.WithHost(c.Host)
	}
	return &Provider{Config: c, connect: sync.OnceValues(func() (*client.Client, error) { return client.New(options) }), stopped: map[string]time.Time{}}, nil
}

// Type implements provider.Provider.
func (p *Provider) Type() string { return "container" }

// launchConfig is what a launch config says.
type launchConfig struct {
	Image   string            `json:"image"`
	Command []string          `json:"command"`
	Env     map[string]string `json:"env"`
	Binds   []string          `json:"binds"`
	Memory  int64             `json:"memory"`
	CPUs    float64           `json:"cpus"`
	Pids    int64             `json:"pids"`
	Network string            `json:"network"`
}

// Check implements provider.Provider: directories of the host are mounted only where the operator of the
// server allows it.
func (p *Provider) Check(config json.RawMessage) error {
	var c struct {
		LaunchConfigs []launchConfig `json:"launchConfigs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return fault.New(fault.BadInput, "The config cannot be used: %v.", err)
	}
	for i, l := range c.LaunchConfigs {
		if err := p.allowed(&l); err != nil {
			return fault.New(fault.BadInput, "config.launchConfigs.%d: %v", i, err)
		}
	}
	return nil
}

func (p *Provider) allowed(l *launchConfig) error {
	for _, bind := range l.Binds {
		from, _, _ := strings.Cut(bind, ":")
		clean := path.Clean(from)
		if clean != from || !slices.ContainsFunc(p.AllowBinds, func(dir string) bool {
			return clean == dir || strings.HasPrefix(clean, strings.TrimSuffix(dir, "/")+"/")
		}) {
			return fault.New(fault.BadInput, "the provider does not allow to mount %s", from)
		}
	}
	return nil
}

// Verify implements provider.Provider.
func (p *Provider) Verify(_ context.Context, i provider.Instance, proof provider.Proof) error {
	return provider.VerifyToken(p.Secret, i.Key, proof.Content)
}

func name(key string) string { return "treeline-" + key }

// Launch implements provider.Scaler. Each of its steps can be done again.
func (p *Provider) Launch(ctx context.Context, l provider.Launch) (provider.Instance, error) {
	var config launchConfig
	if err := json.Unmarshal(l.Config, &config); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	if err := p.allowed(&config); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	api, err := p.connect()
	if err != nil {
		return provider.Instance{}, fmt.Errorf("container: %w", err)
	}
	instance := provider.Instance{Group: group, ID: l.Key, Key: l.Key}
	if err := p.create(ctx, api, l, config); err != nil {
		return provider.Instance{}, err
	}
	found, err := api.ContainerInspect(ctx, name(l.Key), client.ContainerInspectOptions{})
	if err != nil {
		return provider.Instance{}, fmt.Errorf("container: look at %s: %w", name(l.Key), err)
	}
	if s := found.Container.State; s == nil || s.Status != container.StateCreated && s.Status != "configured" && s.Status != "initialized" {
		return instance, nil // it runs, or has ended already
	}
	registration, err := p.registration(l)
	if err != nil {
		return provider.Instance{}, err
	}
	if _, err := api.CopyToContainer(ctx, name(l.Key), client.CopyToContainerOptions{DestinationPath: "/", Content: registration}); err != nil {
		return provider.Instance{}, fmt.Errorf("container: give %s its registration: %w", name(l.Key), err)
	}
	if _, err := api.ContainerStart(ctx, name(l.Key), client.ContainerStartOptions{}); err != nil {
		_, gone := api.ContainerRemove(ctx, name(l.Key), client.ContainerRemoveOptions{Force: true})
		return provider.Instance{}, errors.Join(kind(fmt.Errorf("container: start %s: %w", name(l.Key), err)), gone)
	}
	return instance, nil
}

// kind marks errors that are the launch config's.
func kind(err error) error {
	if errdefs.IsInvalidArgument(err) || errdefs.IsNotFound(err) || errdefs.IsPermissionDenied(err) {
		return errors.Join(provider.ErrRefused, err)
	}
	return err
}

// create makes the container unless it is there, and its image before that.
func (p *Provider) create(ctx context.Context, api *client.Client, l provider.Launch, c launchConfig) error {
	_, err := api.ImageInspect(ctx, c.Image)
	if errdefs.IsNotFound(err) {
		err = pull(ctx, api, c.Image)
	}
	if err != nil {
		return kind(fmt.Errorf("container: image %s: %w", c.Image, err))
	}
	env := []string{"TREELINE_REGISTER=" + registerPath, "TASKCLUSTER_ROOT_URL=" + p.reach(l)}
	for name, value := range c.Env {
		env = append(env, name+"="+value)
	}
	host := &container.HostConfig{
		Binds: c.Binds, NetworkMode: container.NetworkMode(c.Network),
		Resources: container.Resources{Memory: c.Memory, NanoCPUs: int64(c.CPUs * 1e9)},
	}
	if c.Pids > 0 {
		host.PidsLimit = &c.Pids
	}
	_, err = api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name(l.Key), HostConfig: host,
		Config: &container.Config{
			Image: c.Image, Cmd: c.Command, Env: env,
			Labels: map[string]string{labelKey: l.Key, labelRoot: p.Server, labelPool: l.WorkerPoolID},
		},
	})
	if err != nil && !errdefs.IsConflict(err) && !strings.Contains(err.Error(), "already in use") {
		return kind(fmt.Errorf("container: create %s: %w", name(l.Key), err))
	}
	return nil
}

func pull(ctx context.Context, api *client.Client, image string) error {
	answer, err := api.ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return errors.Join(answer.Wait(ctx), answer.Close())
}

func (p *Provider) reach(l provider.Launch) string {
	if p.RootURL != "" {
		return p.RootURL
	}
	return l.RootURL
}

// registration is an archive with the file that the worker registers with.
func (p *Provider) registration(l provider.Launch) (*bytes.Buffer, error) {
	content, err := json.Marshal(provider.Registration{
		RootURL: p.reach(l), ProviderID: l.ProviderID, WorkerPoolID: l.WorkerPoolID, WorkerGroup: group, WorkerID: l.Key, Proof: provider.TokenProof(p.Secret, l.Key),
	})
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err = w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(registerPath, "/"), Mode: 0o600, Size: int64(len(content))})
	if err == nil {
		_, err = w.Write(content)
	}
	return &out, errors.Join(err, w.Close())
}

// Look implements provider.Scaler. Containers that have ended are removed.
func (p *Provider) Look(ctx context.Context, list []provider.Instance) ([]provider.Health, error) {
	found, err := p.containers(ctx)
	if err != nil {
		return nil, err
	}
	byKey := map[string]container.Summary{}
	for _, c := range found {
		byKey[c.Labels[labelKey]] = c
	}
	out := make([]provider.Health, len(list))
	for i, x := range list {
		c, there := byKey[x.Key]
		switch {
		case !there:
		case c.State == container.StateExited || c.State == container.StateDead || c.State == "stopped":
			if err := p.remove(ctx, c.ID); err != nil {
				return nil, err
			}
		case c.State == container.StateRunning:
			out[i] = provider.Running
		default:
			out[i] = provider.Starting
		}
		if out[i] == provider.Gone {
			p.mu.Lock()
			delete(p.stopped, x.Key)
			p.mu.Unlock()
		}
	}
	return out, nil
}

func (p *Provider) remove(ctx context.Context, id string) error {
	api, err := p.connect()
	if err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if _, err := api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("container: remove: %w", err)
	}
	return nil
}

// containers are this server's.
func (p *Provider) containers(ctx context.Context) ([]container.Summary, error) {
	api, err := p.connect()
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labelRoot+"="+p.Server)})
	if err != nil {
		return nil, fmt.Errorf("container: list: %w", err)
	}
	return list.Items, nil
}

// Stop implements provider.Scaler: it asks the worker to end, and after a while ends it.
func (p *Provider) Stop(ctx context.Context, i provider.Instance) error {
	api, err := p.connect()
	if err != nil {
		return fmt.Errorf("container: %w", err)
	}
	p.mu.Lock()
	since, again := p.stopped[i.Key]
	if !again {
		p.stopped[i.Key] = time.Now()
	}
	p.mu.Unlock()
	if again && time.Since(since) > stopGrace {
		return p.remove(ctx, name(i.Key))
	}
	_, err = api.ContainerKill(ctx, name(i.Key), client.ContainerKillOptions{Signal: "SIGTERM"})
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	// One that does not run cannot be asked.
	if found, look := api.ContainerInspect(ctx, name(i.Key), client.ContainerInspectOptions{}); look == nil && found.Container.State != nil && !found.Container.State.Running {
		return p.remove(ctx, name(i.Key))
	}
	return fmt.Errorf("container: stop %s: %w", name(i.Key), err)
}

// List implements provider.Scaler.
func (p *Provider) List(ctx context.Context, _ []json.RawMessage) ([]provider.Found, error) {
	list, err := p.containers(ctx)
	if err != nil {
		return nil, err
	}
	var found []provider.Found
	for _, c := range list {
		key := c.Labels[labelKey]
		if key == "" || c.State == container.StateExited || c.State == container.StateDead {
			continue
		}
		found = append(found, provider.Found{Instance: provider.Instance{Group: group, ID: key, Key: key}, Created: time.Unix(c.Created, 0)})
	}
	return found, nil
}
