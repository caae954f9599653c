package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/admin/plan"
	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Conflict is a resource that somebody changed between the reading and the writing.
type Conflict struct{ Key resource.Key }

// Error names it and says what to do.
func (c *Conflict) Error() string {
	return fmt.Sprintf("%s was changed by somebody else meanwhile, nothing more is written: look at the diff again, then apply again", c.Key)
}

// Waiting are writes that the server refuses until a second person has approved them.
type Waiting struct{ Refusals []string }

// Error lists them.
func (w *Waiting) Error() string {
	return fmt.Sprintf("%d changes wait for a second person:\n  %s", len(w.Refusals), strings.Join(w.Refusals, "\n  "))
}

// Apply makes the steps of phases, each after a look at whether the resource is still what the plan was
// made from. done is called after each, from many goroutines, one at a time. It ends at the first error,
// but goes on to the end of a phase with what waits for a second person (*Waiting). What was done
// stays; the same again goes on from there.
func (s *Server) Apply(ctx context.Context, phases []plan.Phase, done func(phase string, step plan.Step)) error {
	for _, phase := range phases {
		if err := s.phase(ctx, phase, done); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) phase(ctx context.Context, phase plan.Phase, done func(string, plan.Step)) error {
	// A failure begins no more steps, and lets those end that are under way: what they did is known then.
	var group errgroup.Group
	group.SetLimit(atOnce)
	var failed atomic.Bool
	var mu sync.Mutex
	var waiting []string
	for _, step := range phase.Steps {
		if failed.Load() || ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := s.step(ctx, step)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done(phase.Name, step)
			case needsSecond(err):
				waiting = append(waiting, err.Error())
			default:
				failed.Store(true)
				return fmt.Errorf("%s%s %s: %w", placed(step.At), step.Why, step.Key, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(waiting) > 0 {
		slices.Sort(waiting)
		return &Waiting{waiting}
	}
	return ctx.Err()
}

func placed(at string) string {
	if at == "" {
		return ""
	}
	return at + ": "
}

// needsSecond reports whether a write was refused for want of a second person.
func needsSecond(err error) bool {
	return errors.Is(err, fault.Conflict) && strings.Contains(err.Error(), "approval of a second person")
}

func (s *Server) step(ctx context.Context, step plan.Step) error {
	if step.Kind != resource.Secret && step.Kind != resource.Denylist {
		now, err := s.Now(ctx, step.Key)
		if err != nil {
			return err
		}
		if bytes.Equal(now, step.Body) && (now == nil) == (step.Body == nil) {
			return nil // an attempt whose answer was lost
		}
		if !bytes.Equal(now, step.Expect) || (now == nil) != (step.Expect == nil) {
			return &Conflict{step.Key}
		}
	}
	err := s.write(ctx, step)
	if step.Kind == resource.Client && step.Expect == nil && errors.Is(err, fault.Conflict) && !needsSecond(err) {
		// Made by an attempt whose answer was lost; unlike other resources, a client that is there already is a conflict.
		if now, again := s.Now(ctx, step.Key); again == nil && bytes.Equal(now, step.Body) {
			return nil
		}
	}
	return err
}

func (s *Server) write(ctx context.Context, step plan.Step) error {
	method := http.MethodPost
	switch {
	case step.Body == nil:
		method = http.MethodDelete
	case step.Expect == nil:
		method = http.MethodPut
	}
	call := func(service, path string, body any) error {
		if method == http.MethodDelete {
			body = nil
		}
		return s.c.Call(ctx, service, method, path, nil, body, nil)
	}
	switch step.Kind {
	case resource.Role:
		return call("auth", client.Path("roles", step.ID), step.Body)
	case resource.Client:
		return s.writeClient(ctx, step, call)
	case resource.Hook:
		return call("hooks", hookPath(step.ID), step.Body)
	case resource.Pool:
		return call("worker-manager", client.Path("worker-pool", step.ID), step.Body)
	case resource.Secret:
		return s.c.RemoveSecret(ctx, step.ID)
	case resource.Denylist:
		kind, to, _ := strings.Cut(step.ID, "/")
		path := "/denylist/add"
		if step.Body == nil {
			path = "/denylist/delete"
		} else {
			method = http.MethodPost
		}
		return s.c.Call(ctx, "notify", method, path, nil, address{kind, to}, nil)
	}
	return fmt.Errorf("%s is of no known kind", step.Key)
}

// writeClient disables before it writes, and enables after.
func (s *Server) writeClient(ctx context.Context, step plan.Step, call func(service, path string, body any) error) error {
	path := client.Path("clients", step.ID)
	if step.Body == nil {
		return call("auth", path, nil)
	}
	var was, is resource.ClientBody
	if err := json.Unmarshal(step.Body, &is); err != nil {
		return err
	}
	if step.Expect != nil {
		if err := json.Unmarshal(step.Expect, &was); err != nil {
			return err
		}
	}
	turn := func(way string) error {
		return s.c.Call(ctx, "auth", http.MethodPost, path+"/"+way, nil, nil, nil)
	}
	if step.Expect != nil && is.Disabled && !was.Disabled {
		if err := turn("disable"); err != nil {
			return err
		}
	}
	body := map[string]any{"scopes": is.Scopes, "description": is.Description, "expires": is.Expires, "deleteOnExpiration": is.DeleteOnExpiration}
	if err := call("auth", path, body); err != nil {
		return err
	}
	switch {
	case step.Expect == nil && is.Disabled:
		return turn("disable") // nobody has its token yet
	case was.Disabled && !is.Disabled:
		return turn("enable")
	}
	return nil
}
