// Package mounts puts files, unpacked archives and caches into a run's directory before its
// commands run, and keeps the caches for later runs (taskcluster-map 16.2, mounts).
package mounts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/payload"
	"github.com/treeline-ci/treeline/workers/scratch"
)

// cacheScope is what a task needs to mount a cache (taskcluster-map 16.3).
const cacheScope = "generic-worker:cache:"

// Env is what mounting a run's wishes needs.
type Env struct {
	Dir    *scratch.Dir
	Client *client.Client // with the task's credentials
	Task   task.Definition
	TaskID string
	Say    func(format string, args ...any) // to the task's log
	User   *engine.User                     // owner of what is mounted; nil: the worker's own

	// Purges asks which caches of the worker's pool are to be dropped; nil when nobody can be asked.
	Purges func(ctx context.Context) ([]client.PurgeRequest, error)
}

// Mounted are the mounts of one run.
type Mounted struct {
	caches *Caches
	held   []*held
}

// Mount does the payload's mounts in order. An error of kind Invalid or Forbidden is the task's
// own (malformed-payload), any other one a lack of resources. Release must be called in any case.
func (c *Caches) Mount(ctx context.Context, env Env, list []payload.Mount) (*Mounted, error) {
	m := &Mounted{caches: c}
	if err := authorize(ctx, env, list); err != nil {
		return m, err
	}
	purges, err := ask(ctx, env, list)
	if err != nil {
		return m, err
	}
	for i, want := range list {
		if err := m.mount(ctx, env, want, purges.of(want.CacheName)); err != nil {
			return m, fmt.Errorf("mount %d (%s%s): %w", i, want.File, want.Directory, err)
		}
	}
	return m, nil
}

// authorize checks the scopes for caches and that artifacts come from dependencies.
func authorize(ctx context.Context, env Env, wishes []payload.Mount) error {
	var need []scope.Expr
	for _, wish := range wishes {
		if wish.CacheName != "" {
			need = append(need, scope.String(cmp.Or(wish.Scope, cacheScope+wish.CacheName)))
		}
		if c := wish.Content; c != nil && c.TaskID != "" && !slices.Contains(env.Task.Dependencies, c.TaskID) {
			return fault.New(fault.Invalid, "an artifact of task %s is mounted, so that task must be in dependencies", c.TaskID)
		}
	}
	want := scope.AllOf(need...)
	if scope.Satisfies(env.Task.Scopes, want) {
		return nil
	}
	expanded, err := Expanded(ctx, env.Client, env.Task.Scopes)
	if err != nil {
		return err
	}
	return scope.Check("task "+env.TaskID, false, expanded, want)
}

// Expanded is a task's scopes with those of its roles. Of a server that keeps its roles to itself, only what is
// written counts.
func Expanded(ctx context.Context, c *client.Client, scopes []string) ([]string, error) {
	expanded, err := c.ExpandScopes(ctx, scopes)
	if errors.Is(err, fault.Forbidden) {
		return scopes, nil
	}
	if err != nil {
		return nil, fmt.Errorf("expand the task's scopes: %w", err)
	}
	return expanded, nil
}

func (m *Mounted) mount(ctx context.Context, env Env, want payload.Mount, purge wish) error {
	if want.CacheName != "" {
		h, err := m.caches.take(env, want.CacheName, want.Directory, purge)
		if err != nil {
			return err
		}
		if err := env.Dir.MoveIn(h.path, want.Directory); err != nil {
			return errors.Join(fmt.Errorf("cache %s: %w", want.CacheName, err), m.caches.giveBack(h, false))
		}
		m.held = append(m.held, h)
		env.Say("Mounted cache %s (%s) at %s", want.CacheName, h.age(), want.Directory)
		if !h.fresh || want.Content == nil {
			return nil
		}
		h.unfilled = true
		err = m.fill(ctx, env, want)
		h.unfilled = err != nil
		return err
	}
	return m.fill(ctx, env, want)
}

// fill puts content in its place.
func (m *Mounted) fill(ctx context.Context, env Env, want payload.Mount) error {
	file, err := fetch(ctx, env, want.Content)
	if err != nil {
		return err
	}
	defer file.Close()
	if want.File == "" {
		if err := env.Dir.MakeAll(want.Directory); err != nil {
			return err
		}
		if err := unpack(env.Dir, file, want.Format, want.Directory); err != nil {
			return fault.Wrap(fault.Invalid, err, "unpack as %s", want.Format)
		}
		env.Say("Unpacked %s into %s", source(want.Content), want.Directory)
		return nil
	}
	content, err := decompress(file, want.Format)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "decompress as %s", want.Format)
	}
	if err := env.Dir.WriteFile(want.File, 0o644, content, maxContent); err != nil {
		return fault.Wrap(fault.Invalid, err, "write")
	}
	env.Say("Mounted %s as %s", source(want.Content), want.File)
	return nil
}

// Release takes the caches out again: they are kept for later runs unless purge is set. Nothing of
// the task may run any more.
func (m *Mounted) Release(dir *scratch.Dir, purge bool) error {
	var problems []error
	for _, h := range slices.Backward(m.held) {
		drop := purge || h.unfilled
		if !h.bound {
			if err := dir.MoveOut(h.directory, h.path); err != nil {
				problems = append(problems, fmt.Errorf("mounts: cache %s is dropped: %w", h.name, err))
				drop = true
			}
		}
		problems = append(problems, m.caches.giveBack(h, drop))
	}
	m.held = nil
	return errors.Join(problems...)
}

// fetch brings the content into a file of its own that only the worker reads, at its beginning.
func fetch(ctx context.Context, env Env, c *payload.Content) (*os.File, error) {
	file, err := os.CreateTemp(env.Dir.Private("."), "mount-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil { // the open file is enough
		return nil, errors.Join(err, file.Close())
	}
	if err := fill(ctx, env, c, file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func fill(ctx context.Context, env Env, c *payload.Content, file *os.File) error {
	switch {
	case c.Raw != nil:
		_, err := file.WriteString(*c.Raw)
		return err
	case c.Base64 != nil:
		_, err := io.Copy(file, base64.NewDecoder(base64.StdEncoding, bytes.NewReader([]byte(*c.Base64))))
		return fault.Wrap(fault.Invalid, err, "content.base64 cannot be decoded")
	case c.URL != "":
		_, err := env.Client.Fetch(ctx, c.URL, c.SHA256, file)
		return err
	}
	taskID := c.TaskID
	if taskID == "" {
		found, err := env.Client.FindTask(ctx, c.Namespace)
		if err != nil {
			return err
		}
		taskID = found.TaskID
	}
	out, err := env.Client.DownloadArtifact(ctx, client.Download{TaskID: taskID, RunID: client.LatestRun, Name: c.Artifact}, file)
	if err == nil && c.SHA256 != "" && out.SHA256 != c.SHA256 {
		return fault.New(fault.Invalid, "artifact %s has sha256 %s, the payload says %s", c.Artifact, out.SHA256, c.SHA256)
	}
	return err
}

// source describes content for the log, without a URL's query, which may be a secret.
func source(c *payload.Content) string {
	switch {
	case c.Raw != nil, c.Base64 != nil:
		return "the payload's content"
	case c.URL != "":
		address, _, _ := strings.Cut(c.URL, "?")
		return address
	}
	return "artifact " + c.Artifact + " of " + c.TaskID + c.Namespace
}
