// Package local is the provider of workers on this machine: each is a process `treeline worker run`, in a
// process group of its own and with a directory of its own below that of the provider. They outlive the
// server: what is known of a worker stands in its directory, and a server that comes back finds it there.
//
// A provider of this type serves the server that launches: where there are several, each has a provider of
// another name, or only one has any.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/task"
)

// Group is the worker group of all local workers.
const Group = "local"

const (
	// stopGrace is how long a worker that is stopped may end by itself: the grace of its tasks and some more.
	stopGrace = 3 * time.Minute
	keptLogs  = 50

	pidFile      = "pid"
	stopFile     = "stopping"
	registerFile = "register.json"
	logFile      = "worker.log"
	endedDir     = "ended"
)

// Config says where workers run, and how.
type Config struct {
	Type    string            `yaml:"type"`
	Dir     string            `yaml:"dir"`     // for the workers; made when it is not there
	Args    []string          `yaml:"args"`    // for every worker, such as --task-users 61000
	Env     map[string]string `yaml:"env"`     // for every worker, besides PassEnv
	PassEnv []string          `yaml:"passEnv"` // of this process's environment

	Program string `yaml:"program"` // the treeline program; the server's own when empty
	Secret  []byte `yaml:"-"`       // proofs of identity are made with it
}

// Provider runs workers. It is safe for concurrent use.
type Provider struct {
	Config
	log *slog.Logger
	mu  sync.Mutex // one launch, one end at a time
}

