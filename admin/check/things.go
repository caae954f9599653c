package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/admin/tree"
	"github.com/treeline-ci/treeline/auth/scope/expand"
)

// thing is something that conditions ask about.
type thing struct {
	kind, at string
	env      map[string]any
}

// section is how the directory calls resources of a kind.
var section = map[resource.Kind]string{
	resource.Role: "roles", resource.Client: "clients", resource.Hook: "hooks", resource.Pool: "worker-pools", resource.Secret: "secrets", resource.Denylist: "denylist",
}

func thingsOf(t *tree.Tree, want resource.Set) (map[string][]thing, error) {
	out := map[string][]thing{}
	for _, name := range section {
		out[name] = []thing{}
	}
	var roles []expand.Role
	for _, r := range want {
		if r.Kind == resource.Role {
			var b resource.RoleBody
			if err := json.Unmarshal(r.Body, &b); err != nil {
				return nil, fmt.Errorf("%s: %w", r.Key, err)
			}
			roles = append(roles, expand.Role{ID: r.ID, Scopes: b.Scopes})
		}
	}
	resolver := expand.New(roles)
	levels := levelsOf(t)
	for _, r := range want.Sorted() {
		env, err := envOf(r, resolver, levels)
		if err != nil {
			return nil, err
		}
		out[section[r.Kind]] = append(out[section[r.Kind]], thing{string(r.Kind), r.At, env})
	}
	out["repositories"] = []thing{}
	for _, p := range t.Repositories {
		out["repositories"] = append(out["repositories"], thing{"repository", p.Place.String(), map[string]any{
			"id": p.Name, "name": p.Name, "kind": p.Kind, "path": p.Path, "level": p.Level, "tags": append([]string{}, p.Tags...), "trust_domain": p.TrustDomain,
		}})
	}
	out["worker_pools"] = out["worker-pools"]
	return out, nil
}

// levelsOf is the trust of clients that say theirs, and of the roles of repositories.
func levelsOf(t *tree.Tree) func(resource.Key) int {
	clients := map[string]int{}
	for _, c := range t.Clients {
		clients[c.ID] = c.Level
	}
	paths := map[string]tree.Repository{}
	for _, p := range t.Repositories {
		paths[p.Path] = p
	}
	return func(k resource.Key) int {
		if k.Kind == resource.Client {
			return clients[k.ID]
		}
		rest, ok := strings.CutPrefix(k.ID, "repo:")
		if k.Kind != resource.Role || !ok {
			return 0
		}
		for at := range rest {
			if rest[at] == ':' {
				if p, known := paths[rest[:at]]; known {
					return tree.LevelOf(p, rest[at+1:])
				}
			}
		}
		return 0
	}
}

func envOf(r resource.Resource, resolver *expand.Resolver, level func(resource.Key) int) (map[string]any, error) {
	env := map[string]any{"id": r.ID}
	switch r.Kind {
	case resource.Role, resource.Client:
		var b resource.ClientBody
		if err := json.Unmarshal(r.Body, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		expanded, err := resolver.Expand(b.Scopes)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", r.At, r.Key, err)
		}
		env["scopes"], env["description"], env["expanded"], env["level"] = b.Scopes, b.Description, expanded, level(r.Key)
		if r.Kind == resource.Client {
			env["expires"], env["disabled"], env["delete_on_expiration"] = b.Expires, b.Disabled, b.DeleteOnExpiration
		}
	case resource.Hook:
		var b struct {
			Metadata struct {
				Name, Description, Owner string
				EmailOnError             bool
			}
			Schedule []string
			Task     map[string]any
		}
		if err := json.Unmarshal(r.Body, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		expanded, err := resolver.Expand([]string{expand.Assume + "hook-id:" + r.ID})
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", r.At, r.Key, err)
		}
		env["owner"], env["name"], env["description"], env["email_on_error"] = b.Metadata.Owner, b.Metadata.Name, b.Metadata.Description, b.Metadata.EmailOnError
		env["schedule"], env["task"], env["expanded"] = b.Schedule, b.Task, expanded
	case resource.Pool:
		var b struct {
			ProviderID, Owner, Description string
			EmailOnError                   bool
			Config                         map[string]any
		}
		if err := json.Unmarshal(r.Body, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Key, err)
		}
		env["provider"], env["owner"], env["description"], env["email_on_error"], env["config"] = b.ProviderID, b.Owner, b.Description, b.EmailOnError, b.Config
	}
	return env, nil
}

func filterEnv(k resource.Key, action string, body []byte) map[string]any {
	var b struct {
		Scopes      []string
		Description string
	}
	if len(body) > 0 && json.Unmarshal(body, &b) != nil {
		b.Scopes, b.Description = nil, ""
	}
	return map[string]any{"kind": string(k.Kind), "id": k.ID, "action": action, "scopes": b.Scopes, "description": b.Description}
}
