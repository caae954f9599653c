// Package server reads what a deployment has, and writes what it is to have, by nothing but the public
// API: it works with every server that has Taskcluster's. Of secrets it asks for names alone.
//
// All methods are safe for concurrent use.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

const (
	atOnce = 8 // calls
	page   = "1000"
)

// Server is a deployment.
type Server struct{ c *client.Client }

// New returns the deployment that a client speaks to.
func New(c *client.Client) *Server { return &Server{c} }

// State reads all roles and clients but those that begin with static/, and of the other kinds those
// resources that are managed; of kinds of which nothing is managed, it asks for none.
func (s *Server) State(ctx context.Context, managed resource.Patterns) (resource.Set, error) {
	kinds := []struct {
		kind resource.Kind
		read func(context.Context, func(resource.Key, any) error) error
	}{
		{resource.Role, s.roles}, {resource.Client, s.clients}, {resource.Hook, s.hooks(managed)}, {resource.Pool, s.pools},
		{resource.Secret, s.secrets}, {resource.Denylist, s.denylist},
	}
	found := make([][]resource.Resource, len(kinds))
	group, ctx := errgroup.WithContext(ctx)
	for i, k := range kinds {
		always := k.kind == resource.Role || k.kind == resource.Client
		if !always && !managed.Kind(k.kind) {
			continue
		}
		group.Go(func() error {
			err := k.read(ctx, func(key resource.Key, body any) error {
				if !always && !managed.Match(key) {
					return nil
				}
				r, err := resource.New(key.Kind, key.ID, body, "")
				found[i] = append(found[i], r)
				return err
			})
			if err != nil {
				return fmt.Errorf("admin: read %ss: %w", k.kind, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	set := resource.Set{}
	for _, list := range found {
		for _, r := range list {
			set[r.Key] = r
		}
	}
	return set, nil
}

// paged asks for all pages of a listing.
func paged[T any](ctx context.Context, c *client.Client, service, path string, each func(*T) (token string, err error)) error {
	query := url.Values{"limit": {page}}
	for {
		var out T
		if err := c.Call(ctx, service, http.MethodGet, path, query, nil, &out); err != nil {
			return err
		}
		token, err := each(&out)
		if err != nil || token == "" {
			return err
		}
		query.Set("continuationToken", token)
	}
}

// role is a role on the wire.
type role struct {
	RoleID      string
	Scopes      []string
	Description string
}

func (r role) body() resource.RoleBody {
	return resource.RoleBody{Scopes: resource.Scopes(r.Scopes), Description: r.Description}
}

func (s *Server) roles(ctx context.Context, yield func(resource.Key, any) error) error {
	type list struct {
		Roles             []role
		ContinuationToken string
	}
	return paged(ctx, s.c, "auth", "/roles2/", func(l *list) (string, error) {
		for _, r := range l.Roles {
			if err := yield(resource.Key{Kind: resource.Role, ID: r.RoleID}, r.body()); err != nil {
				return "", err
			}
		}
		return l.ContinuationToken, nil
	})
}

// oneClient is a client on the wire, without its token.
type oneClient struct {
	ClientID, Description        string
	Expires                      time.Time
	DeleteOnExpiration, Disabled bool
	Scopes                       []string
}

func (c oneClient) body() resource.ClientBody {
	return resource.ClientBody{
		Scopes: resource.Scopes(c.Scopes), Description: c.Description, Expires: c.Expires.UTC().Format(resource.TimeLayout),
		DeleteOnExpiration: c.DeleteOnExpiration, Disabled: c.Disabled,
	}
}

func (s *Server) clients(ctx context.Context, yield func(resource.Key, any) error) error {
	type list struct {
		Clients           []oneClient
		ContinuationToken string
	}
	return paged(ctx, s.c, "auth", "/clients/", func(l *list) (string, error) {
		for _, c := range l.Clients {
			if strings.HasPrefix(c.ClientID, "static/") {
				continue // the server's configuration has them
			}
			if err := yield(resource.Key{Kind: resource.Client, ID: c.ClientID}, c.body()); err != nil {
				return "", err
			}
		}
		return l.ContinuationToken, nil
	})
}

// hook is a hook on the wire.
type hook struct {
	HookGroupID   string          `json:"hookGroupId"`
	HookID        string          `json:"hookId"`
	Metadata      metadata        `json:"metadata"`
	Schedule      []string        `json:"schedule"`
	Bindings      []binding       `json:"bindings"`
	Task          json.RawMessage `json:"task"`
	TriggerSchema json.RawMessage `json:"triggerSchema"`
}

type metadata struct {
	Name         string `json:"name"`
	Description  string `json:"description"`
	Owner        string `json:"owner"`
	EmailOnError bool   `json:"emailOnError"`
}

type binding struct {
	Exchange          string `json:"exchange"`
	RoutingKeyPattern string `json:"routingKeyPattern"`
}

func (h hook) body() any {
	return map[string]any{
		"metadata": h.Metadata, "schedule": append([]string{}, h.Schedule...), "bindings": append([]binding{}, h.Bindings...), "task": h.Task, "triggerSchema": h.TriggerSchema,
	}
}

// hooks asks only for groups of which something may be managed.
func (s *Server) hooks(managed resource.Patterns) func(context.Context, func(resource.Key, any) error) error {
	return func(ctx context.Context, yield func(resource.Key, any) error) error {
		var groups struct{ Groups []string }
		if err := s.c.Call(ctx, "hooks", http.MethodGet, "/hooks", nil, nil, &groups); err != nil {
			return err
		}
		for _, g := range groups.Groups {
			if !mayHold(managed, g+"/") {
				continue
			}
			var list struct{ Hooks []hook }
			if err := s.c.Call(ctx, "hooks", http.MethodGet, client.Path("hooks", g), nil, nil, &list); err != nil {
				return err
			}
			for _, h := range list.Hooks {
				if err := yield(resource.Key{Kind: resource.Hook, ID: h.HookGroupID + "/" + h.HookID}, h.body()); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// mayHold reports whether a pattern names hooks whose ids begin so.
func mayHold(managed resource.Patterns, prefix string) bool {
	for _, p := range managed {
		if p.Kind != resource.Hook || p.Not {
			continue
		}
		fixed, _, star := strings.Cut(p.ID, "*")
		if strings.HasPrefix(p.ID, prefix) || star && strings.HasPrefix(prefix, fixed) {
			return true
		}
	}
	return false
}

// pool is a worker pool on the wire.
type pool struct {
	WorkerPoolID string          `json:"workerPoolId"`
	ProviderID   string          `json:"providerId"`
	Description  string          `json:"description"`
	Owner        string          `json:"owner"`
	EmailOnError bool            `json:"emailOnError"`
	Config       json.RawMessage `json:"config"`
}

func (p pool) body() any {
	return map[string]any{"providerId": p.ProviderID, "description": p.Description, "owner": p.Owner, "emailOnError": p.EmailOnError, "config": p.Config}
}

// nullProvider has the pools that are being deleted.
const nullProvider = "null-provider"

func (s *Server) pools(ctx context.Context, yield func(resource.Key, any) error) error {
	type list struct {
		WorkerPools       []pool
		ContinuationToken string
	}
	return paged(ctx, s.c, "worker-manager", "/worker-pools", func(l *list) (string, error) {
		for _, p := range l.WorkerPools {
			if p.ProviderID == nullProvider {
				continue
			}
			if err := yield(resource.Key{Kind: resource.Pool, ID: p.WorkerPoolID}, p.body()); err != nil {
				return "", err
			}
		}
		return l.ContinuationToken, nil
	})
}

func (s *Server) secrets(ctx context.Context, yield func(resource.Key, any) error) error {
	for name, err := range s.c.Secrets(ctx) {
		if err != nil {
			return err
		}
		if err := yield(resource.Key{Kind: resource.Secret, ID: name}, struct{}{}); err != nil {
			return err
		}
	}
	return nil
}

type address struct {
	NotificationType    string `json:"notificationType"`
	NotificationAddress string `json:"notificationAddress"`
}

func (s *Server) denylist(ctx context.Context, yield func(resource.Key, any) error) error {
	type list struct {
		Addresses         []address
		ContinuationToken string
	}
	return paged(ctx, s.c, "notify", "/denylist/list", func(l *list) (string, error) {
		for _, a := range l.Addresses {
			if err := yield(resource.Key{Kind: resource.Denylist, ID: a.NotificationType + "/" + a.NotificationAddress}, struct{}{}); err != nil {
				return "", err
			}
		}
		return l.ContinuationToken, nil
	})
}

// Now reads one resource anew; the body is nil when it is not there. Of secrets and of the denylist,
// which hold nothing that could change unseen, it is not asked.
func (s *Server) Now(ctx context.Context, k resource.Key) (json.RawMessage, error) {
	var body any
	var err error
	switch k.Kind {
	case resource.Role:
		var r role
		err = s.c.Call(ctx, "auth", http.MethodGet, client.Path("roles", k.ID), nil, nil, &r)
		body = r.body()
	case resource.Client:
		var c oneClient
		err = s.c.Call(ctx, "auth", http.MethodGet, client.Path("clients", k.ID), nil, nil, &c)
		body = c.body()
	case resource.Hook:
		var h hook
		err = s.c.Call(ctx, "hooks", http.MethodGet, hookPath(k.ID), nil, nil, &h)
		body = h.body()
	case resource.Pool:
		var p pool
		err = s.c.Call(ctx, "worker-manager", http.MethodGet, client.Path("worker-pool", k.ID), nil, nil, &p)
		if p.ProviderID == nullProvider {
			return nil, nil
		}
		body = p.body()
	default:
		return nil, fmt.Errorf("admin: %s is not read one by one", k)
	}
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return resource.Canonical(body)
}

func hookPath(id string) string {
	group, name, _ := strings.Cut(id, "/")
	return client.Path("hooks", group, name)
}