// New returns a provider.
func New(c Config, log *slog.Logger) (*Provider, error) {
	if c.Dir == "" {
		return nil, fault.New(fault.Invalid, "dir is missing: the directory for the workers")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	c.Dir = dir
	if len(c.Secret) == 0 || c.Program == "" {
		return nil, fault.New(fault.Invalid, "local: program and secret are missing")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Provider{Config: c, log: log}, nil
}

// Type implements provider.Provider.
func (p *Provider) Type() string { return "local" }

// Check implements provider.Provider.
func (p *Provider) Check(json.RawMessage) error { return nil }

// Verify implements provider.Provider.
func (p *Provider) Verify(_ context.Context, i provider.Instance, proof provider.Proof) error {
	return provider.VerifyToken(p.Secret, i.Key, proof.Content)
}

func (p *Provider) home(key string) (string, error) {
	if !task.IsIdentifier(key) {
		return "", fault.New(fault.Invalid, "local: %q is no key of a launch", key)
	}
	return filepath.Join(p.Dir, key), nil
}

// launchConfig is what a launch config says.
type launchConfig struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
}

// Launch implements provider.Scaler. The process is started once a key: its number is written down before
// anything else is done with it, and a key whose directory has one is not started again.
func (p *Provider) Launch(ctx context.Context, l provider.Launch) (provider.Instance, error) {
	home, err := p.home(l.Key)
	if err != nil {
		return provider.Instance{}, err
	}
	var config launchConfig
	if err := json.Unmarshal(l.Config, &config); err != nil {
		return provider.Instance{}, errors.Join(provider.ErrRefused, err)
	}
	instance := provider.Instance{Group: Group, ID: l.Key, Key: l.Key}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := os.Stat(filepath.Join(home, pidFile)); err == nil {
		return instance, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return provider.Instance{}, fmt.Errorf("local: %w", err)
	}
	registration, err := json.Marshal(provider.Registration{
		RootURL: l.RootURL, ProviderID: l.ProviderID, WorkerPoolID: l.WorkerPoolID, WorkerGroup: Group, WorkerID: l.Key, Proof: provider.TokenProof(p.Secret, l.Key),
	})
	if err != nil {
		return provider.Instance{}, fmt.Errorf("local: %w", err)
	}
	if err := os.WriteFile(filepath.Join(home, registerFile), registration, 0o600); err != nil {
		return provider.Instance{}, fmt.Errorf("local: %w", err)
	}
	return instance, p.start(ctx, home, l.Capacity, config)
}

func (p *Provider) start(ctx context.Context, home string, capacity int, config launchConfig) error {
	log, err := os.OpenFile(filepath.Join(home, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("local: %w", err)
	}
	defer log.Close()
	args := []string{"worker", "run", "--register", filepath.Join(home, registerFile), "--dir", filepath.Join(home, "work"), "--capacity", strconv.Itoa(capacity)}
	// Not of this call's context: the worker lives on.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.Program, slices.Concat(args, p.Args, config.Args)...)
	cmd.Env = p.environment(config.Env)
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, log, log
	cmd.SysProcAttr = sys.Session()
	if err := cmd.Start(); err != nil {
		return errors.Join(provider.ErrRefused, fmt.Errorf("local: start a worker: %w", err))
	}
	go func() {
		err := cmd.Wait()
		p.log.Debug("a local worker has ended", "worker", filepath.Base(home), "err", err)
	}()
	began, err := sys.Began(cmd.Process.Pid)
	if err == nil {
		err = writeWhole(filepath.Join(home, pidFile), strconv.Itoa(cmd.Process.Pid)+" "+began)
	}
	if err != nil {
		// Without its number it would be lost.
		return errors.Join(fmt.Errorf("local: note a worker's process: %w", err), sys.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	}
	return nil
}

// environment is what a worker has of it: nothing of the server's that is not named.
func (p *Provider) environment(more map[string]string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8"}
	for _, name := range p.PassEnv {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, set := range []map[string]string{p.Env, more} {
		for name, value := range set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Look implements provider.Scaler.
func (p *Provider) Look(_ context.Context, list []provider.Instance) ([]provider.Health, error) {
	out := make([]provider.Health, len(list))
	for i, x := range list {
		home, err := p.home(x.Key)
		if err != nil {
			return nil, err
		}
		alive, err := p.alive(home)
		switch {
		case err != nil:
			return nil, err
		case alive != 0:
			out[i] = provider.Running
		default:
			p.tidy(home)
		}
	}
	return out, nil
}

// alive is the number of a worker's process, 0 when it has ended.
func (p *Provider) alive(home string) (int, error) {
	text, err := os.ReadFile(filepath.Join(home, pidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("local: %w", err)
	}
	var pid int
	var began string
	if _, err := fmt.Sscan(string(text), &pid, &began); err != nil || pid <= 1 {
		return 0, fault.New(fault.Internal, "local: %s is damaged", filepath.Join(home, pidFile))
	}
	// Another process may have the number by now.
	now, err := sys.Began(pid)
	if err != nil || now != began {
		return 0, nil
	}
	return pid, nil
}

// tidy removes what an ended worker left; its log is kept for a while.
func (p *Provider) tidy(home string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ended := filepath.Join(p.Dir, endedDir)
	err := os.MkdirAll(ended, 0o700)
	if err == nil {
		err = os.Rename(filepath.Join(home, logFile), filepath.Join(ended, filepath.Base(home)+".log"))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("the log of a worker cannot be kept", "worker", filepath.Base(home), "err", err)
	}
	if err := os.RemoveAll(home); err != nil {
		p.log.Warn("what a worker left cannot be removed", "worker", filepath.Base(home), "err", err)
	}
	p.prune(ended)
}

// prune keeps the newest logs.
func (p *Provider) prune(ended string) {
	entries, err := os.ReadDir(ended)
	if err != nil || len(entries) <= keptLogs {
		return
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return modified(b).Compare(modified(a)) })
	for _, e := range entries[keptLogs:] {
		if err := os.Remove(filepath.Join(ended, e.Name())); err != nil {
			p.log.Warn("an old log cannot be removed", "log", e.Name(), "err", err)
		}
	}
}

func modified(e fs.DirEntry) time.Time {
	info, err := e.Info()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Stop implements provider.Scaler: it asks the worker to end, and after a while ends it.
func (p *Provider) Stop(_ context.Context, i provider.Instance) error {
	home, err := p.home(i.Key)
	if err != nil {
		return err
	}
	pid, err := p.alive(home)
	if err != nil || pid == 0 {
		return err
	}
	mark := filepath.Join(home, stopFile)
	info, err := os.Stat(mark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return fmt.Errorf("local: %w", err)
		}
		return gone(sys.Kill(pid, syscall.SIGTERM))
	case err != nil:
		return fmt.Errorf("local: %w", err)
	case time.Since(info.ModTime()) > stopGrace:
		return gone(sys.Kill(-pid, syscall.SIGKILL))
	}
	return nil
}

// gone makes no error of a process that has just ended.
func gone(err error) error {
	if err == nil || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("local: stop a worker: %w", err)
}

// List implements provider.Scaler.
func (p *Provider) List(context.Context, []json.RawMessage) ([]provider.Found, error) {
	entries, err := os.ReadDir(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	var found []provider.Found
	for _, e := range entries {
		if !e.IsDir() || e.Name() == endedDir || !task.IsIdentifier(e.Name()) {
			continue
		}
		if pid, err := p.alive(filepath.Join(p.Dir, e.Name())); err != nil || pid == 0 {
			continue
		}
		found = append(found, provider.Found{Instance: provider.Instance{Group: Group, ID: e.Name(), Key: e.Name()}, Created: modified(e)})
	}
	return found, nil
}
