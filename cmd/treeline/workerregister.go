package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/enroll"
)

// registerSetting names the file of --register where the flag is not given.
const registerSetting = "TREELINE_REGISTER"

// admit gives a worker its client: with the credentials of the environment, or, given a registration, with
// those that worker-manager hands out and renews. leave is to be called when the worker has ended.
func admit(ctx context.Context, path string, cloud enroll.Metadata, c *workers.Config) (leave func(), err error) {
	path = cmp.Or(path, os.Getenv(registerSetting))
	if path == "" {
		c.Client, err = client.FromEnv(c.Log)
		return func() {}, err
	}
	file, err := registration(ctx, path, cloud)
	if err != nil {
		return nil, err
	}
	w, err := enroll.Register(ctx, file, c.Log)
	if err != nil {
		return nil, err
	}
	byHand := strings.Contains(string(file.Proof), "staticSecret")
	if !byHand && !enroll.IsCloud(path) {
		// It is good for one registration, and tasks need not find it.
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the registration: %w", err)
		}
	}
	c.Client, c.TaskQueueID, c.WorkerGroup, c.WorkerID = w.Client(), file.WorkerPoolID, file.WorkerGroup, file.WorkerID
	c.Capacity = max(c.Capacity, w.Config.Capacity)
	if w.Config.IdleTimeout > 0 {
		c.MaxIdle = time.Duration(w.Config.IdleTimeout) * time.Second
	}
	if !byHand && c.MaxIdle == 0 {
		c.MaxIdle = defaultIdle
	}
	c.MayEnd = w.MayEnd
	keeping, end := context.WithCancel(ctx)
	go w.Keep(keeping)
	return func() {
		end()
		if !byHand {
			w.Leave(ctx)
		}
	}, nil
}

// registration is in a file, or is what the cloud tells this machine.
func registration(ctx context.Context, path string, cloud enroll.Metadata) (enroll.File, error) {
	if enroll.IsCloud(path) {
		return cloud.Describe(ctx, path)
	}
	return enroll.Read(path)
}

// defaultIdle is how long a worker that a provider launched is without work before it asks whether to end.
const defaultIdle = time.Minute
