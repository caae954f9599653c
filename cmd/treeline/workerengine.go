package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/cgroup"
	"github.com/treeline-ci/treeline/workers/engine/container"
	"github.com/treeline-ci/treeline/workers/engine/process"
	"github.com/treeline-ci/treeline/workers/feature/trust"
)

// confinement is the flags about what tasks run in.
type confinement struct {
	engine, image, network, key string
	taskKeys                    []string
	noGroups, setuid            bool
}

func (o *confinement) flags(cmd *cobra.Command, c *workers.Config) {
	f := cmd.Flags()
	f.StringVar(&o.engine, "engine", "process", "what tasks run in: process (this machine) or container (Docker, Podman)")
	f.StringVar(&o.image, "image", "", "image of tasks that name none, with --engine container")
	f.StringVar(&o.network, "network", "", "network that all containers share, as host or none (default: each task has one of its own)")
	f.Uint32Var(&c.TaskUsers, "task-users", 0, "run each task as a user of its own: the number of the first of --capacity users (root only)")
	f.BoolVar(&o.setuid, "allow-setuid", false, "let tasks become other users by sudo and its like")
	f.BoolVar(&o.noGroups, "no-cgroups", false, "do not use control groups")
	f.Var((*byteSize)(&c.Limits.Memory), "memory", "memory of one task, as 4G (default no limit)")
	f.IntVar(&c.Limits.PIDs, "pids", 0, "processes and threads of one task (0: no limit)")
	f.Float64Var(&c.Limits.CPUs, "cpus", 0, "processors of one task, as 1.5 (0: no limit)")
	f.Var((*byteSize)(&c.Limits.FileSize), "max-file-size", "bytes of one file that a task writes, as 10G (default no limit)")
	f.Var((*byteSize)(&c.MinFree), "min-free", "disk that stays free: caches are dropped and tasks stopped for it, as 2G (default nobody looks)")
	f.Var((*byteSize)(&c.CacheBudget), "cache-budget", "disk for caches between tasks, as 20G (default no limit)")
	f.Var((*byteSize)(&c.ImageBudget), "image-budget", "disk for images that tasks made, as 20G (default no limit)")
	f.BoolVar(&c.ImageDigests, "require-image-digest", false, "refuse images that are named without a digest")
	f.BoolVar(&c.AllowPrivileged, "allow-privileged", false, "allow privileged containers to tasks with the scope for them")
	f.BoolVar(&c.SignTasks, "sign-tasks", false, "sign, with --signing-key, the definitions of tasks that tasks create through their proxy: for decision tasks")
	f.StringArrayVar(&o.taskKeys, "task-key", nil, "run only tasks whose definitions this public key signed, or one of those in a file (repeatable)")
	f.StringVar(&o.key, "signing-key", "", "file with the key that signs certificates of artifacts (treeline cot new-key)")
}

// apply makes the engine. The returned function gives it back.
func (o *confinement) apply(ctx context.Context, c *workers.Config) (closeEngine func() error, err error) {
	if o.key != "" {
		if c.SigningKey, err = trust.ReadKey(o.key); err != nil {
			return nil, err
		}
	}
	for _, text := range o.taskKeys {
		more, err := publicKeys(text)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return nil, fault.New(fault.BadArguments, "--task-key: %s holds no key", text)
		}
		c.TaskKeys = append(c.TaskKeys, more...)
	}
	name := agentName(c.Dir)
	switch o.engine {
	case "container":
		if runtime.GOOS == "windows" {
			return nil, fault.New(fault.BadArguments, "containers cannot be had on Windows: --engine process runs tasks on the machine itself")
		}
		e, err := container.Connect(ctx)
		if err != nil {
			return nil, err
		}
		c.Engine = container.NewRunner(e, container.Options{Agent: name, Image: o.image, Network: o.network, Log: c.Log})
	case "process":
		var groups *cgroup.Root
		if !o.noGroups {
			groups, err = cgroup.Open("treeline-" + name)
			if errors.Is(err, fault.Unavailable) && (c.Limits.Memory > 0 || c.Limits.CPUs > 0) {
				return nil, fmt.Errorf("limits of memory and processors: %w", err)
			} else if errors.Is(err, fault.Unavailable) {
				c.Log.Info("tasks get no control groups; their processes are found by their directory and user", "reason", err)
				groups = nil
			} else if err != nil {
				return nil, err
			}
		}
		c.Engine = process.New(process.Options{Groups: groups, AllowSetuid: o.setuid, Log: c.Log})
	default:
		return nil, fault.New(fault.BadArguments, "there is no engine %q: choose process or container", o.engine)
	}
	return c.Engine.Close, nil
}

var _ engine.Engine = (*container.Runner)(nil)

// agentName names the worker that uses a directory, on this machine.
func agentName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:6])
}

// byteSize is a number of bytes as people write it: 512M, 4G.
type byteSize int64

// String writes it in the largest unit that keeps it whole.
func (s *byteSize) String() string {
	n := int64(*s)
	for _, unit := range []struct {
		letter string
		bytes  int64
	}{{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if n != 0 && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.letter
		}
	}
	return strconv.FormatInt(n, 10)
}

// Set reads it.
func (s *byteSize) Set(text string) error {
	digits := strings.TrimRight(strings.ToUpper(strings.TrimSpace(text)), "IB")
	factor := 1.0
	if i := strings.IndexAny(digits, "KMGT"); i >= 0 && i == len(digits)-1 {
		factor = math.Pow(1024, float64(1+strings.IndexByte("KMGT", digits[i])))
		digits = digits[:i]
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 || n*factor > 1<<60 {
		return fmt.Errorf("%q is no size: write a number with K, M, G or T", text)
	}
	*s = byteSize(n * factor)
	return nil
}

// Type is the word for it in help texts.
func (s *byteSize) Type() string { return "size" }
